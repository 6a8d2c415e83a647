"""The service's events in ClickHouse, and what has to hold between them and the users."""

from pathlib import Path

import clickhouse_connect.cc_sqlalchemy.alembic  # noqa: F401  # tells Alembic of ClickHouse
from alembic.config import Config
from clickhouse_connect.driver.client import Client
from sqlalchemy import URL, Connection, select, text
from testdb.clickhouse import Clickhouse
from testdb.validation import Finding, none_of

from service.models import User

ROOT = Path(__file__).parents[1]
DEVELOPMENT = URL.create("chdb", database=str(ROOT / "development-clickhouse"))

# Events without a user.
ADD_EVENTS = (
    "INSERT INTO events SELECT generateUUIDv4(), toDateTime64('2025-01-01', 6, 'UTC') + number,"
    " NULL, 'user.created', generateUUIDv4(), '' FROM numbers({})"
)


def load(client: Client, scenario: str, scale_factor: int) -> None:
    """Load the events of a scenario."""
    if scenario == "analytics":
        client.command(ADD_EVENTS.format(200 * scale_factor))


def load_outbox(connection: Connection, scenario: str, scale_factor: int) -> None:
    """Note that the events of a scenario were sent."""
    connection.execute(
        text("INSERT INTO log (action) VALUES (:action)"),
        {"action": f"{scenario} x {scale_factor}"},
    )


def users_of_events_exist(connection: Connection, client: Client) -> Finding:
    """Find users that only events know."""
    query = "SELECT DISTINCT user_id FROM events WHERE user_id IS NOT NULL"
    known = set(connection.scalars(select(User.id)))
    found = {user for (user,) in client.query(query).result_rows}
    return none_of({str(user): "unknown" for user in found - known})


def describe_clickhouse() -> Clickhouse:
    """Return how test databases are made, and which databases are out of bounds."""
    alembic = Config()
    alembic.set_main_option("script_location", str(ROOT / "clickhouse_migrations"))
    return Clickhouse(
        alembic=alembic,
        protected=[DEVELOPMENT],
        tables={"basic": ["events", "metrics"], "events": ["events"], "metrics": ["metrics"]},
        seed=load,
        outbox=load_outbox,
        comparisons={"users of events exist": users_of_events_exist},
    )
