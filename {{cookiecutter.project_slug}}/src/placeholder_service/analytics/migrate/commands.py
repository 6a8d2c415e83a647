"""The commands behind `scripts/*.sh`, for both databases: the transactional one, then ClickHouse.

A command that names a revision means one of the transactional database, or of ClickHouse with
`--analytics`. Exit codes are those of `db.migrate.commands`.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from alembic import command
from alembic.script import Script
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from placeholder_service.analytics.client import UnreachableError
from placeholder_service.analytics.migrate import history
from placeholder_service.analytics.migrate.backup import back_up
from placeholder_service.analytics.migrate.config import alembic_config
from placeholder_service.analytics.migrate.connections import (
    connecting,
    keeping,
    only_run,
)
from placeholder_service.analytics.migrate.planning import (
    downgrade_sql,
    losses,
    upgrade_sql,
)
from placeholder_service.analytics.migrate.runs import downgrade, upgrade
from placeholder_service.analytics.migrate.state import (
    ClickHouseStatus,
    pending_until,
    refuse_what_needs_a_person,
    status,
    to_take_back,
)
from placeholder_service.db.migrate import commands as transactional
from placeholder_service.db.migrate.commands import (
    DONE,
    FAILED,
    LOCKED,
    REFUSED,
    USAGE,
    again,
    confirm,
    fail,
    refuse_the_irreversible,
    show_step,
    step_or_revision,
    title,
    told,
)
from placeholder_service.db.migrate.config import relative_name
from placeholder_service.db.migrate.errors import (
    LockTimeoutError,
    RefusedError,
    UnknownRevisionError,
)
from placeholder_service.db.migrate.failures import reason_of
from placeholder_service.settings import Environment, Settings, explain

SEE_STATUS = "scripts/migrate-status.sh shows which there are."

# A change of rows goes on after its statement, and is tried again for ever if it fails.
FAILING = text("""
    SELECT table, command, latest_fail_reason FROM system.mutations
    WHERE database = currentDatabase() AND NOT is_done AND latest_fail_reason != ''
""")


def run_upgrade(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out `upgrade`: apply, prove, and say what changed."""
    before = status()
    if arguments.accept_edited and not arguments.plan:
        accept_edited(before)
        before = status()
    refuse_what_needs_a_person(before)
    pending = pending_until(before, arguments.revision)
    if arguments.plan:
        return show_plan(before, pending)
    started = time.monotonic()
    ours: list[Script] = []

    def report(script: Script, seconds: float) -> None:
        ours.append(script)
        show_step(script, seconds)

    with keeping(settings.clickhouse):
        if pending:
            upgrade(pending[-1].revision, report=report)
        after = status()
        faulty = find_faults(settings)
    if faulty:
        first = f"Failed: ClickHouse is at {after.revision}, but it is not sound:"
        return fail(FAILED, first, *(f"  {fault}" for fault in faulty))
    if not pending:
        print(f"Nothing to do: ClickHouse is at {before.revision}.")
        return DONE
    if not ours:
        print(f"Nothing left to do: another run has brought ClickHouse to {after.revision}.")
        return DONE
    seconds = time.monotonic() - started
    print(f"Upgraded ClickHouse from {before.revision} to {after.revision} in {seconds:.2f} s.")
    print("Proved: the revision, and no change of rows that fails.")
    return DONE


def accept_edited(found: ClickHouseStatus) -> None:
    """Take the text that edited revisions have now for what was applied."""
    if not found.edited:
        return
    with only_run() as connection:
        for script in found.edited:
            history.note(connection, script, "accept")
            print(f"Accepted {relative_name(script.path)} as it is now.")


def show_plan(before: ClickHouseStatus, pending: Sequence[Script]) -> int:
    """Print what an upgrade would do."""
    if not pending:
        print(f"Nothing to do: ClickHouse is at {before.revision}.")
        return DONE
    print("Pending in ClickHouse:")
    for script in pending:
        print(f"  {script.revision}  {title(script)}")
    print(f"\nSQL:\n\n{upgrade_sql(before, pending[-1].revision)}\n")
    print("Nothing was changed.")
    return DONE


def find_faults(settings: Settings) -> list[str]:
    """Return what ClickHouse itself shows to be wrong after an upgrade."""
    with connecting(settings.clickhouse) as connection:
        return [
            f"{table}: {change} fails: {reason}; next: KILL MUTATION, and mend the revision"
            for table, change, reason in connection.execute(FAILING)
        ]


def run_downgrade(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out `downgrade`, unless it is unwanted or unsafe, and say what changed."""
    before = status()
    if not before.reached:
        print("Nothing to do: ClickHouse has no schema.")
        return DONE
    if settings.environment is Environment.PRODUCTION and not (
        arguments.allow_production and arguments.target
    ):
        raise RefusedError(
            "a downgrade deletes data, and this is production. If you mean it, name the"
            " target: migrate-down.sh --analytics --allow-production REVISION"
        )
    if before.unknown:
        refuse_what_needs_a_person(before)
    doomed = to_take_back(before, step_or_revision(arguments.target or "1"))
    if not doomed:
        print(f"Nothing to do: ClickHouse is at {before.revision}.")
        return DONE
    refuse_the_irreversible(doomed)
    # Where this breaks off, a number of steps would be counted anew.
    arguments.target = target = str(doomed[-1].down_revision or "base")
    [start] = before.reached
    with connecting(settings.clickhouse) as connection:
        lost = losses(connection, downgrade_sql(before, target))
    print(f"This takes ClickHouse from {start} back to {target}, and deletes:")
    for loss in lost:
        print(f"  {loss}")
    if not lost:
        print("  no table and no column")
    confirm(arguments)
    tables = sorted({loss.name.partition(".")[0] for loss in lost})
    if tables:
        path = back_up(settings.clickhouse, tables, start, settings.backup_folder)
        print(f"Backup: {path}, read again and complete.")
    with keeping(settings.clickhouse):
        downgrade(target, report=show_step)
        after = status()
    print(f"Downgraded ClickHouse from {start} to {after.revision}.")
    return DONE


def run_status(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out `status`."""
    found = status()
    print(f"ClickHouse: {settings.clickhouse!r}")
    print(f"Revision:   {found.revision}")
    print(f"Head:       {' and '.join(found.heads)}")
    for script in found.applied:
        when = told(found.history.get(script.revision))
        print(f"  applied  {script.revision}  {title(script)}  ({when})")
    for script in found.pending:
        word = "begun    " if script == found.unfinished else "pending  "
        print(f"  {word}{script.revision}  {title(script)}")
    for script in found.edited:
        print(f"Edited after it was applied: {relative_name(script.path)}")
    for revision in found.unknown:
        print(f"Not one of these migrations: {revision}")
    return DONE


def run_new(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out `new`."""
    if not arguments.message.strip():
        example = 'new-migration.sh --analytics "add events.source"'
        return fail(USAGE, f"Say what the migration does: {example}")
    # The message becomes a docstring.
    message = arguments.message.replace("\\", "/").replace('"', "'")
    script = command.revision(alembic_config(), message)
    assert isinstance(script, Script), "one message makes one revision"
    print(f"Wrote {relative_name(script.path)}.")
    print("Fill it in: migrations/README.md says what to look for.")
    return DONE


COMMANDS = {
    transactional.run_upgrade: run_upgrade,
    transactional.run_downgrade: run_downgrade,
    transactional.run_status: run_status,
    transactional.run_new: run_new,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command on one database or on both, and return its exit code."""
    arguments = transactional.parse_arguments(argv)
    if not arguments.analytics:
        code = transactional.main(argv)
        is_upgrade_of_all = getattr(arguments, "revision", None) == "head"
        if code != DONE or not (is_upgrade_of_all or arguments.run is transactional.run_status):
            return code
    return run(arguments)


def run(arguments: argparse.Namespace) -> int:
    """Run one command on ClickHouse, and return its exit code."""
    try:
        return COMMANDS[arguments.run](arguments, Settings())
    except ValidationError as error:
        return fail(FAILED, explain(error))
    except RefusedError as error:
        return fail(REFUSED, f"Refused, nothing was changed: {error}.")
    except UnknownRevisionError as error:
        return fail(USAGE, f"Wrong call, nothing was changed: {error}. Next: {SEE_STATUS}")
    except LockTimeoutError as error:
        remedy = f"wait for the other one, or raise {error.setting}"
        call = again(arguments, "--analytics")
        return fail(LOCKED, f"No lock: {error}. Next: {remedy}, then run {call}.")
    except UnreachableError as error:
        url = Settings().clickhouse
        is_in_use = url.drivername == "chdb" and Path(str(url.database)).is_dir()
        return fail(LOCKED if is_in_use else FAILED, f"Failed: {reason_of(error)}.")
    except Exception as error:  # noqa: BLE001  # a revision is any code, and raises anything
        call = again(arguments, "--analytics")
        return fail(FAILED, f"Failed: {reason_of(error)}.", standing(call))


def standing(call: str) -> str:
    """Return where ClickHouse stands now, and what to do next; `call` goes on from there."""
    try:
        found = status()
    except (UnreachableError, SQLAlchemyError) as error:
        return f"ClickHouse cannot be asked where it stands: {error}."
    except Exception:  # noqa: BLE001  # revisions are any code, and these cannot even be read
        return f"Nothing was changed. Next: mend the revision, then run {call}."
    left = f", and {len(found.pending)} to apply" if found.pending else ""
    done = ""
    if found.unfinished is not None:
        name = found.unfinished.revision
        done = f"; {name} is unfinished, what it did so far is there, and the next run repeats it"
    return f"ClickHouse is at {found.revision}{left}{done}. Next: mend the cause, then run {call}."
