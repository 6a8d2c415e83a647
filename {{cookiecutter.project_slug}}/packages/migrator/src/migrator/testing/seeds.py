"""Rows for every table: those that a project has, and others made from the catalogue."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count

import sqlalchemy as sa
from sqlalchemy import Connection

from migrator.engine import expected_warnings
from migrator.history import OWN_TABLES
from migrator.testing.rows import Row
from migrator.testing.values import Values, read_values

# For a revision, what inserts rows once it is applied: statements, or functions that do it.
Rows = Mapping[str, Sequence[str | Callable[[Connection], object]]]

PARTITIONS = "SELECT relname FROM pg_class WHERE relispartition"


class Seeds:
    """The rows that are put into a database on its way through the revisions."""

    def __init__(self, rows: Rows) -> None:
        """Begin with an empty database."""
        self.given = rows  # those of the project
        self.made: set[str] = set()  # the tables with rows that were made
        self.numbers = count(1)
        self.known: dict[str, list[str]] = {}

    def insert(self, connection: Connection, revision: str) -> None:
        """Insert the rows of the project, and make others for tables that are new or changed.

        Warns:
            UserWarning: A table stays without rows; the message says how to give it some.
        """
        for it in self.given.get(revision, ()):
            _ = it(connection) if callable(it) else connection.execute(sa.text(it))
        connection.commit()
        if connection.dialect.name not in ("sqlite", "postgresql"):
            return
        before = read_values(connection)
        for table in read_tables(connection):
            columns = [f"{it.name} {it.type!r}" for it in table.columns]
            if self.known.get(table.name) != columns:
                self.known[table.name] = columns
                self.make_rows(connection, table, before, revision)
        connection.commit()

    def make_rows(
        self, connection: Connection, table: sa.Table, before: Values, revision: str
    ) -> None:
        """Make a row with all values and, in an empty table, one with as few as possible.

        Rows of the project are enough if each column has a value in one of them.
        """
        present = before[table.name].rows
        if table.name not in self.made and before[table.name].is_covered:
            return
        referred = Counter(it.referred_table for it in table.foreign_key_constraints)
        for parent, keys in referred.items():
            # Of tables that refer to each other, one comes before its parent. And the keys of a
            # table may have to refer to different rows.
            if parent is not table:
                for _ in range(count_rows(connection, parent), min(keys, 2)):
                    self.make_row(connection, parent, before, is_full=True)
        reasons = [
            self.make_row(connection, table, before, is_full=is_full)
            for is_full in ((True,) if present else (True, False))
        ]
        if all(reasons) and not present:
            warnings.warn(
                f"{table.name} has no rows, so nothing shows whether they survive a revision:"
                f" {reasons[0]}. Next: give it some, in the fixture `rows`:"
                f' {{"{revision}": ["INSERT INTO {table.name} ..."]}}',
                stacklevel=2,
            )

    def make_row(
        self, connection: Connection, table: sa.Table, before: Values, *, is_full: bool
    ) -> str:
        """Make a row like those of the project; return nothing, or why it cannot be made."""
        rows = before[table.name].rows if table.name in before else []
        row = Row(connection, table, next(self.numbers), rows[0] if rows else {}, is_full=is_full)
        reason = row.insert()
        if not reason:
            self.made.add(table.name)
        return reason

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Add to an error which rows were made, because they may be unlike those of the project."""
        try:
            yield
        except Exception as error:
            if self.made:
                error.add_note(
                    f"Rows of {', '.join(sorted(self.made))} were made from the catalogue. If yours"
                    " are never like that, insert some of yours, in the fixture `rows`."
                )
            raise


def read_tables(connection: Connection) -> list[sa.Table]:
    """Return the tables that rows can be inserted into, parents first."""
    metadata = sa.MetaData()
    hidden = {*OWN_TABLES}
    if connection.dialect.name == "postgresql":
        # The table that they are parts of takes their rows.
        hidden |= set(connection.exec_driver_sql(PARTITIONS).scalars())
    with expected_warnings():
        metadata.reflect(connection, only=lambda name, _: name not in hidden)
        return metadata.sorted_tables


def count_rows(connection: Connection, table: sa.Table) -> int:
    """Return how many rows a table has, at most two."""
    return len(connection.execute(sa.select(sa.text("1")).select_from(table).limit(2)).all())
