"""URLs of databases: every usual spelling is understood, and a password that is none is known."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from migrator import urls

ROOT = Path("/srv/app")
# Databases that anybody can open who has read an example.
OPEN = """
    u@h/d u:password@h/d USER:PASSWORD@h/d u:postgres@h/d u:Change-Me1!@h/d u:12345678@h/d
    u:your_password_here@h/d u:%3Cpassword%3E@h/d sales:sales@h/d u@h/d?password=changeme
    u:p4@h/d?password=secret
"""
# Databases that only those can open who know a secret.
CLOSED = """
    u:p4@h/d u@h/d?password=p4 u:password@h/d?password=p4 u:839204710293@h/d u@h/d?sslcert=x.crt
"""


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///%3Amemory%3A"),
        ("sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
        ("sqlite+aiosqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
        ("sqlite:///data/x.db", "sqlite:////srv/app/data/x.db"),
        ("sqlite:////srv/@home/#1.db", "sqlite:////srv/%40home/%231.db"),
        ("postgresql://u%40corp:p%23%40@h/d", "postgresql+psycopg://u%40corp:***@h/d"),
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg://u@h/d"),
        (
            "postgresql+asyncpg://u@h/d?ssl=verify-full",
            "postgresql+psycopg://u@h/d?sslmode=verify-full",
        ),
        (
            "postgresql+asyncpg://u@h/d?ssl=true&timeout=9",
            "postgresql+psycopg://u@h/d?sslmode=require",
        ),
        ("postgres+asyncpg://u@h/d?ssl=require", "postgresql+psycopg://u@h/d?sslmode=require"),
        ("postgresql://u@%2Fvar%2Frun/d", "postgresql+psycopg://u@/d?host=%2Fvar%2Frun"),
        ("postgresql://u@h/d?sslmode=prefer", "postgresql+psycopg://u@h/d?sslmode=prefer"),
        ("postgres://u@h/?dbname=d&port=1", "postgresql+psycopg://u@h/d?port=1"),
        ("postgresql+asyncpg://u@h/x?database=d", "postgresql+psycopg://u@h/d"),
    ],
)
def test_every_usual_spelling_is_understood(given: str, meant: str) -> None:
    assert urls.parse(given, ROOT).render_as_string() == meant


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("chdb:///data/clickhouse", "chdb:////srv/app/data/clickhouse"),
        ("chdb:////var/lib/clickhouse", "chdb:////var/lib/clickhouse"),
        ("clickhouse://u:p%25@host/db", "clickhouse://u:p%25@host:8123/db"),
        ("clickhouse://host:9000", "clickhouse://host:9000/default"),
    ],
)
def test_a_clickhouse_is_a_folder_or_a_server(given: str, meant: str) -> None:
    found = urls.parse_clickhouse(given, ROOT)

    assert found.render_as_string(hide_password=False) == meant


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("not a url", "not a database URL"),
        ("mysql://u:secret@h/d", "unsupported database 'mysql'"),
        ("sqlite:///data/x.db?mode=ro&uri=true", "a SQLite URI is not supported"),
        ("sqlite:///file:secret.db?uri=true", "a SQLite URI is not supported"),
        ("postgresql://u:secret@h:secret/d", "not a database URL"),
        ("postgresql://u:secret@h1:5432,h2:5433/d", r"are written .*\?host=A:5432&host=B:5432"),
        ("postgresql://u:sec@secret#pw/@h:1/d", "write @ as %40, # as %23, / as %2F"),
        ("postgresql://u:p@secret@h/d", "write @ as %40"),
        ("postgresql://u:p@secret/secret@h/d", "write @ as %40"),
    ],
)
def test_another_database_is_refused_without_showing_it(value: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        urls.parse(value, ROOT)

    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "value",
    ["chdb://", "chdb://host/folder", "clickhouse:///db", "http://u:secret@host", "secret", ""],
)
def test_no_clickhouse_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(ValueError, match="not a ClickHouse URL; expected") as refusal:
        urls.parse_clickhouse(value, ROOT)

    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "is_open"),
    [*((url, True) for url in OPEN.split()), *((url, False) for url in CLOSED.split())],
)
def test_a_well_known_password_is_none(url: str, is_open: bool) -> None:
    assert urls.is_guessable(sa.make_url(f"postgresql://{url}")) == is_open
