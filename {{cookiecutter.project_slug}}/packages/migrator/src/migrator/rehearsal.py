"""Runs revisions on an empty copy of a PostgreSQL schema, and reads which locks the server takes.

The copy is a database of its own on the same server, which is dropped afterwards: the one of a
killed plan by the next plan. The tables of the real database are only read.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from alembic import command
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError

from migrator.backup import connection_parameters, find_pg_dump, run
from migrator.engine import make_postgresql_engine
from migrator.errors import MigrationError, first_line
from migrator.history import OWN_TABLES
from migrator.scratch import (
    OUTSIDE,
    inside_transaction,
    is_in_block,
    rolled_back,
    scratch_beside,
    set_search_path,
)

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
    SELECT relation, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'
"""
# How long the copy waits for a table that another session changes.
LOCK_WAIT_MS = 5000
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
        # Locks of statements that would have taken weaker ones.
        self.replaced: set[tuple[int, str]] = set()

    def follow(self, engine: Engine, unknown: list[str]) -> None:
        """Note the locks of each statement; add those to `unknown` that cannot run on the copy."""
        before: list[set[tuple[int, str]]] = []

        @event.listens_for(engine, "before_cursor_execute")
        def begin(connection: Connection, _: object, sql: str, *__: object) -> None:
            if not is_in_block(connection) or inside_transaction(sql) == sql:
                return
            if OUTSIDE.match(sql):
                unknown.append(f"{' '.join(sql.split())} (it runs outside a transaction)")
            else:
                before.append(self.held(connection))

        @event.listens_for(engine, "after_cursor_execute")
        def end(connection: Connection, *_: object) -> None:
            if before:
                self.note_concurrent(connection, before.pop())
            else:
                self.note(connection)

    def held(self, connection: Connection) -> set[tuple[int, str]]:
        """Return the locks that a transaction holds: the number of the relation, and the mode."""
        driver: Any = connection.connection.driver_connection
        return {*driver.execute(HELD).fetchall()}

    def note(self, connection: Connection) -> None:
        """Note the locks that a transaction holds; it holds all of them until it ends."""
        for relation, mode in self.held(connection) - self.replaced:
            # Such as AccessExclusiveLock.
            lock = " ".join(re.findall("[A-Z][a-z]+", mode)[:-1]).upper()
            if lock in LOCKS and relation in self.relations:
                known = self.strongest.get(relation, "")
                self.strongest[relation] = max(known, lock, key=STRENGTH.index)

    def note_concurrent(self, connection: Connection, before: set[tuple[int, str]]) -> None:
        """Note a statement that ran without CONCURRENTLY: it takes weaker locks with it."""
        new = self.held(connection) - before
        self.replaced |= new
        for relation in {it for it, _ in new} & self.relations.keys():
            known = self.strongest.get(relation, "")
            self.strongest[relation] = max(known, "SHARE UPDATE EXCLUSIVE", key=STRENGTH.index)

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
            with make_postgresql_engine(scratch).begin() as connection:
                stamp(connection, start)
                watch = Watch(connection)
            engine = database.at(scratch).engine()
            watch.follow(engine, found.unknown)
            with rolled_back(engine) as connection:
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


def stamp(connection: Connection, revision: str) -> None:
    """Mark the copy of a schema as being at a revision."""
    if revision != "base":
        values = {"revision": revision}
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES (%(revision)s)", values)


@contextmanager
def copy_of_schema(database: "Database") -> Iterator[URL]:
    """Yield the URL of a new database with the same schema and no rows; drop it afterwards."""
    with make_postgresql_engine(database.url).connect() as server:
        pg_dump = find_pg_dump(int((server.dialect.server_version_info or (0,))[0]))
        path = server.exec_driver_sql("SELECT current_setting('search_path')").scalar_one()
    # Who owns it and who may use it changes no lock, and a role may not be able to repeat it.
    options = ["--no-owner", "--no-privileges", "--no-comments", "--no-publications"]
    options += ["--no-subscriptions", "--no-security-labels", "--no-tablespaces"]
    options += ["--schema-only", "--format=custom", f"--lock-wait-timeout={LOCK_WAIT_MS}"]
    with TemporaryDirectory() as folder:
        dump = Path(folder) / "schema.dump"
        with connection_parameters(database.url) as (parameters, variables):
            run([pg_dump, *options, "--file", dump, "--dbname", parameters], variables)
        beside = scratch_beside(database.url, f"{database.name} plan", database.wait_seconds)
        with beside as scratch:
            pg_restore = pg_dump.with_name("pg_restore")
            with connection_parameters(scratch) as (parameters, variables):
                run([pg_restore, "--exit-on-error", dump, "--dbname", parameters], variables)
            with make_postgresql_engine(scratch).begin() as connection:
                set_search_path(connection, path)
            yield scratch


def estimate_rows(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Return about how many rows tables have, as far as the server knows."""
    query = "SELECT oid::regclass::text, reltuples FROM pg_class WHERE relkind IN ('r', 'm')"
    rows = connection.exec_driver_sql(query).all()
    # -1 stands for a table that was never analysed.
    return {name: int(count) for name, count in rows if name in names and count >= 0}
