"""Adoption on ClickHouse: the definitions of its tables, on a scratch database beside them."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import SQLAlchemyError

from migrator.adoption import Dialect, Differences, Item, Key, Objects
from migrator.adoption.rows import Rows
from migrator.clickhouse.connections import (
    connect_arguments,
    in_database,
    make_engine,
    open_or_create,
)
from migrator.clickhouse.database import ClickHouse
from migrator.errors import RefusedError, UnreachableError, first_line
from migrator.history import OWN_TABLES
from migrator.scratch import scratch_name

TABLES = text("""
    SELECT name, create_table_query, currentDatabase() FROM system.tables
    WHERE database = currentDatabase() AND NOT startsWith(name, '.') AND NOT is_temporary
""")
COLUMNS = text("""
    SELECT table, name, concat(type,
        if(default_expression = '', '', concat(' ', default_kind, ' ', default_expression)),
        if(compression_codec = '', '', concat(' ', compression_codec)))
    FROM system.columns WHERE database = currentDatabase() ORDER BY table, position
""")


class ClickHouseDialect(Dialect):
    """What an adoption needs to know about ClickHouse."""

    database: ClickHouse

    @contextmanager
    def scratch(self) -> Iterator[Connection]:
        """Yield a connection to an empty database on the same server.

        Raises:
            RefusedError: The user may not create a database.
        """
        url = self.database.url
        name = scratch_name(connect_arguments(url)["database"], self.database.name)
        with self.database.lock("-scratch"):
            try:
                drop_database(url, name)  # that of a killed process
                connection = open_or_create(in_database(url, name))
            except (SQLAlchemyError, UnreachableError) as error:
                raise RefusedError(
                    "the revisions are compared on a scratch database, which cannot be created:"
                    f" {first_line(error)}. Next: run it as a user that may create databases"
                ) from error
            try:
                with connection:
                    yield connection
            finally:
                drop_database(url, name)

    def read(self, connection: Connection) -> Objects:
        """Return the definitions of tables, views and dictionaries, wherever their database is."""
        return {
            ("table", name): Item(name, definition, f"table {name}")
            for name, definition in read_definitions(connection).items()
        }

    def read_rows(self, connection: Connection) -> Mapping[str, Rows]:
        """Return nothing: a primary key of ClickHouse does not identify a row."""
        return {}

    def differences(self, found: Connection, wanted: Connection, others: set[Key]) -> Differences:
        """Return in what two databases differ. A table that only columns tell apart is altered."""
        hidden = {name for _, name in others}
        old = {key: it for key, it in read_definitions(found).items() if key not in hidden}
        new = read_definitions(wanted)
        before, after = read_columns(found), read_columns(wanted)
        result = Differences([], [])
        for name in sorted(old.keys() | new.keys()):
            if name not in old:
                result.lines.append(f"missing: table {name}")
                result.sql.append(new[name])
            elif name not in new:
                result.lines.append(f"unexpected: table {name}")
                result.sql.extend(["-- This deletes values:", f"DROP TABLE `{name}`"])
            elif old[name] != new[name]:
                one, other = before.get(name, {}), after.get(name, {})
                columns = [it for it in {**other, **one} if one.get(it) != other.get(it)]
                for it in columns:
                    result.lines.append(
                        f"different: column {name}.{it}: {one.get(it, 'missing')}"
                        f" → {other.get(it, 'missing')}"
                    )
                    result.sql.extend(alter(name, it, one.get(it), other.get(it)))
                if not columns:
                    result.lines.append(f"different: table {name}: {old[name]} → {new[name]}")
                    result.sql.append("-- By hand: create it again, copy, and EXCHANGE TABLES")
        return result


def drop_database(url: URL, name: str) -> None:
    """Drop another database of the same server, if it is there."""
    with make_engine(url).connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} SYNC"))


def alter(table: str, column: str, old: str | None, new: str | None) -> list[str]:
    """Return the statements that change a column."""
    if new is None:
        return ["-- This deletes values:", f"ALTER TABLE `{table}` DROP COLUMN `{column}`"]
    word = "ADD" if old is None else "MODIFY"
    return [f"ALTER TABLE `{table}` {word} COLUMN `{column}` {new}"]


def read_definitions(connection: Connection) -> dict[str, str]:
    """Return the text that creates each object, without the name of its database."""
    found = {}
    for name, definition, database in connection.execute(TABLES):
        quoted = re.escape(database)
        plain = re.sub(rf"(?<![\w.`])`?{quoted}`?\.", "", definition)
        plain = re.sub(rf"(ENGINE = \w+\((?:[^()]*, )?)'{quoted}'", r"\1currentDatabase()", plain)
        if name not in OWN_TABLES:
            found[name] = plain
    return found


def read_columns(connection: Connection) -> dict[str, dict[str, str]]:
    """Return the definition of each column, by table."""
    found: dict[str, dict[str, str]] = {}
    for table, column, definition in connection.execute(COLUMNS):
        found.setdefault(table, {})[column] = definition
    return found
