"""Ships events from the outbox to ClickHouse: every one at least once, and counted once.

A batch is read, its new events are written to ClickHouse, the metrics of its days are counted
again, and it is marked as shipped. If a run is interrupted, the next one repeats the batch, and
each step comes to the same result. No transaction is open while ClickHouse works.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import sqlalchemy as sa
from clickhouse_connect.driver.client import Client
from filelock import FileLock, Timeout
from migrator.engine import is_missing_file, with_limits
from sqlalchemy.exc import SQLAlchemyError

from placeholder_service.analytics import tables
from placeholder_service.analytics.client import NotMigratedError, UnavailableError, explained
from placeholder_service.models import OutboxEvent
from placeholder_service.models.base import utc_now
from placeholder_service.settings import Settings

log = logging.getLogger(__name__)

# So many events are shipped at a time.
BATCH = 1000

# How long a run waits for another one to end.
WAIT_SECONDS = 60.0

# How often the outbox is looked at, and how rarely after failures in a row.
POLL_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

LOCK_POLL_SECONDS = 0.1
# The same for all relays of this project, and hardly ever another lock's on the same database.
LOCK_NAME = b"placeholder_service relay"
LOCK_ID = int.from_bytes(hashlib.sha256(LOCK_NAME).digest()[:8], signed=True)
# The transaction that holds it is idle while ClickHouse works.
ALLOW_IDLE = sa.func.set_config("idle_in_transaction_session_timeout", "0", True)
TRY_LOCK = sa.select(sa.func.pg_try_advisory_xact_lock(LOCK_ID), ALLOW_IDLE)

COLUMNS = tuple(tables.events.c.keys())
# Without them, each insert would ask ClickHouse first.
TYPES = [column.type.ch_type for column in tables.events.c]  # type: ignore[attr-defined]

# The day comes first in the table's order: with it, ClickHouse reads no more than it has to.
SHIPPED = """
    SELECT event_id FROM events
    WHERE toDate(occurred_at) IN {days:Array(Date)} AND event_id IN {ids:Array(UUID)}
"""
COUNT_DAYS = """
    INSERT INTO metrics (name, bucket, value)
    SELECT name, toStartOfDay(occurred_at) AS bucket, count() FROM events FINAL
    WHERE toDate(occurred_at) IN {days:Array(Date)}
    GROUP BY name, bucket
"""

OpenClient = Callable[[], Client]
Event = sa.RowMapping | dict[str, Any]
Columns = dict[str, list[Any]]


class BusyError(Exception):
    """Another relay was at work for longer than this one may wait."""


def make_relay_engine(settings: Settings) -> sa.Engine:
    """Return an engine whose statements each commit by themselves."""
    is_sqlite = settings.url.get_backend_name() == "sqlite"
    return sa.create_engine(
        settings.url if is_sqlite else with_limits(settings.url),
        isolation_level="AUTOCOMMIT",
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"timeout": WAIT_SECONDS} if is_sqlite else {"prepare_threshold": None},
    )


def follow(engine: sa.Engine, open_client: OpenClient, stop: threading.Event) -> None:
    """Ship events as they come, until `stop` is set; where something is out of reach, wait."""
    pause = POLL_SECONDS
    while not stop.is_set():
        try:
            shipped = relay(engine, open_client, stop, wait_seconds=POLL_SECONDS)
        except Exception as error:  # whatever fails, the events wait
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            details = {"error": error, "again_in_seconds": pause}
            expected = isinstance(error, BusyError | UnavailableError | SQLAlchemyError)
            log.warning("events were not shipped", exc_info=not expected, extra=details)
        else:
            pause = POLL_SECONDS
            if shipped:
                log.info("events were shipped", extra={"events": shipped})
        stop.wait(pause)


def relay(
    engine: sa.Engine,
    open_client: OpenClient,
    stop: threading.Event | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> int:
    """Ship what waits in the outbox, and return how many events that were.

    `stop` ends it early, between two batches. Where nothing waits, ClickHouse is not asked.

    Raises:
        BusyError: Another relay did not end in time.
        NotMigratedError: A table is missing, here or there.
        UnreachableError: ClickHouse failed. What was not marked is shipped by the next run.
        sqlalchemy.exc.SQLAlchemyError: The database failed.
    """
    if is_missing_file(engine.url):
        raise NotMigratedError("There is no database yet. Next: scripts/migrate.sh")
    shipped = 0
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(OutboxEvent.__tablename__):
            raise NotMigratedError("The database is not migrated. Next: scripts/migrate.sh")
        with one_relay_at_a_time(connection, wait_seconds):
            while (stop is None or not stop.is_set()) and (batch := read(connection)):
                ship(open_client(), batch)
                mark(connection, batch)
                shipped += len(batch)
    return shipped


@contextmanager
def one_relay_at_a_time(connection: sa.Connection, wait_seconds: float) -> Iterator[None]:
    """Let no other relay work on the database meanwhile. The lock ends with the process.

    Two at once would both find an event missing in ClickHouse, and both write it. A
    transaction holds the lock: a session's lock would stay behind in a connection pooler.

    Raises:
        BusyError: Another one did not end in time.
    """
    busy = BusyError(f"Another relay did not end in {wait_seconds:g} s")
    if connection.dialect.name == "sqlite":
        try:
            with FileLock(f"{connection.engine.url.database}.relay", timeout=wait_seconds):
                yield
        except Timeout as error:
            raise busy from error
        return
    end = time.monotonic() + wait_seconds
    with connection.engine.execution_options(isolation_level="READ COMMITTED").connect() as holder:
        while not holder.scalar(TRY_LOCK):
            holder.rollback()
            if time.monotonic() >= end:
                raise busy
            time.sleep(LOCK_POLL_SECONDS)
        yield


def read(connection: sa.Connection) -> Sequence[sa.RowMapping]:
    """Return the oldest events that were not shipped."""
    columns = [OutboxEvent.__table__.c[name] for name in ("id", *COLUMNS)]
    query = sa.select(*columns).where(OutboxEvent.shipped_at.is_(None))
    return connection.execute(query.order_by(OutboxEvent.id).limit(BATCH)).mappings().all()


def ship(client: Client, batch: Sequence[Event]) -> None:
    """Write events to ClickHouse, but for those it has, and count their days again.

    Raises:
        UnavailableError: ClickHouse failed. Parts may be done; to do all of it again is safe.
    """
    ids = [event["event_id"] for event in batch]
    days = days_of(batch)
    with explained():
        known = {row[0] for row in client.query(SHIPPED, {"ids": ids, "days": days}).result_rows}
        if new := [event for event in batch if event["event_id"] not in known]:
            insert(client, columns_of(new))
        count_days(client, days)


def days_of(events: Sequence[Event]) -> list[date]:
    """Return the days in UTC on which events happened."""
    return sorted({event["occurred_at"].date() for event in events})


def columns_of(events: Sequence[Event]) -> Columns:
    """Return the values of each column that events have in ClickHouse."""
    columns: Columns = {name: [event[name] for event in events] for name in COLUMNS}
    columns["properties"] = [json.dumps(value) for value in columns["properties"]]
    return columns


def insert(client: Client, columns: Columns) -> None:
    """Write events by column, which takes the least time."""
    values = list(columns.values())
    client.insert("events", values, COLUMNS, column_types=TYPES, column_oriented=True)


def count_days(client: Client, days: Sequence[date]) -> None:
    """Write the metrics of some days again: how many events of each name there were."""
    client.command(COUNT_DAYS, {"days": days})


def mark(connection: sa.Connection, batch: Sequence[sa.RowMapping]) -> None:
    """Note that events are in ClickHouse for certain."""
    ids = [event["id"] for event in batch]
    update = sa.update(OutboxEvent).where(OutboxEvent.id.in_(ids))
    connection.execute(update.values(shipped_at=utc_now()))


class BackgroundRelay:
    """The relay inside the service: the embedded ClickHouse serves one process alone."""

    def __init__(self, settings: Settings, open_client: OpenClient) -> None:
        """Prepare it. Nothing runs yet."""
        self.engine = make_relay_engine(settings)
        self.ending = threading.Event()
        arguments = (self.engine, open_client, self.ending)
        self.thread = threading.Thread(target=follow, args=arguments, name="relay", daemon=True)

    def start(self) -> None:
        """Ship events from now on."""
        self.thread.start()

    def stop(self) -> None:
        """End after the batch that is on its way."""
        self.ending.set()
        self.thread.join()
        self.engine.dispose()
