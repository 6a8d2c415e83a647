"""Fills the development database with a scenario of `tests/fixtures/scenarios.py`.

    make seed SCENARIO=basic_workflow
    make seed SCENARIO=performance SCALE=10
    make seed SCENARIO=minimal ARGS=--append

It adds all rows or, where something fails, none. A database that holds rows is only added
to with `--append`, and a production database never.
# if analytics == clickhouse
If ClickHouse does not take the events now, they wait in the outbox: scripts/relay-events.sh.
# end if
"""

import argparse
import secrets
import sys
from collections.abc import Sequence

import migrator
from migrator import Exit, MigrationError, RefusedError
from migrator.calls import fail
from migrator.seeding import report, seeding
from sqlalchemy.exc import SQLAlchemyError
from testdb.scenarios import ScenarioError

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
from placeholder_service.settings import Environment, Settings, read_settings

from tests.fixtures import scenarios
from tests.fixtures.events import load_outbox  # if analytics == clickhouse
from tests.fixtures.events import rows as rows_of_events  # if analytics == clickhouse


def seed(settings: Settings, scenario: str, scale: int, append: bool) -> None:
    """Add a scenario to the configured database, and say what was added.

    Raises:
        RefusedError: The database is of production, not migrated, or not empty.
        sqlalchemy.exc.SQLAlchemyError: The database refused; nothing was added.
    """
    size = f" SCALE={scale}" if scale != 1 else ""
    command = None if append else f"make seed SCENARIO={scenario}{size} ARGS=--append"
    migrations, upgrade = migrate.database(), migrate.SCRIPTS.upgrade
    with seeding(migrations, Base.metadata, upgrade=upgrade, append=command) as connection:
        # What is appended differs from what is there.
        number = secrets.randbits(32) if append else scenarios.DEFAULT_SEED
        # if analytics == clickhouse
        events = rows_of_events(scenario, scale, number)
        clickhouse = LazyClient(settings.clickhouse)
        if events:
            check_events(clickhouse, append)
        # end if
        scenarios.load(connection, scenario, scale, number)
        # if analytics == clickhouse
        load_outbox(connection, events, are_shipped=False)
        # end if
        next_step = scenarios.next_step(connection)
    # if analytics == clickhouse
    if events:
        ship_events(settings, clickhouse)
    # end if
    added = scenarios.counts(scenario, scale)._asdict()
    # if analytics == clickhouse
    added["events"] = len(events)
    # end if
    rows = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in added.items())
    print(f"Added {rows}.\n{next_step}")


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
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 failed, 2 wrong call, 4 refused."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.seed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", help=", ".join(scenarios.SCENARIOS))
    parser.add_argument("--scale", default="1", help=f"times {scenarios.SCALABLE} is as large")
    parser.add_argument("--append", action="store_true", help="also where there are rows")
    parser.add_argument("--migrate", action="store_true", help="apply migrations first")
    arguments = parser.parse_args(argv)
    scenario = arguments.scenario
    scale = int(arguments.scale) if arguments.scale.isdecimal() else 0
    try:
        scenarios.counts(scenario, scale)
        settings = read_settings()
        if settings.environment is Environment.PRODUCTION:
            raise RefusedError("this is production. Next: run it where ENVIRONMENT=development")
        if arguments.migrate:
            code = migrator.main(migrate.database, ["upgrade"], names=migrate.SCRIPTS)
            # if analytics == clickhouse
            if code == Exit.DONE and rows_of_events(scenario, scale):
                code = migrate.main(["upgrade", "--analytics"])
            # end if
            if code != Exit.DONE:
                return code
        seed(settings, scenario, scale, arguments.append)
    except ScenarioError as error:
        example = "make seed SCENARIO=minimal, or SCENARIO=performance SCALE=2"
        return fail(Exit.USAGE, f"Wrong call: {error}. Next: {example}")
    # if analytics == clickhouse
    except NotMigratedError as error:
        return fail(Exit.REFUSED, f"Refused: {error}")
    except UnavailableError as error:
        return fail(Exit.FAILED, f"Failed: {error}")
    # end if
    except (MigrationError, SQLAlchemyError, RuntimeError) as error:
        return report(error)
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main())
