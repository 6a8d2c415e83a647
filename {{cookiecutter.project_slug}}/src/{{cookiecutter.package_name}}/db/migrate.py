"""Applies, rolls back and writes migrations: what `scripts/*.sh` run.

Everything here also works from Python. The functions take a connection where the caller has
one, and use the configured database otherwise.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from alembic.util import CommandError
from pydantic import ValidationError
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from {{cookiecutter.package_name}}.db.migration_engine import make_migration_engine
from {{cookiecutter.package_name}}.settings import PROJECT_ROOT, Environment, Settings

DONE, FAILED, USAGE, REFUSED = 0, 1, 2, 4


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, bound to a connection if one is given."""
    # Alembic reports to a stream; whoever calls from Python gets results and exceptions instead.
    config = Config(PROJECT_ROOT / "alembic.ini", stdout=StringIO())
    config.attributes["connection"] = connection
    return config


def upgrade(revision: str = "head", connection: Connection | None = None) -> None:
    """Apply revisions up to and including `revision`.

    Raises:
        alembic.util.CommandError: The revision is unknown, or there are two heads.
        sqlalchemy.exc.SQLAlchemyError: The database refused; it stands at a whole revision.
    """
    command.upgrade(alembic_config(connection), revision)


def downgrade(revision: str = "-1", connection: Connection | None = None) -> None:
    """Roll back to `revision`: a number of steps such as -1, a revision, or `base`.

    Raises:
        alembic.util.CommandError: The revision is unknown, or there is nothing to roll back.
        sqlalchemy.exc.SQLAlchemyError: The database refused; it stands at a whole revision.
    """
    command.downgrade(alembic_config(connection), revision)


def current_revision(settings: Settings) -> str | None:
    """Return the revision the configured database is at; None if it has no schema yet."""
    if is_missing_file(settings):
        return None
    engine = make_migration_engine(settings.url, settings.migration_lock_timeout_ms)
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def new_revision(message: str) -> Path:
    """Write a revision with what the models have and the migrations lack; empty if nothing.

    Returns:
        The file that was written.

    The comparison is with a scratch database in memory, migrated to head. So it needs no server
    and never depends on what happens to be in the development database.
    """
    # The message becomes a docstring.
    message = message.replace("\\", "/").replace('"', "'")
    scratch = create_engine("sqlite://", poolclass=NullPool)
    with scratch.connect() as connection:
        upgrade("head", connection)
        script = command.revision(alembic_config(connection), message, autogenerate=True)
    assert isinstance(script, Script), "one message makes one revision"
    return Path(script.path)


def is_missing_file(settings: Settings) -> bool:
    """Tell whether the database is a file that is not there. Connecting would create it."""
    url = settings.url
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return is_file and not Path(str(url.database)).exists()


def remove_empty_version_table(settings: Settings) -> None:
    """Drop Alembic's own table from a database that is back at base, so that nothing is left."""
    engine = make_migration_engine(settings.url, settings.migration_lock_timeout_ms)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def run_upgrade(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out `upgrade`, and say what changed."""
    if settings.url.database in (None, "", ":memory:"):
        print("Refused: DATABASE_URL names no database that would be left.", file=sys.stderr)
        return REFUSED
    before = current_revision(settings)
    show_applied_revisions()
    upgrade(arguments.revision)
    after = current_revision(settings)
    if before == after:
        print(f"Nothing to do: the database is at {after}.")
    else:
        print(f"Upgraded from {before or 'an empty schema'} to {after}.")
    return DONE


def run_downgrade(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out `downgrade`, unless it is unwanted or unsafe, and say what changed."""
    before = current_revision(settings)
    if before is None:
        print("Nothing to do: the database has no schema.")
        return DONE
    production = settings.environment is Environment.PRODUCTION
    if production and not (arguments.allow_production and arguments.target and arguments.yes):
        print(
            "Refused: a downgrade deletes data, and this is production. If you mean it, name the"
            " target: migrate-down.sh --yes --allow-production REVISION",
            file=sys.stderr,
        )
        return REFUSED
    target = step_or_revision(arguments.target or "1")
    if not arguments.yes and sys.stdin.isatty():
        answer = input(f"Roll back from {before} by {target}? Tables and rows are lost. [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            print("Nothing was changed.")
            return REFUSED
    show_applied_revisions()
    downgrade(target)
    after = current_revision(settings)
    if after is None:
        remove_empty_version_table(settings)
    print(f"Downgraded from {before} to {after or 'an empty schema'}.")
    return DONE


def step_or_revision(target: str) -> str:
    """Turn a number of steps, such as 2 or -2, into Alembic's form; leave revisions alone."""
    steps = target.removeprefix("-")
    is_revision = len(steps) > 3 or not steps.isdigit()
    return target if is_revision else f"-{steps}"


def run_new(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out `new`."""
    if not arguments.message.strip():
        print('Say what the migration does: new-migration.sh "add users.locale"', file=sys.stderr)
        return USAGE
    path = new_revision(arguments.message)
    print(f"Wrote {path.relative_to(PROJECT_ROOT)}.")
    print("Read it before you commit it: migrations/README.md says what to look for.")
    return DONE


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command's function and its arguments; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("upgrade", prog="migrate.sh", help="apply migrations")
    up.add_argument("revision", nargs="?", default="head", help="where to stop; all by default")
    up.set_defaults(run=run_upgrade)

    down = commands.add_parser("downgrade", prog="migrate-down.sh", help="roll migrations back")
    down.add_argument("target", nargs="?", help="steps, a revision, or base; one step by default")
    down.add_argument(
        "--yes", action="store_true", help="do not ask; without a terminal, nobody is"
    )
    down.add_argument(
        "--allow-production",
        action="store_true",
        help="with --yes and a target: also where ENVIRONMENT=production",
    )
    down.set_defaults(run=run_downgrade)

    new = commands.add_parser("new", prog="new-migration.sh", help="write a migration")
    new.add_argument("message", help='what it does, such as "add users.locale"')
    new.set_defaults(run=run_new)
    return parser.parse_args(argv)


def show_applied_revisions() -> None:
    """Print a line for each revision as Alembic runs it, and nothing else that it logs."""
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logger = logging.getLogger("alembic.runtime.migration")
    logger.setLevel(logging.INFO)
    logger.addFilter(lambda record: record.getMessage().startswith("Running"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong call, 4 refused."""
    arguments = parse_arguments(argv)
    try:
        settings = Settings()
        code: int = arguments.run(arguments, settings)
    except ValidationError as error:
        faults = "; ".join(fault["msg"] for fault in error.errors(include_input=False))
        print(f"The settings are not usable: {faults}. See .env.example.", file=sys.stderr)
        return FAILED
    except (CommandError, SQLAlchemyError, RuntimeError, OSError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        print(f"Failed: {str(reason).strip()}", file=sys.stderr)
        print(
            "No revision is half applied. Mend the cause and run the same command again.",
            file=sys.stderr,
        )
        return FAILED
    return code


if __name__ == "__main__":
    sys.exit(main())
