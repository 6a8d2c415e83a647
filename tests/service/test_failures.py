"""What a running service does when something fails or somebody sends it too much.

Logs of failures are short and hold no secret, in both formats; large, deep and endless bodies are
refused before they cost anything; a database that hangs, or has no connection left, stops neither
liveness nor readiness.
"""

import contextlib
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg
import pytest

from tests.service.conftest import Change
from tests.service.project import PACKAGE, Service, combinations, succeeded

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
LIMIT = 1_048_576

one_of_each_style = combinations("sync-sqlite", "async-postgresql")
with_analytics = combinations("sync-postgresql-clickhouse", "async-sqlite-clickhouse")
each_format = pytest.mark.parametrize("log_format", ["json", "console"])


# What is logged


@one_of_each_style
@each_format
def test_failures_are_logged_briefly_and_without_secrets(
    service: Service, log_format: str, tmp_path: Path
) -> None:
    settings = {**AWAY, "ENVIRONMENT": "production", "LOG_FORMAT": log_format}
    headers = {"X-API-Key": KEY}

    with served(service, tmp_path, "failing_service:app", **settings) as server:
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
@each_format
@pytest.mark.parametrize("away", AWAY)
def test_a_relay_that_fails_logs_no_secret(
    service: Service, log_format: str, away: str, tmp_path: Path
) -> None:
    here = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/service.db",
        "CLICKHOUSE_URL": f"chdb:///{tmp_path}/clickhouse",
        "LOG_FORMAT": log_format,
    }
    succeeded(run(service, here, "scripts/migrate.sh"))
    # Leaves an event to ship.
    create_key = ["python", "-m", PACKAGE, "create-key", "--email", "you@example.com"]
    succeeded(run(service, here, *create_key))

    with subprocess.Popen(
        ["scripts/relay-events.sh", "--follow"],
        cwd=service.folder,
        env={**service.environment, **here, away: AWAY[away]},
        stderr=subprocess.PIPE,
        text=True,
    ) as relay:
        assert relay.stderr is not None
        first = relay.stderr.readline()
        relay.send_signal(signal.SIGTERM)
        log = first + relay.communicate()[1]
    once = run(service, {**here, away: AWAY[away]}, "scripts/relay-events.sh")

    assert "events were not shipped" in log
    assert_safe(log, log_format)
    assert once.returncode == 1
    assert_safe(once.stderr, "console")


@combinations("sync-sqlite", "async-postgresql", "sync-postgresql-clickhouse")
def test_a_migration_that_fails_prints_no_secret(
    service: Service, change: Change, tmp_path: Path
) -> None:
    here = {"DATABASE_URL": f"sqlite:///{tmp_path}/service.db"}
    succeeded(run(service, here, "scripts/migrate.sh"))
    last = succeeded(run(service, here, "alembic", "heads")).split()[0]
    change(
        service.folder / "migrations" / "versions" / "9999_failing.py",
        f'''"""Fail."""

revision = "9999"
down_revision = "{last}"


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


def run(
    service: Service, variables: dict[str, str], *command: str
) -> subprocess.CompletedProcess[str]:
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


# What is refused


@dataclass
class Sent:
    """A request, written to a socket as it is.

    Attributes:
        headers: Further header lines.
        parts: The body, written part by part.
        status: The right answer, with a valid key.
        without_key: The right answer without one.

    """

    headers: list[str]
    parts: list[bytes]
    status: int
    without_key: int


def sized(body: bytes, times: int = 1) -> tuple[list[str], list[bytes]]:
    """Return the header and the parts of a body whose length is declared."""
    return [f"Content-Length: {len(body) * times}"], [body] * times


def chunked(body: bytes, times: int = 1) -> tuple[list[str], list[bytes]]:
    """Return the header and the parts of a body whose length is not declared."""
    chunk = b"%x\r\n%b\r\n" % (len(body), body)
    return ["Transfer-Encoding: chunked"], [chunk] * times + [b"0\r\n\r\n"]


DEEP = b'{"content": "x", "tags": ' + b"[" * 900 + b"]" * 900 + b"}"
FIELDS = b"{" + b",".join(b'"field-%d":0' % number for number in range(1_000_000)) + b"}"
MEGABYTE = b" " * 1_000_000
SENT = {
    "deep": Sent(*sized(DEEP), 422, 401),
    "deep, chunked": Sent(*chunked(DEEP), 422, 401),
    "just small enough": Sent(*sized(b" " * LIMIT), 422, 401),
    "just too large": Sent(*sized(b" " * (LIMIT + 1)), 413, 413),
    "just too large, chunked": Sent(*chunked(b" " * (LIMIT + 1)), 413, 413),
    "a million fields": Sent(*sized(FIELDS), 413, 413),
    "100 MB": Sent(*sized(MEGABYTE, 100), 413, 413),
    "100 MB, chunked": Sent(*chunked(MEGABYTE, 100), 413, 413),
    # What follows the body that was declared is not HTTP; the server itself says so.
    "a lie about the length": Sent(["Content-Length: 3"], [MEGABYTE], 400, 400),
    "a length that is never sent": Sent(["Content-Length: 100000000"], [], 413, 413),
    "a length no integer holds": Sent([f"Content-Length: {'9' * 18}"], [b"{"], 413, 413),
    "asked before it is sent": Sent(
        ["Content-Length: 100000000", "Expect: 100-continue"], [], 413, 413
    ),
}


@one_of_each_style
def test_hostile_bodies_cost_nothing(service: Service, tmp_path: Path) -> None:
    service.migrate()
    key = service.create_key()

    with served(service, tmp_path, f"{PACKAGE}.main:serve") as server:
        server.get("/thoughts", headers={"X-API-Key": key})
        before = server.peak_memory()
        answers = {
            (name, has_key): send(server, request, [f"X-API-Key: {key}"] if has_key else [])
            for name, request in SENT.items()
            for has_key in (True, False)
        }
        growth = server.peak_memory() - before
        created = server.post("/thoughts", json=BODY, headers={"X-API-Key": key})
        log = server.stop()

    assert {name: status for name, (status, _) in answers.items()} == {
        (name, has_key): request.status if has_key else request.without_key
        for name, request in SENT.items()
        for has_key in (True, False)
    }
    for status, answer in answers.values():
        assert "application/problem+json" in answer or status == 400
    assert created.status_code == 201
    assert growth < 50_000_000
    assert "Traceback" not in log


def send(server: "Server", request: Sent, headers: list[str]) -> tuple[int, str]:
    """Send a request, asking for liveness in the middle of it; return the answer and its status."""
    lines = ["POST /thoughts HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    head = "\r\n".join([*lines, *headers, *request.headers, "", ""])
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode())
        half = len(request.parts) // 2
        # Servers may close a connection that is refused while the client still sends.
        with contextlib.suppress(ConnectionError):
            for part in request.parts[:half]:
                connection.sendall(part)
        assert server.get("/health/live").status_code == 200
        with contextlib.suppress(ConnectionError):
            for part in request.parts[half:]:
                connection.sendall(part)
        answer = connection.recv(65536).decode()
    return int(answer.split()[1]), answer


# What goes on


@combinations("sync-postgresql-clickhouse", "async-postgresql")
def test_requests_that_use_every_connection_stop_no_probe(service: Service, tmp_path: Path) -> None:
    service.migrate()
    headers = {"X-API-Key": service.create_key()}
    size, crowd = 3, 60

    with (
        served(service, tmp_path, f"{PACKAGE}.main:serve", DATABASE_POOL_SIZE=str(size)) as server,
        psycopg.connect(service.postgresql_url) as holder,
        psycopg.connect(service.postgresql_url, autocommit=True) as observer,
        ThreadPoolExecutor(crowd) as threads,
    ):
        holder.execute("LOCK TABLE api_keys")
        answers = [threads.submit(server.get, "/thoughts", headers=headers) for _ in range(crowd)]
        wait_for_locks(observer, size)
        probes = [server.get(f"/health/{name}") for name in ("live", "ready") * 5]
        waiting = count_locks(observer)
        holder.rollback()
        statuses = {answer.result().status_code for answer in answers}

    assert {probe.status_code for probe in probes} == {200}
    assert waiting == size
    assert statuses == {200}


def wait_for_locks(connection: psycopg.Connection, number: int) -> None:
    """Wait until so many connections wait for a lock."""
    deadline = time.monotonic() + 60
    while count_locks(connection) < number:
        assert time.monotonic() < deadline, "the requests do not reach the database"
        time.sleep(0.05)


def count_locks(connection: psycopg.Connection) -> int:
    """Return how many connections wait for a lock."""
    query = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


@one_of_each_style
def test_a_database_that_hangs_takes_no_threads(service: Service, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as silent:
        url = f"postgresql://service:password@127.0.0.1:{silent.getsockname()[1]}/service"
        with (
            served(service, tmp_path, f"{PACKAGE}.main:serve", DATABASE_URL=url) as server,
            ThreadPoolExecutor(60) as threads,
        ):
            headers = {"X-API-Key": KEY}
            asked = [threads.submit(server.get, "/health/ready") for _ in range(50)]
            stuck = [threads.submit(server.get, "/thoughts", headers=headers) for _ in range(10)]
            ready = {answer.result().status_code for answer in asked}
            alive = server.get("/health/live").status_code
            number = server.threads()
            answers = {answer.result().status_code for answer in stuck}

    assert ready == {503}
    assert alive == 200
    # Requests of the synchronous style have a thread each; all the probes together have one.
    assert number < 30
    assert answers == {503}


# The server


class Server(httpx2.Client):
    """A client of a service that runs as a process of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        """Know where it listens, and where its log is."""
        # The server closes a connection after a failure.
        no_reuse = httpx2.Limits(max_keepalive_connections=0)
        super().__init__(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=no_reuse)
        self.process = process
        self.port = port
        self.log = log

    def peak_memory(self) -> int:
        """Return the most memory the process had so far, in bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(peak) * 1024

    def threads(self) -> int:
        """Return how many threads the process has."""
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def stop(self) -> str:
        """Stop the service, and return its log."""
        self.process.terminate()
        self.process.wait(timeout=60)
        return self.log.read_text()


@contextlib.contextmanager
def served(service: Service, folder: Path, app: str, **variables: str) -> Iterator[Server]:
    """Serve a project's app on a free port until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "serve.log"
    program = service.folder / ".venv" / "bin" / "uvicorn"
    where = ["--app-dir", str(Path(__file__).parent), "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [program, "--factory", *where, app],
            cwd=service.folder,
            env={**service.environment, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        with Server(process, port, log) as server:
            deadline = time.monotonic() + 60
            while "Uvicorn running" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, "the service does not start"
                time.sleep(0.1)
            yield server
    finally:
        process.kill()
        process.wait()
