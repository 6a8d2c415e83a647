"""A row that is made from nothing but the catalogue, and tried out.

Where a constraint refuses it, the values of the columns that the constraint is about are replaced,
until the database takes the row.
"""

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from migrator.engine import expected_warnings
from migrator.tabletext import mentions
from migrator.testing.samples import LONGEST, make_values

# Values for some columns, or no value for one that has a default or may be NULL.
Choice = dict[str, Any]

TRIES = 300
LITERAL = re.compile(r"'((?:[^']|'')*)'")
INTEGER = re.compile(r"(?<![\w.'])\d+(?![\w.'])")


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
