"""The commands behind `scripts/*.sh`: they ask, run, prove and report, and end in an exit code.

0 done, or nothing to do · 1 failed · 2 wrong call · 3 a lock was not to be had in time · 4 refused.
Whenever something fails, the message says where the database stands and what to do next.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from alembic.script import Script
from pydantic import ValidationError
from sqlalchemy import text

from placeholder_service.db.migrate import history
from placeholder_service.db.migrate.backup import back_up
from placeholder_service.db.migrate.config import relative_name
from placeholder_service.db.migrate.engine import (
    is_missing_file,
    make_migration_engine,
    one_run_at_a_time,
    reading,
)
from placeholder_service.db.migrate.errors import (
    LockTimeoutError,
    RefusedError,
    UnknownRevisionError,
)
from placeholder_service.db.migrate.failures import (
    reason_of,
    remedy_of,
    standing,
)
from placeholder_service.db.migrate.losses import losses
from placeholder_service.db.migrate.planning import LOCKS, plan
from placeholder_service.db.migrate.runs import downgrade, upgrade
from placeholder_service.db.migrate.scratch import new_revision
from placeholder_service.db.migrate.state import (
    Status,
    current_revisions,
    faults,
    pending_until,
    refuse_what_needs_a_person,
    status,
    to_take_back,
)
from placeholder_service.redaction import redact
from placeholder_service.settings import Environment, Settings, explain

DONE, FAILED, USAGE, LOCKED, REFUSED = range(5)
SEE_STATUS = "scripts/migrate-status.sh shows which there are."


def run_upgrade(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out `upgrade`: apply, prove, and say what changed."""
    if settings.url.database in (None, "", ":memory:"):
        raise RefusedError("DATABASE_URL names no database that would be left")
    if arguments.plan:
        return show_plan(arguments.revision)
    before = status()
    if arguments.accept_edited:
        accept_edited(before, settings)
        before = status()
    refuse_what_needs_a_person(before)
    pending = pending_until(before, arguments.revision)
    started = time.monotonic()
    ours: list[Script] = []

    def report(script: Script, seconds: float) -> None:
        ours.append(script)
        show_step(script, seconds)

    if pending:
        upgrade(pending[-1].revision, report=report)
    after = status()
    if faulty := find_faults(after, pending, settings):
        first = f"Failed: the database is at {after.revision}, but it is not sound:"
        return fail(FAILED, first, *(f"  {fault}" for fault in faulty))
    if not pending:
        print(f"Nothing to do: the database is at {after.revision}.")
    elif not ours:
        print(f"Nothing left to do: another run has brought the database to {after.revision}.")
    else:
        seconds = time.monotonic() - started
        print(f"Upgraded from {before.revision} to {after.revision} in {seconds:.2f} s.")
        print("Proved: the revision, indexes, constraints, foreign keys, no leftovers.")
    return DONE


def find_faults(after: Status, wanted: Sequence[Script], settings: Settings) -> list[str]:
    """Return what the database itself shows to be wrong after an upgrade."""
    found = []
    if not is_missing_file(settings.url):
        with reading(settings.url) as connection:
            found = faults(connection)
    missing = {script.revision for script in wanted} & {it.revision for it in after.pending}
    return found + [f"revision {revision} is not applied" for revision in sorted(missing)]


def show_step(script: Script, seconds: float) -> None:
    """Print a line for a revision that was run."""
    print(f"  {script.revision}  {title(script)}  ({seconds:.2f} s)", flush=True)


def title(script: Script) -> str:
    """Return the first line of a revision's docstring."""
    return str(script.doc).rstrip(".")


def accept_edited(found: Status, settings: Settings) -> None:
    """Take the text that edited revisions have now for what was applied."""
    engine = make_migration_engine(
        settings.url,
        settings.migration_lock_timeout_ms,
        settings.migration_wait_seconds,
    )
    with engine.begin() as connection:
        for script in found.edited:
            history.accept(connection, script)
            print(f"Accepted {relative_name(script.path)} as it is now.")


def show_plan(revision: str) -> int:
    """Print what an upgrade would do."""
    planned = plan(revision)
    if not planned.pending:
        print(f"Nothing to do: the database is at {status().revision}.")
        return DONE
    print("Pending:")
    for script in planned.pending:
        print(f"  {script.revision}  {title(script)}")
    print(f"\nSQL:\n\n{planned.sql.strip()}\n")
    print("Locks:")
    for name, lock in planned.locks.items():
        print(f"  {name}: {lock}, which stops {LOCKS[lock]}")
    if not planned.locks:
        print("  none on tables that are there already")
    if planned.findings is not None:
        print(f"\nsquawk: {planned.findings or 'no findings'}")
    print("\nNothing was changed.")
    return DONE


def run_downgrade(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out `downgrade`, unless it is unwanted or unsafe, and say what changed."""
    before = status()
    if not before.revisions:
        print("Nothing to do: the database has no schema.")
        return DONE
    if settings.environment is Environment.PRODUCTION and not (
        arguments.allow_production and arguments.target
    ):
        raise RefusedError(
            "a downgrade deletes data, and this is production. If you mean it, name the"
            " target: migrate-down.sh --allow-production REVISION"
        )
    if before.unknown:
        refuse_what_needs_a_person(before)
    doomed = to_take_back(before, step_or_revision(arguments.target or "1"))
    if not doomed:
        print(f"Nothing to do: the database is at {before.revision}.")
        return DONE
    refuse_the_irreversible(doomed)
    target = doomed[-1].down_revision or "base"
    assert isinstance(target, str), "the history is linear"
    # Where this breaks off, a number of steps would be counted anew.
    arguments.target = target
    show_losses(before, target, settings)
    confirm(arguments)
    path = back_up(settings.url, before.revision, settings.backup_folder)
    print(f"Backup: {path}, read again and complete.")
    downgrade(target, report=show_step)
    after = status()
    if not after.revisions:
        remove_empty_version_table(settings)
    print(f"Downgraded from {before.revision} to {after.revision}.")
    return DONE


def step_or_revision(target: str) -> str:
    """Turn a number of steps, such as 2 or -2, into Alembic's form; leave revisions alone."""
    steps = target.removeprefix("-")
    is_revision = len(steps) > 3 or not steps.isdigit()
    return target if is_revision else f"-{steps}"


def refuse_the_irreversible(doomed: Sequence[Script]) -> None:
    """Make sure that each revision can be taken back.

    Raises:
        RefusedError: One says that it cannot.
    """
    for script in doomed:
        if reason := getattr(script.module, "irreversible", None):
            raise RefusedError(
                f"{script.revision} cannot be taken back: {reason}."
                " Next: restore a backup, or write a new revision"
            )


def show_losses(found: Status, target: str, settings: Settings) -> None:
    """Print what a downgrade deletes."""
    with reading(settings.url) as connection:
        lost = losses(connection, found.revisions[0], target)
    print(f"This goes from {found.revision} back to {target}, and deletes:")
    for loss in lost:
        print(f"  {loss}")
    if not lost:
        print("  no table and no column")


def confirm(arguments: argparse.Namespace) -> None:
    """Ask, unless `--yes` was given.

    Raises:
        RefusedError: The answer was no, or there is nobody to ask.
    """
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise RefusedError("there is no terminal to ask in. Next: use --yes if you mean it")
    if input("Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise RefusedError("the answer was no")


def remove_empty_version_table(settings: Settings) -> None:
    """Drop Alembic's own table from a database that is back at base, so that nothing is left.

    Not if another run has begun anew meanwhile.
    """
    url, wait = settings.url, settings.migration_wait_seconds
    engine = make_migration_engine(url, settings.migration_lock_timeout_ms, wait)
    with one_run_at_a_time(url, wait), engine.begin() as connection:
        if not current_revisions(connection):
            connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def run_status(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out `status`."""
    found = status()
    print(f"Database: {redact(repr(settings.url), settings.secrets)}")
    print(f"Revision: {found.revision}")
    print(f"Head:     {' and '.join(found.heads)}")
    for script in found.applied:
        when = told(found.history.get(script.revision))
        print(f"  applied  {script.revision}  {title(script)}  ({when})")
    for script in found.pending:
        print(f"  pending  {script.revision}  {title(script)}")
    for script in found.edited:
        print(f"Edited after it was applied: {relative_name(script.path)}")
    for revision in found.unknown:
        print(f"Not one of these migrations: {revision}")
    return DONE


def told(entry: history.Entry | None) -> str:
    """Return what is known of an applied revision."""
    if entry is None:
        return "before there was a history"
    took = "" if entry.seconds is None else f", {entry.seconds:.2f} s"
    return f"{entry.applied_at:%Y-%m-%d %H:%M:%S} UTC by {entry.applied_by}{took}"


def run_new(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out `new`."""
    if not arguments.message.strip():
        print('Say what the migration does: new-migration.sh "add users.locale"', file=sys.stderr)
        return USAGE
    path = new_revision(arguments.message)
    print(f"Wrote {relative_name(path)}.")
    print("Read it before you commit it: migrations/README.md says what to look for.")
    return DONE


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command's function and its arguments; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(
        prog="migrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("upgrade", prog="migrate.sh", help="apply migrations")
    up.add_argument("revision", nargs="?", default="head", help="where to stop; all by default")
    up.add_argument("--plan", action="store_true", help="show what would be done, and do nothing")
    up.add_argument(
        "--accept-edited",
        action="store_true",
        help="take revisions that were edited after they were applied as they are now",
    )
    up.set_defaults(run=run_upgrade)

    down = commands.add_parser("downgrade", prog="migrate-down.sh", help="roll migrations back")
    down.add_argument("target", nargs="?", help="steps, a revision, or base; one step by default")
    down.add_argument("--yes", action="store_true", help="do not ask")
    down.add_argument(
        "--allow-production",
        action="store_true",
        help="with a target: also where ENVIRONMENT=production",
    )
    down.set_defaults(run=run_downgrade)

    shown = commands.add_parser("status", prog="migrate-status.sh", help="show where it stands")
    shown.set_defaults(run=run_status)

    new = commands.add_parser("new", prog="new-migration.sh", help="write a migration")
    new.add_argument("message", help='what it does, such as "add users.locale"')
    new.set_defaults(run=run_new)
    # if analytics == clickhouse

    for parser_of_one in (up, down, shown, new):
        parser_of_one.add_argument("--analytics", action="store_true", help="for ClickHouse only")
    # end if
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = parse_arguments(argv)
    try:
        code: int = arguments.run(arguments, Settings())
    except ValidationError as error:
        return fail(FAILED, explain(error))
    except RefusedError as error:
        return fail(REFUSED, f"Refused, nothing was changed: {error}.")
    except UnknownRevisionError as error:
        return fail(USAGE, f"Wrong call, nothing was changed: {error}. Next: {SEE_STATUS}")
    except LockTimeoutError as error:
        remedy = f"wait for the other one, or raise {error.setting}"
        return fail(LOCKED, f"No lock: {error}.", standing(remedy, again(arguments)))
    except Exception as error:  # noqa: BLE001  # a revision is any code, and raises anything
        where = standing(remedy_of(error), again(arguments))
        return fail(FAILED, f"Failed: {reason_of(error)}.", where)
    return code


def again(arguments: argparse.Namespace, *options: str) -> str:
    """Return the command that goes on where a run broke off."""
    given = vars(arguments)
    if not given.get("target"):
        return "the same command again"
    flags = [f"--{name}" for name in ("yes", "allow-production") if given[name.replace("-", "_")]]
    return " ".join(["scripts/migrate-down.sh", *options, *flags, given["target"]])


def fail(code: int, *lines: str) -> int:
    """Say what went wrong, and return the exit code."""
    print(*lines, sep="\n", file=sys.stderr)
    return code
