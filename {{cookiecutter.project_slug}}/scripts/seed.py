"""Fills the development database with a scenario of `tests/fixtures/scenarios.py`.

    make seed SCENARIO=basic_workflow
    make seed SCENARIO=performance SCALE=10
    make seed SCENARIO=minimal ARGS=--append

It adds all rows or, where something fails, none. A database that holds rows is only added
to with `--append`, and a production database never.
# if analytics == clickhouse
Events that ClickHouse does not take now wait in the outbox: scripts/relay-events.sh ships them.
# end if
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence

import migrator
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from migrator.engine import is_missing_file
from migrator.soundness import check_foreign_keys
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from placeholder_service import migrate
from placeholder_service.analytics.client import (  # if analytics == clickhouse
    LazyClient,
    NotMigratedError,
    UnavailableError,
    explained,
)
from placeholder_service.analytics.relay import (  # if analytics == clickhouse
    BusyError,
    make_relay_engine,
    relay,
)
from placeholder_service.models import Base
from placeholder_service.settings import Environment, Settings, explain

from tests.fixtures import scenarios
from tests.fixtures.events import load_outbox  # if analytics == clickhouse
from tests.fixtures.events import rows as rows_of_events  # if analytics == clickhouse

DONE, FAILED, USAGE, REFUSED = 0, 1, 2, 4


class RefusedError(Exception):
    """Nothing was done. The message says why, and what to do instead."""


class ProgressBar:
    """A bar on a terminal, once the work has taken a second; elsewhere nothing."""

    WIDTH = 40

    def __init__(self) -> None:
        """Take the time."""
        self.started = time.monotonic()
        self.is_shown = False

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        if time.monotonic() - self.started < 1 or not sys.stderr.isatty():
            return
        self.is_shown = True
        bar = "#" * (self.WIDTH * done // total)
        self.write(f"\r[{bar:<{self.WIDTH}}] {done / total:4.0%}")

    def clear(self) -> None:
        """Leave an empty line."""
        if self.is_shown:
            self.write("\r" + " " * (self.WIDTH + len("[] 100%")) + "\r")

    def write(self, text: str) -> None:
        """Write at once, not when a line is full."""
        print(text, end="", file=sys.stderr, flush=True)


def seed(settings: Settings, scenario: str, scale: int, append: bool) -> None:
    """Add a scenario to the configured database, and say what was added.

    Raises:
        RefusedError: The database is not migrated, or not empty.
        sqlalchemy.exc.SQLAlchemyError: The database refused; nothing was added.
    """
    if is_missing_file(settings.url):
        raise RefusedError("there is no database yet. Next: scripts/migrate.sh")
    engine = migrate.database().engine()
    bar = ProgressBar()
    with engine.begin() as connection:
        check_revision(connection)
        if not append:
            check_empty(connection, scenario, scale)
        started = time.perf_counter()
        number = next_seed(connection)
        # if analytics == clickhouse
        events = rows_of_events(scenario, scale, number)
        clickhouse = LazyClient(settings.clickhouse)
        if events:
            check_events(clickhouse, append)
        # end if
        try:
            added = scenarios.load(connection, scenario, scale, number, bar)
            # if analytics == clickhouse
            load_outbox(connection, events, are_shipped=False)
            # end if
            check_foreign_keys(connection)
        finally:
            bar.clear()
        email = connection.scalar(
            sa.select(sa.func.min(scenarios.USERS.c.email)).where(scenarios.USERS.c.is_active)
        )
    # if analytics == clickhouse
    if events:
        ship_events(settings, clickhouse)
    # end if
    seconds = time.perf_counter() - started
    rows = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in added._asdict().items())
    # if analytics == clickhouse
    rows += f", {len(events)} events"
    # end if
    print(f"Added {rows} in {seconds:.2f} s.")
    print(f"A key for one of the users: make api-key EMAIL={email}")


def check_revision(connection: sa.Connection) -> None:
    """Make sure that the tables are those of the models.

    Raises:
        RefusedError: They are not, or there are none.
    """
    head = migrate.database().scripts().get_current_head()
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision != head:
        raise RefusedError(
            f"the database is at {revision or 'an empty schema'}, not at {head}."
            " Next: scripts/migrate.sh"
        )


def check_empty(connection: sa.Connection, scenario: str, scale: int) -> None:
    """Make sure that there is nobody's data to mix with.

    Raises:
        RefusedError: Some table has rows.
    """
    filled = [
        table.name
        for table in Base.metadata.sorted_tables
        if connection.scalar(sa.select(sa.select(table).exists()))
    ]
    if filled:
        size = f" SCALE={scale}" if scale != 1 else ""
        raise RefusedError(
            f"the database is not empty: there are rows in {', '.join(filled)}."
            f" To add to them: make seed SCENARIO={scenario}{size} ARGS=--append"
        )


# if analytics == clickhouse
def check_events(clickhouse: LazyClient, append: bool) -> None:
    """Make sure that ClickHouse can take events, and has nobody's to mix with.

    Raises:
        RefusedError: It has some.
        UnavailableError: It cannot be reached, or is not migrated.
    """
    with explained():
        count = clickhouse.get().command("SELECT count() FROM events")
    if count and not append:
        raise RefusedError(
            f"ClickHouse is not empty: it has {count} events."
            " To add to them: make seed SCENARIO=analytics ARGS=--append"
        )


def ship_events(settings: Settings, clickhouse: LazyClient) -> None:
    """Bring the events from the outbox, where they cannot get lost, to ClickHouse.

    Raises:
        UnavailableError: They wait there.
    """
    engine = make_relay_engine(settings)
    try:
        relay(engine, clickhouse.get)
    except (BusyError, UnavailableError, SQLAlchemyError) as error:
        message = f"{error}. The events wait in the outbox. Next: scripts/relay-events.sh"
        raise UnavailableError(message) from error
    finally:
        engine.dispose()
        clickhouse.close()


# end if
def next_seed(connection: sa.Connection) -> int:
    """Return a seed that made none of the rows that are there.

    It follows from their ids: the same commands on an empty database fill it with the same rows.
    """
    users = connection.scalars(sa.select(scenarios.USERS.c.id).order_by(scenarios.USERS.c.id)).all()
    if not users:
        return scenarios.DEFAULT_SEED
    digest = hashlib.sha256(b"".join(user.bytes for user in users)).digest()
    return int.from_bytes(digest[:8])


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; a wrong call exits with 2."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.seed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", help=", ".join(scenarios.SCENARIOS))
    parser.add_argument("--scale", default="1", help=f"times {scenarios.SCALABLE} is as large")
    parser.add_argument("--append", action="store_true", help="also where there are rows")
    parser.add_argument("--migrate", action="store_true", help="apply migrations first")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 failed, 2 wrong call, 4 refused."""
    arguments = parse_arguments(argv)
    scenario = arguments.scenario
    scale = int(arguments.scale) if arguments.scale.isdecimal() else 0
    try:
        scenarios.counts(scenario, scale)
        settings = Settings()
        if settings.environment is Environment.PRODUCTION:
            raise RefusedError(
                "scenarios are made up, and this is production."
                " Next: run it where ENVIRONMENT=development"
            )
        if arguments.migrate:
            code = migrator.main(migrate.database, ["upgrade"], names=migrate.SCRIPTS)
            if code != DONE:
                return code
        # if analytics == clickhouse
        if arguments.migrate and rows_of_events(scenario, scale):
            code = migrate.main(["upgrade", "--analytics"])
            if code != DONE:
                return code
        # end if
        seed(settings, scenario, scale, arguments.append)
    except scenarios.ScenarioError as error:
        example = "make seed SCENARIO=minimal, or SCENARIO=performance SCALE=2"
        return fail(USAGE, f"Wrong call: {error}. Next: {example}")
    except RefusedError as error:
        return fail(REFUSED, f"Refused: {error}")
    # if analytics == clickhouse
    except NotMigratedError as error:
        return fail(REFUSED, f"Refused: {error}")
    except UnavailableError as error:
        return fail(FAILED, f"Failed: {error}")
    # end if
    except ValidationError as error:
        return fail(FAILED, explain(error))
    except (CommandError, SQLAlchemyError, RuntimeError) as error:
        reason = str(error.orig if isinstance(error, DBAPIError) else error)
        reason = reason.strip().partition("\n")[0].rstrip(".")
        return fail(FAILED, f"Failed, nothing was added: {reason}. Next: mend it and try again")
    return DONE


def fail(code: int, message: str) -> int:
    """Say what went wrong, and return the exit code."""
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
