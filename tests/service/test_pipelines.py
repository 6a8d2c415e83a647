"""The pipelines: what they run and may do, how pins are raised, and that the audit can fail."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.conftest import Project, Render
from tests.running import BIN, TEMPLATE, UV, Result, clean_environment, run, succeeded
from tests.service.deployment import instructions
from tests.service.server import served
from tests.service.sources import Change, changed
from tests.service.test_rendering import CHOICES

WORKFLOW = ".github/workflows/ci.yml"
DEPENDABOT = ".github/dependabot.yml"
ZIZMOR = ("zizmor", "--offline", "--pedantic", "--no-progress", "--collect=all", ".")
VULNERABLE = "alembic"

OLDEST, *BETWEEN, NEWEST = CHOICES["python_version"]
each_python = pytest.mark.parametrize(
    "python",
    [OLDEST, NEWEST, *(pytest.param(it, marks=pytest.mark.complete) for it in BETWEEN)],
)


def check(project: Path, program: str, *arguments: str) -> Result:
    """Run a tool of the template on a project."""
    return run(BIN / program, *arguments, cwd=project)


@each_python
def test_zizmor_finds_nothing(project: Project, python: str) -> None:
    succeeded(check(project(python_version=python), *ZIZMOR))


@pytest.mark.parametrize(
    ("path", "change", "rule"),
    [
        (WORKFLOW, ("@[0-9a-f]{40} # v7", "@v7"), "unpinned-uses"),
        (WORKFLOW, (", persist-credentials: false", ""), "artipacked"),
        (WORKFLOW, ("contents: read", "contents: write"), "excessive-permissions"),
        (DEPENDABOT, ("default-days: 7", "default-days: 1"), "dependabot-cooldown"),
    ],
)
def test_zizmor_finds_what_is_made_less_safe(
    project: Project, tmp_path: Path, path: str, change: Change, rule: str
) -> None:
    shutil.copytree(project() / ".github", tmp_path / ".github")
    (tmp_path / path).write_text(changed(tmp_path / path, [change]))

    result = check(tmp_path, *ZIZMOR)

    assert result.returncode != 0
    assert rule in result.stdout


def test_actions_are_named_by_commit_and_version(project: Project) -> None:
    lines = (project() / WORKFLOW).read_text().splitlines()

    uses = [line.partition("uses: ")[2] for line in lines if "uses: " in line]

    assert len(uses) >= 3
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in uses)


@pytest.mark.parametrize(
    ("ci", "path", "change"),
    [
        ("github", DEPENDABOT, ("weekly", "nonsense")),
        ("gitlab", "renovate.json", ("update-lockfile", "nonsense")),
    ],
)
def test_dependency_updates_are_as_their_schema_asks(
    project: Project, tmp_path: Path, ci: str, path: str, change: Change
) -> None:
    file = project(ci=ci) / path
    wrong = tmp_path / file.name
    wrong.write_text(changed(file, [change]))
    validate = ("check-jsonschema", "--builtin-schema", f"vendor.{file.stem}")

    valid = check(tmp_path, *validate, str(file))
    invalid = check(tmp_path, *validate, str(wrong))

    succeeded(valid)
    assert "nonsense" in invalid.stdout


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_every_job_ends_by_itself_and_one_audits(project: Project, ci: str) -> None:
    rendered = project(ci=ci)

    if ci == "github":
        jobs = yaml.safe_load((rendered / WORKFLOW).read_text())["jobs"]
        assert all(job["timeout-minutes"] <= 20 for job in jobs.values())
        commands = [step.get("run") for job in jobs.values() for step in job["steps"]]
    else:
        jobs = yaml.safe_load((rendered / ".gitlab-ci.yml").read_text())
        assert jobs["default"]["timeout"] == "20 minutes"
        commands = jobs["audit"]["script"]

    assert "make audit" in commands
    # Neither may be ignored.
    assert "continue-on-error" not in str(jobs)
    assert "allow_failure" not in str(jobs)


@pytest.fixture
def osv() -> Iterator[str]:
    """Return the address of a service that answers like OSV, and knows of one vulnerability."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            affected = {"package": query["package"], "versions": [query["version"]]}
            found = [{"id": "PYSEC-0000-1", "summary": "Bad", "affected": [affected]}]
            is_vulnerable = query["package"]["name"] == VULNERABLE
            body = json.dumps({"vulns": found if is_vulnerable else []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def own_project(render: Render, tmp_path: Path) -> Path:
    """Return a project that may be changed, with the template's uv."""
    rendered = render({}, tmp_path)
    if (uv := TEMPLATE / ".uv").exists():
        (rendered / ".uv").symlink_to(uv)
    return rendered


def test_an_audit_fails_for_a_vulnerable_pin_and_where_it_could_not_ask(
    own_project: Path, osv: str
) -> None:
    pins = own_project / "constraints.txt"
    lines = pins.read_text().splitlines()
    audit = ("make", "audit")

    vulnerable = run(*audit, f"ARGS=--osv-url {osv}", cwd=own_project)
    pins.write_text("".join(f"{line}\n" for line in lines if VULNERABLE not in line))
    safe = run(*audit, f"ARGS=--osv-url {osv}", cwd=own_project)
    pins.write_text("idna==3.20\n")
    unanswered = run(*audit, "ARGS=--osv-url http://127.0.0.1:1", cwd=own_project)

    assert vulnerable.returncode != 0
    assert "PYSEC-0000-1" in vulnerable.stdout
    succeeded(safe)
    assert unanswered.returncode != 0


def test_pins_can_have_hashes_which_are_verified(own_project: Path, tmp_path: Path) -> None:
    pins = own_project / "constraints.txt"
    succeeded(run(UV, "venv", "--quiet", tmp_path / "venv", cwd=tmp_path))
    install = (UV, "pip", "install", "--quiet", "--python", tmp_path / "venv", "--no-deps")

    succeeded(run("make", "pins", "ARGS=--generate-hashes", cwd=own_project))
    remade = pins.read_text()
    right = run(*install, "--constraint", pins, "idna", cwd=tmp_path)
    pins.write_text(re.sub(r"sha256:\w{4}", "sha256:0000", remade))
    wrong = run(*install, "--reinstall", "--constraint", pins, "idna", cwd=tmp_path)

    assert remade.count("--hash=sha256:") > len(re.findall("==", remade))
    assert "://" not in remade
    succeeded(right)
    assert "ash mismatch" in wrong.stderr


def test_pins_of_others_can_be_kept(own_project: Path) -> None:
    pins = own_project / "constraints.txt"
    before = re.sub(r"(?m)^structlog==.*$", "structlog==25.4.0", pins.read_text())
    pins.write_text(re.sub(r"(?m)^uvicorn==.*\n", "", before))

    succeeded(run("make", "pins", "KEEP=1", cwd=own_project))
    kept = pins.read_text()
    succeeded(run("make", "pins", cwd=own_project))

    assert "\nstructlog==25.4.0\n" in kept
    assert "\nuvicorn==" in kept
    assert "\nstructlog==25.4.0\n" not in pins.read_text()
    assert kept.splitlines()[0] == before.splitlines()[0] == pins.read_text().splitlines()[0]


def test_fastapi_serves_the_entry_point(own_project: Path, tmp_path: Path) -> None:
    pins = ("--constraints", "constraints.txt", "--with-editable", ".")
    fastapi = (UV, "tool", "run", "--quiet", "--from", "fastapi-cli", *pins, "fastapi")
    command = (*fastapi, "run", "--host", "127.0.0.1", "--port", "0")

    with served(command, own_project, tmp_path / "log", clean_environment()) as server:
        response = server.get("/health/live")

    assert response.status_code == 200


@each_python
def test_the_development_container_has_the_lowest_python_and_a_user(
    project: Project, python: str
) -> None:
    rendered = project(python_version=python)
    folder = rendered / ".devcontainer"
    described = json.loads((folder / "devcontainer.json").read_text())

    parts = dict(instructions(folder))

    succeeded(check(folder, "hadolint", "--failure-threshold", "warning", "Dockerfile"))
    assert described["build"] == {"dockerfile": "Dockerfile"}
    assert parts["FROM"] == f"python:{python}"
    assert parts["USER"] == described["remoteUser"]
    assert f" {parts['USER']}" in parts["RUN"]
    assert "PORT ?= 8000" in (rendered / "Makefile").read_text()
    assert described["forwardPorts"] == [8000]
    assert described["postCreateCommand"] == "make env"
