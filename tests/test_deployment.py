"""The image, and what runs it: as their formats ask, and as Docker would do it, without Docker.

The image is built by hand: the steps of the Dockerfile are done one by one in a folder that stands
for the image's root. What then runs are the very commands of the Dockerfile and the manifests.
"""

import contextlib
import fnmatch
import importlib.util
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import httpx2
import psycopg
import pytest
import yaml

from tests.conftest import BIN, TEMPLATE, Project, Render
from tests.service import Run

ANSWERS = [
    pytest.param({}, id="defaults"),
    pytest.param({"session_style": "async", "database": "postgresql"}, id="async-postgresql"),
    pytest.param({"analytics": "clickhouse"}, id="clickhouse"),
    pytest.param({"project_slug": "on", "python_version": "3.13"}, id="a word YAML knows"),
    pytest.param({"project_slug": "a" * 50, "package_name": "z" * 40}, id="long names"),
]
each_answer = pytest.mark.parametrize("answers", ANSWERS)
each_analytics = pytest.mark.parametrize("analytics", ["none", "clickhouse"])
PACKAGE = "my_service"
# As in the Makefile.
UV = shutil.which("uv") or TEMPLATE / ".uv" / "bin" / "uv"


# What it says


@each_answer
def test_linters_find_nothing(project: Project, run: Run, answers: dict[str, str]) -> None:
    rendered = project(**answers)
    manifests = sorted((rendered / "deploy" / "kubernetes").iterdir())

    for command in (
        ["hadolint", "Dockerfile"],
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"],
        ["kubernetes-validate", "--strict", *manifests],
    ):
        program, *arguments = command
        result = run(BIN / str(program), *arguments, cwd=rendered)
        assert result.returncode == 0, result.stdout + result.stderr


@each_answer
def test_names_fit(project: Project, answers: dict[str, str]) -> None:
    names = [manifest["metadata"]["name"] for manifest in manifests(project(**answers))]

    # A job's and a service's name become labels.
    assert len(names) >= 3
    assert all(re.fullmatch(r"[a-z][a-z0-9-]{0,62}", name) for name in names)


def test_only_what_is_needed_gets_into_the_image(project: Project) -> None:
    rendered = project(ci="github")
    ignored = ignore_rules(rendered)

    copied = {str(path) for path in sent(rendered)}
    secrets = (".env", ".git/config", "data/my_service.db", "src/x/__pycache__/y.pyc")

    assert {path.split("/")[0] for path in copied} == {
        *("LICENSE", "README.md", "alembic.ini", "constraints.txt", "pyproject.toml"),
        *("migrations", "packages", "scripts", "src"),
    }
    # The libraries that the service runs on, and not the one that tests it.
    assert {path.split("/")[1] for path in copied if path.startswith("packages/")} == {"migrator"}
    assert {"scripts/migrate.sh", "migrations/env.py", f"src/{PACKAGE}/main.py"} <= copied
    assert "scripts/seed.py" not in copied
    assert all(is_ignored(PurePosixPath(path), ignored) for path in secrets)


def test_the_image_does_not_run_as_root(project: Project) -> None:
    users = [rest for name, rest in instructions(project()) if name == "USER"]

    assert len(users) == 1
    assert int(users[0].split(":")[0]) > 0


def test_compose_serves_after_the_migrations_which_wait_for_the_database(project: Project) -> None:
    services = compose(project())

    assert services["service"]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"}
    }
    assert services["migrate"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert "healthcheck" in services["database"]
    assert "restart" not in services["migrate"]


def test_compose_ships_events_after_the_migrations_of_both(project: Project) -> None:
    services = compose(project(analytics="clickhouse"))

    assert services["relay"]["depends_on"] == services["service"]["depends_on"]
    assert services["migrate"]["depends_on"].keys() == {"database", "clickhouse"}
    assert services["relay"]["environment"].keys() == {"DATABASE_URL", "CLICKHOUSE_URL"}
    assert "healthcheck" in services["clickhouse"]


@each_analytics
def test_kubernetes_runs_one_image_with_one_secret(project: Project, analytics: str) -> None:
    rendered = project(analytics=analytics)
    containers = {name: container(rendered, name) for name in pods(rendered)}

    assert containers.keys() >= {"migrate", "service"}
    assert ("relay" in containers) is (analytics == "clickhouse")
    for one in containers.values():
        assert one["image"] == containers["service"]["image"]
        assert one["env"] == containers["service"]["env"]
    for name in containers.keys() - {"service"}:
        assert containers[name]["command"] == compose(rendered)[name]["command"]


def test_kubernetes_replaces_no_pod_before_the_next_one_is_ready(project: Project) -> None:
    rollout = pods(project())["service"]["spec"]["strategy"]["rollingUpdate"]
    probe = container(project(), "service")["readinessProbe"]

    assert rollout["maxUnavailable"] == 0
    assert probe["httpGet"]["path"] == "/health/ready"


@pytest.mark.parametrize("name", ["migrate", "service", "relay"])
def test_kubernetes_grants_no_right(project: Project, name: str) -> None:
    rendered = project(analytics="clickhouse")
    pod = pods(rendered)[name]["spec"]["template"]["spec"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container(rendered, name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_a_service_that_stops_has_the_time_it_asks_for(project: Project) -> None:
    command = last_command(project(), "CMD")
    graceful = int(command[command.index("--timeout-graceful-shutdown") + 1])
    pod = pods(project())["service"]["spec"]["template"]["spec"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])

    assert graceful < int(compose(project())["service"]["stop_grace_period"].removesuffix("s"))
    assert pause + graceful < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(
    "path",
    [
        "Makefile",
        ".pre-commit-config.yaml",
    ],
)
def test_revisions_are_linted_wherever_code_is(project: Project, path: str) -> None:
    assert "python -m my_service.migrate lint" in (project() / path).read_text()


@pytest.mark.parametrize(
    ("ci", "path"),
    [
        ("github", ".github/workflows/ci.yml"),
        ("gitlab", ".gitlab-ci.yml"),
    ],
)
def test_pipelines_check_what_make_checks(project: Project, ci: str, path: str) -> None:
    assert "make check" in (project(ci=ci) / path).read_text()


# What it does


@dataclass
class Image:
    """A folder that stands for the root of a built image, and what the image is set to.

    Attributes:
        root: The folder.
        base: The variables of the base image, among them a PATH that leads to its Python.
        variables: These, and what ENV sets.
        folder: What WORKDIR says.

    """

    root: Path
    base: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)
    folder: PurePosixPath = field(default_factory=PurePosixPath)

    def path(self, path: str) -> Path:
        """Return where a path of the image is on this machine."""
        return self.root / str(self.folder / path).lstrip("/")

    def local(self, text: str) -> str:
        """Return a text with the image's paths as they are on this machine."""
        return re.sub(r"(?<![\w/.])/app\b", str(self.root / "app"), text)

    def popen(self, command: list[str], **variables: str) -> subprocess.Popen[str]:
        """Start a command as the image's entry point would be."""
        environment = {**self.variables, **variables}
        program = shutil.which(self.local(command[0]), path=environment["PATH"])
        assert program, f"{command[0]} is not in the image"
        return subprocess.Popen(
            [program, *command[1:]],
            cwd=self.path("."),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: list[str], **variables: str) -> tuple[int, str]:
        """Run a command to its end, and return its exit code and what it printed."""
        process = self.popen(command, **variables)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output


def build(project: Path, image: Image) -> None:
    """Do what the Dockerfile says, stage by stage, each in the same folder."""
    earlier = image.root.with_name("earlier")
    for name, rest in instructions(project):
        match name:
            case "FROM":
                image.folder, image.variables = PurePosixPath("/"), dict(image.base)
                if image.root.exists():
                    image.root.rename(earlier)
                image.root.mkdir()
            case "ENV":
                for pair in rest.split():
                    key, _, value = pair.partition("=")
                    value = value.replace("$PATH", image.variables["PATH"])
                    image.variables[key] = image.local(value)
            case "WORKDIR":
                image.folder = PurePosixPath(rest)
                image.path(".").mkdir(parents=True)
            case "COPY":
                copy(project, image, earlier, rest.split())
            case "RUN":
                code, output = image.run(["sh", "-euc", rest])
                assert code == 0, output
    shutil.rmtree(earlier)


def copy(project: Path, image: Image, earlier: Path, words: list[str]) -> None:
    """Copy into the image, from an earlier stage or from what the builder is sent."""
    *sources, target = words
    if sources[0].startswith("--from="):
        shutil.copytree(earlier / sources[1].lstrip("/"), image.path(target), symlinks=True)
        return
    for source in sources:
        found = [path for path in sent(project) if is_below(path, source)]
        assert found, f"nothing of {source} gets past .dockerignore"
        for path in found:
            # Of a folder, what is in it is copied; of a file, the file.
            is_folder = (project / source).is_dir()
            name = path.relative_to(source) if is_folder else PurePosixPath(path.name)
            place = image.path(target) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project / path, place)


@pytest.fixture(scope="module", params=["sync", "async"])
def image(
    request: pytest.FixtureRequest, render: Render, environment: dict[str, str]
) -> Iterator[Image]:
    """Return the image of a project, built by hand."""
    with tempfile.TemporaryDirectory() as temporary:
        project = render({"session_style": request.param}, Path(temporary) / "project")
        # What the base image has: a Python with pip, first in the path.
        base = Path(temporary) / "base"
        make_venv = [UV, "venv", "--quiet", "--seed", "--python", sys.executable, base]
        subprocess.run(make_venv, env=environment, check=True)
        path = f"{base / 'bin'}:{environment['PATH']}"
        image = Image(Path(temporary) / "root", {**environment, "PATH": path})
        build(project, image)
        shutil.rmtree(project)
        yield image


def service_module(name: str) -> ModuleType:
    """Return a module of the service that needs nothing of the service's environment."""
    path = TEMPLATE / "{{cookiecutter.project_slug}}" / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def server() -> Iterator[Callable[[str], str]]:
    """Return a function that gives the URL of a database on a PostgreSQL server."""
    embedded = service_module("packages/testdb/src/testdb/postgresql/embedded.py")
    with tempfile.TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        # Any password: the server asks for none, but production refuses a URL without one.
        url = embedded.start(data).replace("postgres@/postgres", "postgres:any@/{}")
        yield url.format
        embedded.stop(data)


@pytest.fixture
def database(server: Callable[[str], str]) -> Iterator[str]:
    """Return the URL of an empty database."""
    with psycopg.connect(server("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE service")
        yield server("service")
        connection.execute("DROP DATABASE service WITH (FORCE)")


def test_the_image_holds_no_settings(image: Image, project: Project) -> None:
    code, output = image.run(migrate_command(project()))

    assert code == 1
    assert "The settings are not usable" in output
    assert not image.path(".env").exists()
    assert not image.path("src").exists()


def test_a_release_waits_for_its_migrations_and_stops_when_its_work_is_done(
    image: Image, project: Project, database: str
) -> None:
    with served(image, project(), database) as (process, client):
        before = client.get("/health/ready")
        code, output = image.run(migrate_command(project()), DATABASE_URL=database)
        time.sleep(1.1)  # as long as an answer is repeated
        after = client.get("/health/ready")
        healthy, _ = image.run(health_command(project(), client))
        key = create_key(image, database)

        with psycopg.connect(database) as connection:
            connection.execute("LOCK TABLE api_keys")
            answers: list[httpx2.Response] = []
            request = threading.Thread(target=lambda: answers.append(list_thoughts(client, key)))
            request.start()
            wait_for_lock(database)
            process.send_signal(signal.SIGTERM)
            time.sleep(1)
            refused = not is_listening(client)
            waited = process.poll() is None
        request.join(timeout=20)
        log, _ = process.communicate(timeout=20)
    gone, _ = image.run(health_command(project(), client))

    assert (before.status_code, before.json()["status"]) == (503, "behind")
    assert code == 0, output
    assert (after.status_code, after.json()["status"]) == (200, "ready")
    assert (healthy, gone) == (0, 1)
    assert refused
    assert waited
    assert [answer.status_code for answer in answers] == [200]
    assert "Finished server process" in log
    # uvicorn ends by the signal, once it is done; as a container's first process, with 0.
    assert process.returncode in (0, -signal.SIGTERM)


@contextlib.contextmanager
def served(
    image: Image, project: Path, database: str
) -> Iterator[tuple[subprocess.Popen[str], httpx2.Client]]:
    """Serve the image on a free port, and give the process and a client."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [port if word == "8000" else word for word in last_command(project, "CMD")]
    process = image.popen(command, DATABASE_URL=database)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + 20
            while not is_listening(client) and time.monotonic() < deadline:
                assert process.poll() is None, process.communicate()
                time.sleep(0.1)
            yield process, client
    finally:
        process.kill()
        process.wait()


def is_listening(client: httpx2.Client) -> bool:
    """Tell whether a new connection is accepted."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(client.base_url.port or 0))) == 0


def list_thoughts(client: httpx2.Client, key: str) -> httpx2.Response:
    """Make a request that reads the database."""
    return client.get("/thoughts", headers={"X-API-Key": key})


def wait_for_lock(database: str) -> None:
    """Wait until some connection waits for a lock."""
    with psycopg.connect(database, autocommit=True) as connection:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        for _ in range(100):
            if connection.execute(query).fetchone() != (0,):
                return
            time.sleep(0.1)
    raise AssertionError("the request did not reach the database")


def create_key(image: Image, database: str) -> str:
    """Return a new API key, made by the image's own command."""
    command = ["python", "-m", PACKAGE, "create-key", "--email", "you@example.com"]
    code, output = image.run(command, DATABASE_URL=database)
    assert code == 0, output
    return output.strip()


def instructions(project: Path) -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions: the name of each, and the rest of its line."""
    text = (project / "Dockerfile").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def last_command(project: Path, name: str) -> list[str]:
    """Return the command of CMD."""
    (rest,) = (rest for found, rest in instructions(project) if found == name)
    command: list[str] = json.loads(rest)
    return command


def health_command(project: Path, client: httpx2.Client) -> list[str]:
    """Return the command of HEALTHCHECK, for the port that the client knows."""
    (rest,) = (rest for name, rest in instructions(project) if name == "HEALTHCHECK")
    command: list[str] = json.loads(rest.partition("CMD")[2])
    return [word.replace(":8000", f":{client.base_url.port}") for word in command]


def migrate_command(project: Path) -> list[str]:
    """Return what Kubernetes runs before a release."""
    command: list[str] = container(project, "migrate")["command"]
    return command


def compose(project: Path) -> dict[str, Any]:
    """Return the services of compose.yaml."""
    services: dict[str, Any] = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    return services


def manifests(project: Path) -> list[dict[str, Any]]:
    """Return the Kubernetes manifests."""
    paths = (project / "deploy" / "kubernetes").iterdir()
    return [manifest for path in paths for manifest in yaml.safe_load_all(path.read_text())]


def pods(project: Path) -> dict[str, dict[str, Any]]:
    """Return the job and the deployments by what runs in them: migrate, relay, service."""
    return {
        manifest["spec"]["template"]["spec"]["containers"][0]["name"]: manifest
        for manifest in manifests(project)
        if manifest["kind"] in ("Deployment", "Job")
    }


def container(project: Path, name: str) -> dict[str, Any]:
    """Return the one container of a job or a deployment."""
    (found,) = pods(project)[name]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def ignore_rules(project: Path) -> list[str]:
    """Return the rules of .dockerignore."""
    lines = (project / ".dockerignore").read_text().splitlines()
    return [line.removesuffix("/") for line in lines if line and not line.startswith("#")]


def sent(project: Path) -> list[PurePosixPath]:
    """Return the files a builder is sent: those that .dockerignore lets through."""
    rules = ignore_rules(project)
    files = (PurePosixPath(path.relative_to(project)) for path in project.rglob("*"))
    return [path for path in files if (project / path).is_file() and not is_ignored(path, rules)]


def is_ignored(path: PurePosixPath, rules: list[str]) -> bool:
    """Tell what the last rule that fits a path, or a folder it is in, says of it."""
    ignored = False
    for rule in rules:
        if is_below(PurePosixPath(path), rule.removeprefix("!")):
            ignored = not rule.startswith("!")
    return ignored


def is_below(path: PurePosixPath, pattern: str) -> bool:
    """Tell whether a path, or a folder it is in, fits a pattern; `**/` stands for any folders."""
    places = [str(place) for place in (path, *path.parents)]
    depth = pattern.count("/")
    return any(
        fnmatch.fnmatchcase(place, pattern.replace("**/", "*/"))
        and ("**" in pattern or place.count("/") == depth)
        for place in places
        if place != "."
    )
