"""Behind a transaction pooler the service works, and migrates past it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import sqlalchemy as sa

from tests.pooler import needs_pgbouncer, pgbouncer
from tests.running import succeeded, wait_until
from tests.service.conftest import Change
from tests.service.project import PACKAGE, Service, combinations
from tests.service.server import serve

REFUSED = 4
# A test of the service: its migrations, in its own process and in one that it starts.
PROBE = f"""
import subprocess, sys
import pytest, sqlalchemy as sa
from testdb import ProtectedDatabaseError
from {PACKAGE} import migrate

SHOW = "from {PACKAGE} import migrate; print(migrate.database().url)"

def test_migrations_go_where_the_service_goes(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{{tmp_path}}/own.db")
    child = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True)

    assert migrate.database().url.database == f"{{tmp_path}}/own.db"
    assert child.stdout == f"sqlite:///{{tmp_path}}/own.db\\n", child.stderr
    with pytest.raises(ProtectedDatabaseError):
        sa.create_engine("sqlite:///REAL").connect()
"""


@needs_pgbouncer
@combinations("async-postgresql", complete=["sync-postgresql-clickhouse"])
def test_no_request_fails_behind_a_pooler(service: Service, tmp_path: Path) -> None:
    direct = service.postgresql_url
    with (
        pgbouncer(sa.make_url(direct), default_pool_size=4) as url,
        ThreadPoolExecutor(8) as threads,
        psycopg.connect(direct, autocommit=True) as observer,
    ):
        pooled = {"DATABASE_URL": url.render_as_string(hide_password=False)}
        refused = service.script("migrate.sh", **pooled)
        succeeded(service.script("migrate.sh", **pooled, MIGRATION_DATABASE_URL=direct))
        create_key = ("python", "-m", PACKAGE, "create-key", "--email", "you@example.com")
        key = succeeded(service.run(*create_key, cwd=service.folder, **pooled)).strip()

        with serve(service, tmp_path, f"{PACKAGE}.main:serve", **pooled) as server:
            headers = {"X-API-Key": key}

            def ask(number: int) -> str:
                if number % 2:
                    return f"GET {server.get('/thoughts', headers=headers).status_code}"
                thought = {"content": f"Idea {number}"}
                posted = server.post("/thoughts", json=thought, headers=headers)
                return f"POST {posted.status_code}"

            answers = Counter(threads.map(ask, range(200)))
            ready = server.get("/health/ready").status_code
            if "clickhouse" in service.folder.parent.name:
                waiting = "SELECT count(*) FROM outbox WHERE shipped_at IS NULL"
                wait_until(lambda: observer.execute(waiting).fetchone() == (0,), server.process)
            server.stop()
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        locks = observer.execute(held).fetchone()

    assert refused.returncode == REFUSED
    assert "DATABASE_URL leads to a connection pooler" in refused.stderr
    assert "Next: set MIGRATION_DATABASE_URL to the address of" in refused.stderr
    assert answers == {"GET 200": 100, "POST 201": 100}
    assert ready == 200
    assert locks == (0,)


@combinations("sync-sqlite")
def test_the_two_urls_of_a_database_belong_together(
    service: Service, change: Change, tmp_path: Path
) -> None:
    own = {"DATABASE_URL": f"sqlite:///{tmp_path}/own.db"}
    away = "postgresql://me:s3cret@127.0.0.1:1/app"
    add_settings(service, change, f"MIGRATION_DATABASE_URL={away}")

    from_file = service.script("migrate-status.sh")
    from_environment = service.script("migrate-status.sh", **own)
    both = service.script("migrate-status.sh", **own, MIGRATION_DATABASE_URL=away)

    assert [from_file.returncode, both.returncode] == [1, 1]
    for failed in (from_file, both):
        assert "MIGRATION_DATABASE_URL, then run" in failed.stderr
        assert "s3cret" not in failed.stdout + failed.stderr
    assert "own.db" in succeeded(from_environment)


@combinations("sync-sqlite")
def test_tests_cannot_reach_the_database_of_migrations(
    service: Service, change: Change, tmp_path: Path
) -> None:
    real = tmp_path / "real.db"
    add_settings(service, change, f"MIGRATION_DATABASE_URL=sqlite:///{real}")
    change(service.folder / "tests" / "unit" / "test_probe.py", PROBE.replace("REAL", str(real)))

    succeeded(service.run("pytest", "-q", "--no-cov", "tests/unit/test_probe.py"))

    assert not real.exists()


def add_settings(service: Service, change: Change, line: str) -> None:
    """Add a line to the settings of a project."""
    path = service.folder / ".env"
    before = path.read_text() if path.exists() else ""
    change(path, f"{before}\n{line}\n")
