"""Runs the service's migrations on a test database, and on no other."""

import re
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, Engine, event

from .config import Isolation, configuration_files
from .logs import logging_kept

# Alembic itself is imported where it runs: a run that finds its template has no use for it.
if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory


CURE = """
Begin `run_migrations_online()` there with:

    connection = context.config.attributes.get("connection")
    if connection is not None:
        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()
        return

In a synchronous env.py this goes before `engine_from_config(...)`. In one that starts an event loop
it goes before the loop starts. In one that takes the database from the application's settings it
goes before they are read."""


TOML = 'give Isolation a Config(ROOT / "alembic.ini", toml_file=ROOT / "pyproject.toml")'


class TemplateError(RuntimeError):
    """The database that every test starts from cannot be made, so no test can run."""


class MigrationError(TemplateError):
    """The service's migrations fail. The cause is what a migration raised."""


# Of PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html
ROLE_ERRORS = {"42710": "already exists", "2BP01": "cannot be dropped"}
ROLES = """

Roles belong to the whole PostgreSQL server, not to a database: a role stays when a test database is
dropped, and other databases may use it. In a revision, create a role only if it is missing:

    op.execute("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app')"
               " THEN CREATE ROLE app; END IF; END $$")

and leave it in place in `downgrade()`: revoke what was granted to it, by DROP OWNED BY app."""

EXTENSIONS = """

The PostgreSQL server of the tests does not have this extension; the embedded one lacks pgcrypto and
uuid-ossp, for example. Next: set TEST_DATABASE_URL to a server that has it. For random UUIDs alone,
no extension is needed: gen_random_uuid() is PostgreSQL's own."""


FUNCTION = """

SQLite has no such function of its own. A function that your service registers as its engine
connects is missing here, as in `alembic upgrade`: let env.py register it on the connection that it
uses, before the migrations run:

    raw = connection.connection.driver_connection
    raw.create_function("name", 1, function, deterministic=True)"""


class UnusedConnectionError(MigrationError):
    """env.py does not run migrations on the connection that it is given."""


def migrate(alembic: "Config", connection: Connection) -> None:
    """Apply all migrations on a connection, and on no other database."""
    alembic.attributes["connection"] = connection
    with logging_kept(), at_configuration(alembic) as scripts:
        run_env(alembic, scripts)


def failure(error: Exception, scripts: "ScriptDirectory", *, is_configured: bool) -> MigrationError:
    """Return the error that says what failed, where in the migrations, and what may help."""
    folders = [Path(scripts.dir).resolve()]
    folders += [Path(folder).resolve() for folder in scripts.version_locations or ()]
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        file = Path(frame.filename).resolve()
        if any(file.is_relative_to(folder) for folder in folders):
            place = f" ({file}, line {frame.lineno})"
    env_py = Path(scripts.env_py_location)
    takes_connection = is_configured or "attributes" in env_py.read_text()
    cure = "" if takes_connection else f"\n\n{env_py} does not ask for the tests' connection.{CURE}"
    return MigrationError(
        f"The migrations fail, so no test can run: {error!r}{place}{hint(error)}{cure}"
    )


def hint(error: Exception) -> str:
    """Return what helps where a revision needs an extension, a function, or a role of its own."""
    original = getattr(error, "orig", error)
    if re.match(r'extension ".*" is not available', str(original)):
        return EXTENSIONS
    if str(original).startswith("no such function: "):
        return FUNCTION
    about = ROLE_ERRORS.get(getattr(original, "sqlstate", None) or "")
    is_of_role = about is not None and str(original).startswith("role ") and about in str(original)
    return ROLES if is_of_role else ""


def find_configuration(isolation: Isolation[Any], root: Path) -> None:
    """Complete the names of Alembic's files, which may be relative to a project's root.

    A relative path of a database may be so, too.
    """
    isolation.starts.append(root)
    alembic = isolation.alembic
    if isinstance(alembic, Path):
        object.__setattr__(isolation, "alembic", found_file(refuse_toml(alembic), root))
        return
    if alembic.config_file_name:
        refuse_toml(Path(alembic.config_file_name))
    for name in ("config_file_name", "toml_file_name"):
        if file := getattr(alembic, name, None):
            setattr(alembic, name, str(found_file(Path(file), root)))


def refuse_toml(file: Path) -> Path:
    """Return the path of an alembic.ini; a `pytest.UsageError` if it is a pyproject.toml."""
    if file.suffix == ".toml":
        raise pytest.UsageError(f"{file} is not an alembic.ini: {TOML}")
    return file


def found_file(name: Path, root: Path) -> Path:
    """Return the path of a file that may be relative to a project's root; a `pytest.UsageError`."""
    places = [name.absolute(), root / name]
    for place in places:
        if place.is_file():
            return place
    looked = " or ".join(dict.fromkeys(map(str, places)))
    raise pytest.UsageError(
        f"Alembic's configuration is not at {looked}: give Isolation a"
        ' Config(Path(__file__).parents[1] / "alembic.ini")'
    )


@contextmanager
def at_configuration(alembic: "Config") -> Iterator["ScriptDirectory"]:
    """Give the migrations, in the folder that people run Alembic in: relative paths start there.

    Raises:
        TemplateError: The configuration does not lead to migrations.
    """
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    files = configuration_files(alembic)
    with chdir(files[0].parent if files else Path()):
        try:
            scripts = ScriptDirectory.from_config(alembic)
        except CommandError as error:
            names = " and ".join(map(str, files)) or "no file"
            is_complete = getattr(alembic, "toml_file_name", None) is not None
            cure = "" if is_complete else f". If it is in pyproject.toml, {TOML}"
            message = (
                f"The configuration of Alembic at {names} leads to no migrations: {error}{cure}"
            )
            raise TemplateError(message) from error
        yield scripts


def run_env(alembic: "Config", scripts: "ScriptDirectory") -> None:
    """Run env.py as `alembic upgrade heads` does, unless it goes to another database."""
    from alembic.runtime.environment import EnvironmentContext

    was_run = is_configured = False

    def revisions(current: Any, _: object) -> Any:
        nonlocal was_run
        was_run = True
        return scripts._upgrade_revs("heads", current)

    environment = EnvironmentContext(alembic, scripts, fn=revisions, destination_rev="heads")
    configure = environment.configure

    def configure_given(connection: Connection | None = None, *rest: Any, **options: Any) -> None:
        if connection is not alembic.attributes["connection"]:
            raise unused(scripts, "called context.configure() without it")
        nonlocal is_configured
        is_configured = True
        configure(connection, *rest, **options)

    # Not in a subclass: Alembic shows env.py no object of one.
    environment.configure = configure_given  # type: ignore[method-assign]
    try:
        with environment, no_connections(unused(scripts, "opened a connection of its own")):
            # What it sets in the context ends with it, such as Flask's current app.
            copy_context().run(scripts.run_env)
    except UnusedConnectionError:
        raise
    except Exception as error:
        raise failure(error, scripts, is_configured=is_configured) from error
    if not was_run:
        raise unused(scripts, "did not call context.run_migrations()")


def unused(scripts: "ScriptDirectory", deed: str) -> UnusedConnectionError:
    """Return the error that says what env.py did, and how to change it."""
    return UnusedConnectionError(
        f"{scripts.env_py_location} does not use the connection that the tests put into"
        f" config.attributes: it {deed}. No migration was run.\n{CURE}"
    )


@contextmanager
def no_connections(error: Exception) -> Iterator[None]:
    """Refuse every connection that this thread opens meanwhile, before it reaches a database."""
    thread = threading.get_ident()

    def refuse(*_: object) -> None:
        if threading.get_ident() == thread:
            raise error

    # Before the guard, whose error would not speak of env.py.
    event.listen(Engine, "do_connect", refuse, insert=True)
    try:
        yield
    finally:
        event.remove(Engine, "do_connect", refuse)


def migrate_and_prepare(isolation: Isolation[Any], connection: Connection) -> None:
    """Make an empty database the one that every test starts from, and commit.

    Raises:
        TemplateError: A migration or the service's `prepare` fails.
    """
    migrate(isolation.configuration, connection)
    try:
        if isolation.prepare is not None:
            isolation.prepare(connection)
        connection.commit()
    except Exception as error:
        message = f"`prepare` of the Isolation fails, so no test can run: {error!r}"
        raise TemplateError(message) from error


def heads(alembic: "Config") -> Sequence[str]:
    """Return the revisions that a migrated database is at."""
    with at_configuration(alembic) as scripts:
        return scripts.get_heads()
