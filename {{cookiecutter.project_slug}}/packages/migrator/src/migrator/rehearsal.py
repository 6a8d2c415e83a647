"""Runs revisions on an empty copy of a PostgreSQL schema, and reads which locks the server takes.

The copy is a database of its own on the same server, which is dropped afterwards: the one of a
killed plan by the next plan. The tables of the real database are only read.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from alembic import command
from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import SQLAlchemyError

from migrator.backup import connection_parameters, find_pg_dump, run
from migrator.engine import make_migration_engine, make_postgresql_engine
from migrator.errors import MigrationError, first_line
from migrator.history import OWN_TABLES
from migrator.scratch import scratch_beside

if TYPE_CHECKING:
    from migrator.database import Database

# What other sessions cannot do while a revision holds a lock, the weakest lock first.
LOCKS = {
    "ROW EXCLUSIVE": "writes to the same rows",
    "SHARE UPDATE EXCLUSIVE": "other schema changes; rows can be read and written",
    "SHARE": "writes; rows can be read",
    "SHARE ROW EXCLUSIVE": "writes; rows can be read",
    "EXCLUSIVE": "writes; rows can be read",
    "ACCESS EXCLUSIVE": "everything, including reads",
}

# Tables and views, and indexes with their tables.
RELATIONS = """
    SELECT c.oid, c.oid::regclass::text AS name, i.indrelid AS table,
           c.relkind IN ('r', 'p') AS has_rows
    FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v', 'i', 'I') AND c.oid >= 16384
    AND c.relnamespace::regnamespace::text !~ '^pg_'
"""
HELD = """
    SELECT relation, mode FROM pg_locks
    WHERE pid = coalesce(%s, pg_backend_pid()) AND locktype = 'relation'
"""
# How long the copy waits for a table that another session changes, and a statement in the copy.
LOCK_WAIT_MS = 5000
HELD_UP_MS = 60_000
POLL_SECONDS = 0.01
STRENGTH = ["", *LOCKS]


@dataclass
class Rehearsal:
    """What a run on the copy has shown."""

    # The strongest lock on each table, view or index that exists already.
    locks: dict[str, str] = field(default_factory=dict)
    # Whose locks could not be learned, each with the reason.
    unknown: list[str] = field(default_factory=list)


class Watch:
    """The locks of a session on what was there when the watch began."""

    def __init__(self, connection: Connection) -> None:
        """Read what is there."""
        self.relations = {row.oid: row for row in connection.exec_driver_sql(RELATIONS)}
        self.strongest: dict[int, str] = {}
        connection.rollback()

    def note(self, connection: Connection) -> None:
        """Note the locks that a transaction holds; it holds all of them until it ends."""
        driver: Any = connection.connection.driver_connection
        self.add(driver.execute(HELD, [None]).fetchall())

    def add(self, locks: Iterable[Sequence[Any]]) -> None:
        """Note locks: the number of the relation, and the mode."""
        for relation, mode in locks:
            # Such as AccessExclusiveLock.
            lock = " ".join(re.findall("[A-Z][a-z]+", mode)[:-1]).upper()
            if lock in LOCKS and relation in self.relations:
                known = self.strongest.get(relation, "")
                self.strongest[relation] = max(known, lock, key=STRENGTH.index)

    def locks(self) -> dict[str, str]:
        """Return the strongest lock on each; indexes only where their table has a weaker one."""
        found = {}
        for relation, lock in self.strongest.items():
            _, name, table, _ = self.relations[relation]
            on_table = self.strongest.get(table, "")
            is_index = table is not None
            is_weaker = is_index and STRENGTH.index(lock) <= STRENGTH.index(on_table)
            on = self.relations[table].name if is_index else name
            if not is_weaker and on not in OWN_TABLES:
                found[f"index {name}" if is_index else name] = lock
        return dict(sorted(found.items()))


def rehearse(database: "Database", start: str, target: str) -> Rehearsal:
    """Run the revisions behind `start` up to `target` on a copy of the schema."""
    found = Rehearsal()
    try:
        with copy_of_schema(database) as scratch:
            engine = make_migration_engine(scratch, HELD_UP_MS, 0)
            with engine.connect() as connection:
                watch = Watch(connection)
                event.listen(engine, "commit", watch.note)
                stamp(connection, start)

                @event.listens_for(engine, "do_execute")
                def execute(cursor: Any, sql: str, parameters: Any, _: Any) -> bool:
                    if not cursor.connection.autocommit:
                        return False
                    # Not the driver's: a pooler makes one up.
                    [pid] = cursor.execute("SELECT pg_backend_pid()").fetchone()
                    with held_up(scratch, watch, pid) as seen:
                        cursor.execute(sql, parameters)
                    if not seen.is_set():
                        text = " ".join(sql.split())
                        found.unknown.append(f"{text} (it runs outside a transaction)")
                    return True

                try:
                    configured = database.config(connection)
                    configured.attributes["history"] = False
                    command.upgrade(configured, target)
                except Exception as error:  # noqa: BLE001  # a revision is any code
                    reason = first_line(error)
                    found.unknown.append(f"the rest, which fails on an empty copy: {reason}")
                found.locks = watch.locks()
    except (MigrationError, SQLAlchemyError) as error:
        found.unknown.append(f"all, because the schema cannot be copied: {first_line(error)}")
    return found


@contextmanager
def held_up(url: URL, watch: Watch, pid: int) -> Iterator[Event]:
    """Hold up a statement outside a transaction until its locks are noted; then the event is set.

    Such a statement releases its locks when it ends. But before that, it waits for sessions that
    write to its table, and one does.
    """
    seen, ended = Event(), Event()
    tables = [it.name for it in watch.relations.values() if it.has_rows]

    def look(driver: Any) -> None:
        while not ended.wait(POLL_SECONDS):
            if driver.execute("SELECT pg_blocking_pids(%s) <> '{}'", [pid]).fetchone()[0]:
                watch.add(driver.execute(HELD, [pid]).fetchall())
                seen.set()
                break
        driver.rollback()

    with make_postgresql_engine(url).connect() as writer:
        for name in tables:
            writer.exec_driver_sql(f"LOCK TABLE {name} IN ROW EXCLUSIVE MODE")
        thread = Thread(target=look, args=[writer.connection.driver_connection])
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()


def stamp(connection: Connection, revision: str) -> None:
    """Mark the copy of a schema as being at a revision."""
    if revision != "base":
        values = {"revision": revision}
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES (%(revision)s)", values)
        connection.commit()


@contextmanager
def copy_of_schema(database: "Database") -> Iterator[URL]:
    """Yield the URL of a new database with the same schema and no rows; drop it afterwards."""
    with make_postgresql_engine(database.url).connect() as server:
        pg_dump = find_pg_dump(int((server.dialect.server_version_info or (0,))[0]))
    # Who owns it and who may use it changes no lock, and a role may not be able to repeat it.
    options = ["--no-owner", "--no-privileges", "--no-comments", "--no-publications"]
    options += ["--no-subscriptions", "--no-security-labels", "--no-tablespaces"]
    options += ["--schema-only", "--format=custom", f"--lock-wait-timeout={LOCK_WAIT_MS}"]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "schema.dump"
        parameters, password = connection_parameters(database.url)
        run([pg_dump, *options, "--file", path, "--dbname", parameters], password)
        beside = scratch_beside(database.url, f"{database.name} plan", database.wait_seconds)
        with beside as scratch:
            parameters, password = connection_parameters(scratch)
            pg_restore = pg_dump.with_name("pg_restore")
            run([pg_restore, "--exit-on-error", path, "--dbname", parameters], password)
            yield scratch


def estimate_rows(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Return about how many rows tables have, as far as the server knows."""
    query = "SELECT oid::regclass::text, reltuples FROM pg_class WHERE relkind IN ('r', 'm')"
    rows = connection.exec_driver_sql(query).all()
    # -1 stands for a table that was never analysed.
    return {name: int(count) for name, count in rows if name in names and count >= 0}
