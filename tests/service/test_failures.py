"""What is logged when something fails: short lines in both formats, and no secret."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.running import Result, clean_environment, succeeded
from tests.service.conftest import Change
from tests.service.project import PACKAGE, Service, combinations
from tests.service.server import serve

PASSWORD = "s3cr/et pass"  # noqa: S105
SPELLED = "s3cr%2Fet%20pass"
KEY = "0123456789ab.Secret-of_the-caller"
BODY = {"content": "Dear diary, nobody reads this. " * 20}
# Nothing listens there.
AWAY = {
    "DATABASE_URL": f"postgresql://service:{SPELLED}@127.0.0.1:1/service",
    "CLICKHOUSE_URL": f"clickhouse://service:{SPELLED}@127.0.0.1:1/service",
}
LINE_MAX = 8000

DAILY = {("json", "sync-sqlite"), ("console", "async-postgresql")}
with_analytics = combinations("async-sqlite-clickhouse", complete=["sync-postgresql-clickhouse"])


@pytest.mark.parametrize(
    ("log_format", "service"),
    [
        pytest.param(
            *(log_format, tuple(name.split("-"))),
            id=f"{log_format}-{name}",
            marks=() if (log_format, name) in DAILY else pytest.mark.complete,
        )
        for log_format in ("json", "console")
        for name in ("sync-sqlite", "async-postgresql")
    ],
    indirect=["service"],
)
def test_failures_are_logged_briefly_and_without_secrets(
    service: Service, log_format: str, tmp_path: Path
) -> None:
    settings = {**AWAY, "ENVIRONMENT": "production", "LOG_FORMAT": log_format, "SERVE_DOCS": "yes"}
    headers = {"X-API-Key": KEY}

    with serve(service, tmp_path, "failing_service:app", **settings) as server:
        routes = server.get("/openapi.json").json()["paths"]
        failing = [path for path in routes if path.startswith("/fail")]
        answers = [server.post(path, json=BODY, headers=headers) for path in failing]
        answers += [
            server.get("/thoughts", headers=headers),
            server.post("/thoughts", json=BODY, headers=headers),
            server.post("/thoughts", json=BODY, headers={**headers, "Authorization": KEY}),
            server.get(f"/thoughts?password={PASSWORD}", headers=headers),
        ]
        ready = server.get("/health/ready")
        log = server.stop()

    assert len(failing) == 6
    assert [answer.status_code for answer in answers] == [500] * 6 + [503] * 4
    assert ready.status_code == 503
    assert_safe(log, log_format)
    for path in failing:
        assert f"in {path[1:]}" in log or path == "/fail_to_answer"
    assert "database unreachable" in log


@with_analytics
@pytest.mark.parametrize(
    ("away", "log_format"),
    [
        ("DATABASE_URL", "json"),
        ("CLICKHOUSE_URL", "console"),
        pytest.param("DATABASE_URL", "console", marks=pytest.mark.complete),
        pytest.param("CLICKHOUSE_URL", "json", marks=pytest.mark.complete),
    ],
)
def test_a_relay_that_fails_logs_no_secret(
    service: Service, away: str, log_format: str, tmp_path: Path
) -> None:
    here = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/service.db",
        "CLICKHOUSE_URL": f"chdb:///{tmp_path}/clickhouse",
    }
    succeeded(run(service, here, "scripts/migrate.sh"))
    # Leaves an event to ship.
    create_key = ["python", "-m", PACKAGE, "create-key", "--email", "you@example.com"]
    succeeded(run(service, here, *create_key))
    settings = {**here, away: AWAY[away], "LOG_FORMAT": log_format}

    with subprocess.Popen(
        ["scripts/relay-events.sh", "--follow"],
        cwd=service.folder,
        env={**clean_environment(), **settings},
        stderr=subprocess.PIPE,
        text=True,
    ) as relay:
        assert relay.stderr is not None
        first = relay.stderr.readline()
        relay.send_signal(signal.SIGTERM)
        log = first + relay.communicate()[1]
    once = run(service, settings, "scripts/relay-events.sh")

    assert "events were not shipped" in log
    assert_safe(log, log_format)
    assert once.returncode == 1
    assert_safe(once.stderr, "console")


@combinations("async-postgresql", complete=["sync-sqlite", "sync-postgresql-clickhouse"])
def test_a_migration_that_fails_prints_no_secret(
    service: Service, change: Change, tmp_path: Path
) -> None:
    here = {"DATABASE_URL": f"sqlite:///{tmp_path}/service.db"}
    succeeded(run(service, here, "scripts/migrate.sh"))
    change(
        service.folder / "migrations" / "versions" / "9999_failing.py",
        f'''"""Fail."""

revision = "9999"
down_revision = "{service.head}"


def upgrade() -> None:
    raise ValueError("postgresql://me:{SPELLED}@host with password='{PASSWORD}' " * 10_000)


def downgrade() -> None:
    pass
''',
    )

    failed = run(service, here, "scripts/migrate.sh")
    unreachable = run(service, AWAY, "scripts/migrate.sh")
    status = run(service, AWAY, "scripts/migrate-status.sh")

    assert [result.returncode for result in (failed, unreachable, status)] == [1, 1, 1]
    assert "9999_failing.py, line 8" in failed.stderr
    for result in (failed, unreachable, status):
        assert_safe(result.stdout + result.stderr, "console")


def run(service: Service, variables: dict[str, str], *command: str) -> Result:
    """Run a command in the project, with other settings."""
    return service.run(*command, cwd=service.folder, **variables)


def assert_safe(log: str, log_format: str) -> None:
    """Check that what was logged holds no secret, and that its lines are short."""
    secrets = (PASSWORD, SPELLED, "s3cr", KEY, KEY.partition(".")[2], BODY["content"][:20])
    assert not [secret for secret in secrets if secret in log]
    assert max(map(len, log.splitlines())) < LINE_MAX
    if log_format == "json":
        for line in log.splitlines():
            json.loads(line)
    else:
        # Where a record has several lines, it begins with a time.
        assert max(map(len, log.split("\n20"))) < LINE_MAX
