"""Rows for every table: those that a project has, and others made from nothing but the catalogue.

A made row is tried out. Where a constraint refuses it, the values of the columns that the
constraint is about are replaced, until the database takes the row.
"""

import random
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from migrator.engine import expected_warnings
from migrator.history import OWN_TABLES
from migrator.testing.values import Values, read_values

# For a revision, what inserts rows once it is applied: statements, or functions that do it.
Rows = Mapping[str, Sequence[str | Callable[[Connection], object]]]

# Values for some columns, or no value for one that has a default or may be NULL.
Choice = dict[str, Any]

TRIES = 300
LITERAL = re.compile(r"'((?:[^']|'')*)'")
INTEGER = re.compile(r"(?<![\w.'])\d+(?![\w.'])")
PARTITIONS = "SELECT relname FROM pg_class WHERE relispartition"
LONGEST = 10_000
TIME = "2026-02-28 23:59:58.123457"
# What fits a type of PostgreSQL that is neither a number nor a text.
SAMPLES = {
    "BIT": "1",
    "CIDR": "192.0.2.0/24",
    "DATEMULTIRANGE": "{[2026-02-01,2026-02-28)}",
    "DATERANGE": "[2026-02-01,2026-02-28)",
    "HSTORE": '"made"=>"1"',
    "INET": "192.0.2.1",
    "INT4RANGE": "[1,5)",
    "INT8RANGE": "[1,5)",
    "INTERVAL": "1 day 02:03:04.5",
    "MACADDR": "08:00:2b:01:02:03",
    "MONEY": "12.34",
    "NUMRANGE": "[1.5,2.5]",
    "TSQUERY": "'made'",
    "TSRANGE": f'["{TIME}",)',
    "TSTZRANGE": f'["{TIME}+00",)',
    "TSVECTOR": "'made':1",
}


class Seeds:
    """The rows that are put into a database on its way through the revisions.

    Attributes:
        given: The rows of the project.
        made: The tables with rows that were made.
    """

    def __init__(self, rows: Rows) -> None:
        """Begin with an empty database."""
        self.given = rows
        self.made: set[str] = set()
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


class Row:
    """A row that is about to be made."""

    def __init__(
        self,
        connection: Connection,
        table: sa.Table,
        number: int,
        like: Mapping[str, Any],
        *,
        is_full: bool,
    ) -> None:
        """Find what each column could hold.

        Args:
            connection: Where the row is inserted.
            table: The table, as it was read from the database.
            number: Makes the values of this row differ from those of others.
            like: A row of the project in that table, whose values are tried first.
            is_full: Whether each column gets a value, if possible, or only those that need one.
        """
        self.connection = connection
        self.table = table
        self.number = number
        inspector = sa.inspect(connection)
        with expected_warnings():
            self.checks = [
                (str(it["name"]), it["sqltext"])
                for it in inspector.get_check_constraints(table.name)
            ]
            indexes = [it for it in inspector.get_indexes(table.name) if it["unique"]]
        self.unique = {it.name for it in table.primary_key}
        self.unique |= {str(name) for it in indexes for name in it["column_names"]}
        for constraint in table.constraints:
            if isinstance(constraint, sa.UniqueConstraint):
                self.unique |= {column.name for column in constraint.columns}
        # For a column, or the columns of a foreign key, what they could hold.
        self.choices: dict[str, list[Choice]] = {}
        for column in table.columns:
            if column.computed is None:
                self.choices[column.name] = self.choices_of(column, like, is_full=is_full)
        for key in table.foreign_key_constraints:
            self.choices[", ".join(key.column_keys)] = self.choices_of_key(key, is_full=is_full)

    def choices_of(
        self, column: sa.Column[Any], like: Mapping[str, Any], *, is_full: bool
    ) -> list[Choice]:
        """Return what a column could hold, the best first."""
        name = column.name
        values = [*make_values(column.type, self.number), *self.literals(column)]
        # What SQLite has as bytes was read as a text.
        is_known = like.get(name) is not None and not isinstance(column.type, sa.LargeBinary)
        if is_known and name not in self.unique:
            values.insert(0, like[name])
        choices = [{name: value} for value in values]
        is_key = name in self.table.primary_key.columns
        if not is_key and (column.nullable or column.server_default or column.identity):
            choices.insert(len(choices) if is_full else 0, {})
        return choices

    def choices_of_key(self, key: sa.ForeignKeyConstraint, *, is_full: bool) -> list[Choice]:
        """Return the rows that a foreign key could refer to."""
        names = key.column_keys
        referred = [it.column.name for it in key.elements]
        parts: list[sa.ColumnElement[Any]] = [sa.column(it) for it in referred]
        query = sa.select(*parts).select_from(
            sa.table(key.referred_table.name, schema=key.referred_table.schema)
        )
        rows = self.connection.execute(query.limit(20)).all()
        choices = [dict(zip(names, row, strict=True)) for row in reversed(rows)]
        if key.referred_table is self.table and not choices:
            own = [self.choices[it][0] for it in referred if it in self.choices]
            choices = [dict(zip(names, [it for one in own for it in one.values()], strict=False))]
        if any(self.table.columns[name].nullable for name in names):
            choices.insert(len(choices) if is_full else 0, dict.fromkeys(names))
        return choices or [{}]

    def literals(self, column: sa.Column[Any]) -> Iterator[Any]:
        """Yield the values that CHECKs name, and texts of the lengths that they name."""
        for _, text in self.checks:
            if not mentions(text, column.name):
                continue
            yield from (it.replace("''", "'") for it in LITERAL.findall(text))
            for number in map(int, INTEGER.findall(LITERAL.sub("", text))):
                if not isinstance(column.type, sa.String):
                    yield from (number, number + 1, number - 1)
                elif 0 < number <= LONGEST:
                    yield str(self.number).rjust(number, "x")[-number:]

    def insert(self) -> str:
        """Insert the row and return nothing; or why the database has never taken it."""
        chance = random.Random(self.table.name)  # noqa: S311  # no secret
        chosen = {name: choices[0] for name, choices in self.choices.items()}
        reason = ""
        for _ in range(TRIES):
            values = {name: it for choice in chosen.values() for name, it in choice.items()}
            try:
                with self.connection.begin_nested():
                    self.execute(values)
            except DBAPIError as error:
                reason = str(error.orig).strip().partition("\n")[0]
                name = chance.choice(self.blamed(reason))
                chosen[name] = chance.choice(self.choices[name])
            else:
                return ""
        return reason

    def blamed(self, reason: str) -> list[str]:
        """Return the columns that the database complains of; all, if it names none."""
        named = [text for name, text in self.checks if mentions(reason, name)]
        text = " ".join([reason, *named])
        constraints = {
            column.name
            for it in self.table.constraints
            if isinstance(it, sa.schema.ColumnCollectionConstraint)
            and mentions(reason, str(it.name))
            for column in it.columns
        }
        found = [
            names
            for names, choices in self.choices.items()
            if len(choices) > 1
            and any(mentions(text, it) or it in constraints for it in names.split(", "))
        ]
        in_checks = [
            names for names in self.choices if any(mentions(text, names) for _, text in self.checks)
        ]
        return found or in_checks or list(self.choices)

    def execute(self, values: Mapping[str, Any]) -> None:
        """Execute the INSERT; without SQLAlchemy's types, the server converts the values."""
        prepare = self.connection.dialect.identifier_preparer
        is_postgresql = self.connection.dialect.name == "postgresql"
        table = prepare.format_table(self.table)
        if not values:
            self.connection.exec_driver_sql(f"INSERT INTO {table} DEFAULT VALUES")
            return
        columns = ", ".join(prepare.quote(name) for name in values)
        marks = ", ".join(["%s" if is_postgresql else "?"] * len(values))
        overriding = " OVERRIDING SYSTEM VALUE" if is_postgresql else ""
        sql = f"INSERT INTO {table} ({columns}){overriding} VALUES "
        self.connection.exec_driver_sql(f"{sql}({marks})", tuple(values.values()))


def mentions(text: str, name: str) -> bool:
    """Return whether a text contains a name as a word."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def make_values(kind: sa.types.TypeEngine[Any], number: int) -> list[Any]:
    """Return values of a type that show if some of them is lost: digits, length, zone, letters."""
    for known, make in MAKERS:
        if isinstance(kind, known):
            return make(kind, number)
    return [SAMPLES.get(type(kind).__name__.upper(), f"made {number}")]


def make_texts(kind: sa.String, number: int) -> list[Any]:
    """Return texts: one with capitals and other letters, as long as it may be, and plain ones."""
    size = min(kind.length or 40, LONGEST)
    texts = [f"Mäde {number} ".ljust(size, "X"), f"made{number}x".ljust(size, "x"), f"m{number}"]
    if isinstance(kind, sa.CHAR) and size == 32:  # as SQLite has UUIDs
        texts = [UUID(int=2**127 + number).hex]
    return [text for text in texts if len(text) <= size] or [str(number)[-size:]]


def make_decimals(kind: sa.Numeric[Any], number: int) -> list[Any]:
    """Return numbers with as many decimal places as the type has."""
    scale = 9 if kind.scale is None else kind.scale
    fraction = f".{'123456789'[:scale].ljust(scale, '1')}" if scale else ""
    is_fraction = kind.precision is not None and kind.precision <= scale
    return [f"{0 if is_fraction else number}{fraction}", f"0{fraction}"]


# For a type, what makes its values; the first one that fits counts.
MAKERS: list[tuple[Any, Callable[[Any, int], list[Any]]]] = [
    (postgresql.DOMAIN, lambda kind, number: make_values(kind.data_type, number)),
    (sa.ARRAY, lambda kind, number: [f"{{{it}}}" for it in make_values(kind.item_type, number)]),
    (sa.Enum, lambda kind, _: list(kind.enums)),
    (sa.String, make_texts),
    (sa.Uuid, lambda _, number: [str(UUID(int=2**127 + number))]),
    (sa.Boolean, lambda *_: [True, False]),
    (sa.SmallInteger, lambda _, number: [2**10 + number, number]),
    (sa.BigInteger, lambda _, number: [2**40 + number, number]),
    (sa.Integer, lambda _, number: [2**20 + number, number]),
    (sa.Float, lambda _, number: [0.123456789 + number, 0.123456789]),
    (sa.Numeric, make_decimals),
    (sa.JSON, lambda _, number: [f'{{"made": [{number}, "ä", null]}}', f'["made {number}"]']),
    (sa.LargeBinary, lambda _, number: [b"\x00\xffmade %d" % number]),
    (sa.DateTime, lambda _, number: [f"2026-02-28 23:59:58.{123456 + number}"]),
    (sa.Date, lambda _, number: [str(date(2026, 2, 28) + timedelta(days=number))]),
    (sa.Time, lambda _, number: [f"23:59:58.{123456 + number}"]),
]
