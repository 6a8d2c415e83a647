"""Converts what SQLite stores for one type into another, with the result that PostgreSQL has.

`CAST(x AS DATE)`, as Alembic writes it, makes a number of whatever the text begins with: 2026.
"""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

Convert = Callable[[Any], object]

BOOLEANS = {
    **dict.fromkeys(("t", "true", "y", "yes", "on", "1"), 1),
    **dict.fromkeys(("f", "false", "n", "no", "off", "0"), 0),
}
# Between these, a CAST of SQLite does what PostgreSQL does.
PLAIN = {"Boolean", "Float", "Integer", "Numeric", "String"}
KNOWN = PLAIN | {"Date", "DateTime", "Interval", "JSON", "Time", "Uuid"}


def to_integer(text: str) -> int:
    """Return a whole number that SQLite can store."""
    number = int(text)
    if number.bit_length() >= 64:
        raise ValueError(text)
    return number


def to_rounded(text: str) -> int:
    """Return the whole number that is nearest."""
    return to_integer(str(Decimal(text).to_integral_value(ROUND_HALF_UP)))


def to_number(text: str) -> str:
    """Return a number, which SQLite gets as text so that no digit is lost on the way."""
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(text)
    return str(number)


def to_json(text: str) -> str:
    """Return a text that is JSON."""
    json.loads(text)
    return text


def to_datetime(text: str) -> str:
    """Return a date and time; of a type without a zone, which ignores the one of a text."""
    return datetime.fromisoformat(text).replace(tzinfo=None).isoformat(" ", "microseconds")


def to_utc(text: str) -> str:
    """Return a date and time of a type with a zone; texts without one are in UTC."""
    found = datetime.fromisoformat(text)
    return to_datetime(str(found.astimezone(UTC) if found.tzinfo else found))


FROM_TEXT: dict[str, Convert] = {
    "Boolean": lambda text: BOOLEANS[text.strip().lower()],
    "Date": lambda text: datetime.fromisoformat(text).date().isoformat(),
    "DateTime": to_datetime,
    "Float": to_number,
    "Integer": to_integer,
    "JSON": to_json,
    "Numeric": to_number,
    "Time": lambda text: time.fromisoformat(text).replace(tzinfo=None).isoformat("microseconds"),
    "Uuid": lambda text: UUID(text).hex,
}
TO_TEXT: dict[str, Convert] = {
    "Boolean": lambda text: "true" if int(text) else "false",
    "Date": lambda text: date.fromisoformat(text).isoformat(),
    "DateTime": lambda text: str(datetime.fromisoformat(text)),
    "JSON": str,
    "Time": lambda text: str(time.fromisoformat(text)),
    "Uuid": lambda text: str(UUID(text)),
}
OTHERS: dict[tuple[str, str], Convert] = {
    ("Date", "DateTime"): to_datetime,
    ("DateTime", "Date"): FROM_TEXT["Date"],
    ("DateTime", "Time"): lambda text: to_datetime(text).partition(" ")[2],
    **{(kind, "Boolean"): lambda text: int(to_rounded(text) != 0) for kind in PLAIN},
    **{(kind, "Integer"): to_rounded for kind in ("Float", "Numeric")},
    **{(kind, "String"): convert for kind, convert in TO_TEXT.items()},
    **{("String", kind): convert for kind, convert in FROM_TEXT.items()},
}


def convert_unless_null(convert: Convert, value: object) -> object:
    """Return a stored value converted, and NULL as it is."""
    return None if value is None else convert(str(value))


def refuse(text: str) -> object:
    """Convert no value: PostgreSQL has no cast."""
    raise ValueError(text)


def find_conversion(
    old: sa.types.TypeEngine[Any], new: sa.types.TypeEngine[Any], dialect: sa.Dialect
) -> tuple[str, Convert] | None:
    """Return how values of one type become those of another; None if a CAST of SQLite does it.

    The function has a name, takes the text of a value, and fails where PostgreSQL would.
    """
    types = [it.dialect_impl(dialect) for it in (old, new)]
    # SQLAlchemy has no public name for the kind of a type; Alembic asks in the same way.
    before, after = (getattr(it._type_affinity, "__name__", "") for it in types)
    is_plain = {before, after} <= PLAIN and (before, after) not in OTHERS
    if before == after or is_plain or not {before, after} <= KNOWN:
        return None
    convert = OTHERS.get((before, after), refuse)
    if convert is to_datetime and getattr(types[1], "timezone", False):
        return f"{before}_to_{after}_in_utc".lower(), to_utc
    return f"{before}_to_{after}".lower(), convert
