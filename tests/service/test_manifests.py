"""The Dockerfile, compose.yaml and the Kubernetes manifests are as their formats ask, and agree."""

import re
from pathlib import PurePosixPath

import pytest

from tests.conftest import Project
from tests.running import BIN, Run
from tests.service.deployment import (
    compose,
    container,
    ignore_rules,
    instructions,
    is_ignored,
    last_command,
    manifests,
    pods,
    sent,
)
from tests.service.project import PACKAGE

ANSWERS = [
    pytest.param({}, id="defaults"),
    pytest.param({"session_style": "async", "database": "postgresql"}, id="async and postgresql"),
    pytest.param({"analytics": "clickhouse"}, id="clickhouse"),
    pytest.param({"project_slug": "on", "python_version": "3.13"}, id="a word YAML knows"),
    pytest.param({"project_slug": "a" * 50, "package_name": "z" * 40}, id="long names"),
]
each_answer = pytest.mark.parametrize("answers", ANSWERS)
each_analytics = pytest.mark.parametrize("analytics", ["none", "clickhouse"])


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
    # The library that the service runs on, and not the one that tests it.
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


def test_compose_migrates_the_database_that_it_serves(project: Project) -> None:
    services = compose(project())

    served = services["service"]["environment"]
    assert served.keys() == {"DATABASE_URL"}
    migrated = {**served, "MIGRATION_DATABASE_URL": served["DATABASE_URL"]}
    assert services["migrate"]["environment"] == migrated


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
    for name, one in containers.items():
        assert one["image"] == containers["service"]["image"]
        shared = [it for it in one["env"] if it["name"] != "MIGRATION_DATABASE_URL"]
        assert shared == containers["service"]["env"]
        assert (shared != one["env"]) is (name == "migrate")
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


def test_revisions_are_linted_where_code_is(project: Project) -> None:
    assert "python -m my_service.migrate lint" in (project() / "Makefile").read_text()


@pytest.mark.parametrize(
    ("ci", "path"),
    [
        ("github", ".github/workflows/ci.yml"),
        ("gitlab", ".gitlab-ci.yml"),
        ("none", ".pre-commit-config.yaml"),
    ],
)
def test_pipelines_and_commits_check_what_make_checks(project: Project, ci: str, path: str) -> None:
    assert "make check" in (project(ci=ci) / path).read_text()
