"""The values in a database, and which of them a revision has changed.

Whatever the types are, two values are the same if they say the same: a time with its zone, a number
in a wider column, a text that has become a label of an enum.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from migrator.engine import expected_warnings
from migrator.history import OWN_TABLES

# As all databases write it; a leading zero means that it is a text.
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
UUID = re.compile(
    r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}", re.IGNORECASE
)
TIME = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d.*)?")
BOOLEANS = {"true": "1", "false": "0"}


@dataclass(frozen=True)
class Contents:
    """The rows of a table."""

    columns: Mapping[str, bool]  # the names, and whether each holds text
    key: tuple[str, ...]  # the columns of the primary key
    rows: list[dict[str, str | None]]  # a text for each column; None for NULL

    @property
    def is_covered(self) -> bool:
        """Whether each column has a value in some row."""
        return all(any(row[it] is not None for row in self.rows) for it in self.columns)


Values = dict[str, Contents]


def read_values(connection: Connection) -> Values:
    """Return the rows of each table, but for those of the migrations themselves.

    Generated columns are left out: nobody has written their values.
    """
    inspector = sa.inspect(connection)
    found = {}
    with expected_warnings():
        for name in sorted({*inspector.get_table_names()} - {*OWN_TABLES}):
            parts = [it for it in inspector.get_columns(name) if is_readable(it)]
            columns = {it["name"]: isinstance(it["type"], sa.String) for it in parts}
            key = tuple(inspector.get_pk_constraint(name).get("constrained_columns", ()))
            found[name] = Contents(columns, key, read_rows(connection, name, list(columns)))
    connection.rollback()
    return found


def is_readable(column: Any) -> bool:
    """Return whether a column has values that were written and can be read."""
    return "computed" not in column and "AggregateFunction" not in str(column["type"])


def read_rows(
    connection: Connection, table: str, columns: list[str]
) -> list[dict[str, str | None]]:
    """Return the rows of a table as texts."""
    parts: list[sa.ColumnElement[Any]] = [sa.column(name) for name in columns]
    if connection.dialect.name == "postgresql":
        # Of any type, as the server writes it.
        parts = [sa.cast(part, sa.Text) for part in parts]
    query = sa.select(*parts).select_from(sa.table(table))
    return [dict(zip(columns, map(as_text, row), strict=True)) for row in connection.execute(query)]


def as_text(value: object) -> str | None:
    """Return a value as a text; bytes as PostgreSQL writes them."""
    if value is None:
        return None
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


def find_changes(before: Values, after: Values) -> Iterator[str]:
    """Yield what has changed in the columns that both have.

    A row that is gone or new is a change. A value where there was NULL loses nothing, and is none.
    """
    for name in sorted(before.keys() & after.keys()):
        yield from find_changes_of_table(name, before[name], after[name])


def find_changes_of_table(name: str, old: Contents, new: Contents) -> Iterator[str]:
    """Yield what has changed in a table."""
    columns = [it for it in old.columns if it in new.columns]
    key = [it for it in old.key if it in columns]

    def identify(row: Mapping[str, str | None]) -> tuple[str, ...]:
        return tuple(simplify(row[it]) for it in (key or columns))

    twins = defaultdict(list)
    for row in new.rows:
        twins[identify(row)].append(row)
    pairs, gone = [], []
    for row in old.rows:
        if found := twins[identify(row)]:
            pairs.append((row, found.pop()))
        else:
            gone.append(row)
    added = [row for rows in twins.values() for row in rows]
    if len(gone) == len(added):
        pairs += zip(sorted(gone, key=identify), sorted(added, key=identify), strict=True)
    else:
        yield f"{name}: {len(old.rows)} → {len(new.rows)} rows"
    for was, has in pairs:
        for column in columns:
            is_text = old.columns[column] and new.columns[column]
            if was[column] is not None and not is_same(was[column], has[column], is_text=is_text):
                place = ", ".join(f"{it}={was[it]}" for it in key)
                yield f"{name}.{column} ({place}): {was[column]!r} → {has[column]!r}"


def is_same(one: str | None, other: str | None, *, is_text: bool) -> bool:
    """Return whether two values say the same; in two columns of text, they have to be equal."""
    return one == other or (
        not is_text and None not in (one, other) and simplify(one) == simplify(other)
    )


def simplify(value: str | None) -> str:
    """Return the one form of all texts that say the same in columns of different types."""
    text = BOOLEANS.get(value or "", value or "")
    if UUID.fullmatch(text):
        return text.replace("-", "").lower()
    if NUMBER.fullmatch(text):
        number = Decimal(text).normalize()
        return f"{number:f}" if number else "0"
    if TIME.fullmatch(text):
        return in_utc(text)
    if text.startswith(("{", "[", '"')):
        return simplify_json(text)
    return decode(text) if text.startswith("\\x") else text


def in_utc(text: str) -> str:
    """Return a time in UTC; one without a zone is in UTC, and a date begins at midnight."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return str(time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC))


def simplify_json(text: str) -> str:
    """Return JSON without its layout."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, str) else json.dumps(found, sort_keys=True)


def decode(text: str) -> str:
    """Return the text that bytes stand for, if they stand for one."""
    try:
        return bytes.fromhex(text[2:]).decode()
    except ValueError:
        return text
