"""Values of every type that show if some of them is lost."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

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
