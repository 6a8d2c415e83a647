"""Real databases in settings: which are found, and what stands in their place."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from dotenv import load_dotenv
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError
from testdb import ProtectedDatabaseError, replace_settings, settings
from testdb.guard import protect
from testdb.guard.processes import REMEMBERED
from testdb.migrations import find_configuration

from tests.conftest import isolation

SECRET = "do-not-show"  # noqa: S105
SERVER = f"postgresql+psycopg://me:{SECRET}@192.0.2.1:6/real?sslpassword={SECRET}"

# The variables of a service that has its database in parts.
NAMES = {
    "host": "POSTGRES_HOST",
    "port": "POSTGRES_PORT",
    "username": "POSTGRES_USER",
    "password": "POSTGRES_PASSWORD",
    "database": "POSTGRES_DB",
}
PARTS = {"drivername": "postgresql+asyncpg", **NAMES}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a service's settings, beside the current one. The environment stays."""
    before = dict(os.environ)
    monkeypatch.setattr(settings, "replaced", set())
    for name in ("project", "current"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "current")
    del os.environ[REMEMBERED]
    yield tmp_path / "project"
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("sqlite:////data/real.db", "sqlite:////dev/fd/real.db"),
        ("sqlite+aiosqlite:////data/real.db", "sqlite+aiosqlite:////dev/fd/real.db"),
        ("sqlite:////data/real.db?timeout=5", "sqlite:////dev/fd/real.db"),
        (SERVER, "postgresql+psycopg://me:tests@127.0.0.1:1/real"),
        ("postgres://me@db/real", "postgres://me@127.0.0.1:1/real"),
        ("postgis://me@db/real", "postgis://me@127.0.0.1:1/real"),
        ("psql://me@db/real", "psql://me@127.0.0.1:1/real"),
        ("db+postgresql://me@db/real", "db+postgresql://me@127.0.0.1:1/real"),
        ("redshift+psycopg2://me@db/real", "redshift+psycopg2://me@127.0.0.1:1/real"),
        ("duckdb:////data/real.db", "duckdb:////dev/fd/real.db"),
        ("postgresql+asyncpg:///real?host=/run", "postgresql+asyncpg://127.0.0.1:1/real"),
        ("mysql+pymysql://me@db/real", "mysql+pymysql://me@127.0.0.1:1/real"),
        ("chdb:////data/events", "chdb:////dev/fd/events"),
        ("clickhouse://me@db/real", "clickhouse://me@127.0.0.1:1/real"),
    ],
)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_database_is_replaced_by_nowhere_with_the_same_driver(
    folder: Path, place: str, value: str, expected: str
) -> None:
    if place == "environment":
        os.environ["SOME_DSN"] = value
    else:
        (folder / ".env").write_text(f"export SOME_DSN='{value}'  # the real one\n")

    found = replace_settings(folder / ".env")

    assert os.environ["SOME_DSN"] == expected
    assert make_url(value).database in [url.database for url in found]
    shown = [url.render_as_string(hide_password=False) for url in found]
    assert SECRET not in f"{shown} {os.environ[REMEMBERED]}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TEST_DATABASE_URL", SERVER),
        ("SOME_DSN", "sqlite://"),
        ("SOME_DSN", "sqlite:///:memory:"),
        ("SOME_DSN", "sqlite:///file:name?mode=memory&uri=true"),
        ("SOME_DSN", "clickhouse://tests:p4@127.0.0.1:1/tests"),
        ("SOME_DSN", "https://example.com/real"),
        ("SOME_DSN", "redis://localhost:6379/0"),
        ("SOME_DSN", "real"),
        ("SOME_DSN", ""),
    ],
)
def test_what_is_no_real_database_stays(folder: Path, name: str, value: str) -> None:
    replace_settings()
    known = os.environ[REMEMBERED]
    os.environ[name] = value

    replace_settings(folder / "missing.env")

    assert os.environ[name] == value
    assert os.environ[REMEMBERED] == known


def test_a_relative_path_is_protected_here_and_where_the_settings_are(folder: Path) -> None:
    (folder / ".env").write_text("DATABASE_URL=sqlite:///data/real.db")

    found = {url.database for url in replace_settings(folder / ".env")}

    assert found >= {str(folder / "data/real.db"), str(Path.cwd() / "data/real.db")}


URI = "sqlite:///file:data/50%25%20real.db?mode=rwc&uri=true"


def test_a_relative_path_in_a_uri_is_protected_here_and_where_the_settings_are(
    folder: Path,
) -> None:
    (folder / ".env").write_text(f"DATABASE_URL={URI}")

    protect(replace_settings(folder / ".env"))

    for start in (folder, Path.cwd()):
        with pytest.raises(ProtectedDatabaseError):
            sqlite3.connect(start / "data" / "50% real.db")


# Texts with several databases, with what stands in their place.
SEVERAL = {
    "postgresql://me@192.0.2.1/x,postgresql://me@192.0.2.2/x": (
        "postgresql://me@127.0.0.1:1/x,postgresql://me@127.0.0.1:1/x"
    ),
    "postgresql://me:a,b;c@192.0.2.1/x ; postgres://me@192.0.2.2/x": (
        "postgresql://me:tests@127.0.0.1:1/x ; postgres://me@127.0.0.1:1/x"
    ),
    '{"a": "postgresql://me:a;b c@192.0.2.1/x", "b": ["postgresql://192.0.2.2/x"], "c": 1}': (
        '{"a": "postgresql://me:tests@127.0.0.1:1/x", "b": ["postgresql://127.0.0.1:1/x"], "c": 1}'
    ),
    "a=postgresql://192.0.2.1/x,b=postgresql://192.0.2.2/x,c=1": (
        "a=postgresql://127.0.0.1:1/x,b=postgresql://127.0.0.1:1/x,c=1"
    ),
    "[postgresql://192.0.2.1/x, postgresql://192.0.2.2/x]": (
        "[postgresql://127.0.0.1:1/x, postgresql://127.0.0.1:1/x]"
    ),
    "jdbc:postgresql://192.0.2.1/x postgresql://192.0.2.2/x": (
        "jdbc:postgresql://127.0.0.1:1/x postgresql://127.0.0.1:1/x"
    ),
    "postgresql://me@192.0.2.1:5432,192.0.2.2:5432/x": "postgresql://me@127.0.0.1:1/x",
}


@pytest.mark.parametrize("value", SEVERAL)
def test_each_database_in_a_text_is_found_and_replaced(folder: Path, value: str) -> None:
    os.environ["REPLICAS"] = value

    protect(replace_settings())

    assert os.environ["REPLICAS"] == SEVERAL[value]
    for host in ("192.0.2.1", "192.0.2.2"):
        with socket.socket() as client, pytest.raises(ProtectedDatabaseError):
            client.connect((host, 5432))
        for text in (value, value.replace("x", "other")):
            with pytest.raises(ProtectedDatabaseError):
                subprocess.run(["serve"], env={"REPLICAS": text}, check=True)


def test_a_long_text_takes_no_long_look(folder: Path) -> None:
    # Where each letter may begin a name, this would take hours.
    os.environ["KEYS"] = f"{{{'a+' * 60_000}://"

    assert replace_settings() == replace_settings()


def test_a_relative_path_that_is_named_in_code_is_protected_here_and_in_the_project(
    folder: Path,
) -> None:
    named = ["sqlite:///data/real.db", "sqlite://", "sqlite:///:memory:"]
    its = replace(isolation, alembic=folder / "alembic.ini", protected=named)

    found = {url.database for url in its.protected_urls}

    assert found >= {str(folder / "data/real.db"), str(Path.cwd() / "data/real.db")}
    assert found >= {None, ":memory:"}


def test_a_relative_path_is_protected_in_the_root_when_that_is_known_late(folder: Path) -> None:
    (folder / "config").mkdir()
    (folder / "config" / "alembic.ini").touch()
    its = replace(
        isolation, alembic=Path("config/alembic.ini"), protected=["sqlite:///data/real.db"]
    )
    # As a conftest.py does it that has a `test_session_maker`.
    assert its.session_maker is not None
    before = {url.database for url in its.protected_urls}

    find_configuration(its, folder)

    found = {url.database for url in its.protected_urls} - before
    assert found == {str(folder / "data/real.db"), str(folder / "config/data/real.db")}


def test_a_relative_path_is_protected_in_the_folder_of_pyproject_toml(folder: Path) -> None:
    alembic = Config()
    vars(alembic)["toml_file_name"] = str(folder / "pyproject.toml")
    its = replace(isolation, alembic=alembic, protected=["sqlite:///data/real.db"])

    assert str(folder / "data/real.db") in {url.database for url in its.protected_urls}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("named", [SERVER, make_url(SERVER)])
def test_a_single_url_is_protected_as_a_whole(named: Any) -> None:
    its = replace(isolation, protected=named)

    assert make_url(SERVER) in its.protected_urls


def test_paths_may_be_texts(folder: Path) -> None:
    file = folder / ".env"
    file.write_text("DATABASE_URL=sqlite:///data/real.db")
    its: Any = replace(isolation, alembic=str(folder / "alembic.ini"), protected=[])  # type: ignore[arg-type]

    assert replace_settings(str(file)) == replace_settings(file)
    assert its.alembic == folder / "alembic.ini"


def test_a_database_that_differs_in_its_secrets_alone_is_named_once(folder: Path) -> None:
    os.environ["SOME_DSN"] = SERVER
    replace_settings(folder / ".env")

    its = replace(isolation, protected=[SERVER])

    assert [url for url in its.protected_urls if url.host == "192.0.2.1"] == [make_url(SERVER)]


def test_the_driver_is_the_service_s_own_and_not_that_of_another_service(folder: Path) -> None:
    os.environ[REMEMBERED] = "postgresql+asyncpg://me@192.0.2.1:7/another"
    (folder / ".env").write_text(f"SOME_DSN={SERVER}")

    drivers = [url.drivername for url in replace_settings(folder / ".env") if url.port in {6, 7}]

    assert drivers == ["postgresql+psycopg", "postgresql+asyncpg"]


def test_settings_in_parts_are_replaced_wherever_they_are(folder: Path) -> None:
    (folder / ".env").write_text("POSTGRES_HOST=192.0.2.1\nPOSTGRES_PORT=6\nPOSTGRES_DB=other\n")
    os.environ["POSTGRES_DB"] = "real"
    os.environ["POSTGRES_PASSWORD"] = SECRET

    found = replace_settings(folder / ".env", parts=[PARTS])

    assert "postgresql+asyncpg://192.0.2.1:6/real" in map(str, found)
    assert {os.environ[NAMES["host"]], os.environ[NAMES["port"]]} == {"127.0.0.1", "1"}
    assert settings.replaced >= {NAMES["host"], NAMES["port"]}


def test_parts_that_name_no_server_protect_nothing(folder: Path) -> None:
    before = replace_settings(parts=[PARTS])

    assert replace_settings(folder / ".env", parts=[PARTS]) == before
    assert NAMES["host"] not in os.environ


@pytest.mark.parametrize("place", ["environment", "file"])
def test_names_of_parts_may_have_any_case(folder: Path, place: str) -> None:
    given = {"postgres_host": "192.0.2.1", "postgres_port": "6", "postgres_db": "real"}
    if place == "environment":
        os.environ.update(given)
    else:
        (folder / ".env").write_text("".join(f"{key}={value}\n" for key, value in given.items()))

    found = replace_settings(folder / ".env", parts=[PARTS])

    assert "postgresql+asyncpg://192.0.2.1:6/real" in map(str, found)
    values = {value for name, value in os.environ.items() if name.upper() == NAMES["host"]}
    assert values == {"127.0.0.1"}


def test_a_host_that_is_in_code_is_taken_for_this_machine_and_replaced(folder: Path) -> None:
    (folder / ".env").write_text("POSTGRES_DB=real\n")

    found = replace_settings(folder / ".env", parts=[PARTS])

    assert "postgresql+asyncpg://localhost/real" in map(str, found)
    assert {os.environ[NAMES["host"]], os.environ[NAMES["port"]]} == {"127.0.0.1", "1"}


def test_a_port_that_is_no_number_is_named(folder: Path) -> None:
    os.environ["POSTGRES_PORT"] = "tcp://10.0.0.1:5432"

    with pytest.raises(ValueError, match=r"POSTGRES_PORT is 'tcp://10\.0\.0\.1:5432'"):
        replace_settings(parts=[PARTS])


def test_parts_without_a_port_are_an_error(folder: Path) -> None:
    parts = {"drivername": "postgresql", "host": "POSTGRES_HOST"}

    with pytest.raises(ValueError, match=r"POSTGRES_HOST.* lacks port"):
        replace_settings(folder / ".env", parts=[parts])


def test_a_process_below_learns_what_is_protected(folder: Path) -> None:
    os.environ["DATABASE_URL"] = SERVER
    found = replace_settings()

    assert replace_settings() == found
    assert "postgresql+psycopg://me@192.0.2.1:6/real" in map(str, found)


def test_settings_that_are_loaded_again_do_not_come_back(folder: Path) -> None:
    file = folder / ".env"
    file.write_text(f"DATABASE_URL={SERVER}\nREPLICA_URL={SERVER}\n")
    protect(replace_settings(file))
    before = dict(os.environ)

    load_dotenv(file)

    assert dict(os.environ) == before
    load_dotenv(file, override=True)
    with pytest.raises(ProtectedDatabaseError):
        subprocess.run([sys.executable, "--version"], check=True)


def test_a_service_may_make_the_folder_of_its_database(folder: Path) -> None:
    os.environ["DATABASE_URL"] = f"sqlite:///{folder}/7"
    replace_settings()
    path = make_url(os.environ["DATABASE_URL"]).database or ""

    Path(path).parent.mkdir(parents=True, exist_ok=True)

    with pytest.raises(OSError, match="No such file"):
        Path(path).touch()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        sqlite3.connect(path)


def test_an_engine_takes_its_options_and_connects_to_nothing(folder: Path) -> None:
    for name, url in (("A", SERVER), ("B", f"sqlite:///{folder}/real.db")):
        os.environ[f"{name}_URL"] = url
    replace_settings()

    for name in "AB":
        engine = create_engine(os.environ[f"{name}_URL"], pool_size=3, max_overflow=0)
        with pytest.raises(OperationalError):
            engine.connect()
