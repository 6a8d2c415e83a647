"""The SQLite file of `isolated_database`: how it is put back, in whatever mode."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import testdb.sqlite
from sqlalchemy import create_engine, event, text
from testdb.run import Run
from testdb.sqlite.file import SqliteFile

ADD_USER = (
    "INSERT INTO users (id, email, name)"
    " VALUES ('00000000000000000000000000000001', 'one@example.com', 'One')"
)


def test_a_file_that_is_being_written_to_is_left_alone(own_run: Run, tmp_path: Path) -> None:
    image = own_run.sqlite.image
    with closing(SqliteFile(tmp_path, image)) as file, file.connected() as other:
        first = file.url
        file.snapshot("first")
        other.exec_driver_sql("BEGIN IMMEDIATE")

        with pytest.raises(sqlite3.OperationalError, match="end all transactions"):
            file.restore("first")
        needed = file.renew()

        assert (needed, file.url == first) == ("spare", False)


# What a test does, and whether a connection has to prepare its statements again.
CHANGES = {
    "rows": (ADD_USER, False),
    "a table": ("CREATE TABLE extra (id INTEGER)", True),
    "a table that is gone again": ("CREATE TABLE extra (id INTEGER); DROP TABLE extra", True),
    "a column": ("ALTER TABLE users ADD extra INTEGER", True),
}


@pytest.mark.parametrize(("script", "is_prepared_again"), CHANGES.values(), ids=CHANGES)
def test_connections_to_a_file_prepare_again_only_where_the_schema_has_changed(
    own_run: Run, tmp_path: Path, script: str, *, is_prepared_again: bool
) -> None:
    prepared: list[int] = []
    query = "SELECT * FROM users"

    def note(action: int, *_: object) -> int:
        prepared.append(action)
        return sqlite3.SQLITE_OK

    with (
        closing(SqliteFile(tmp_path, own_run.sqlite.image)) as file,
        closing(sqlite3.connect(file.path)) as connection,
    ):
        connection.set_authorizer(note)
        columns = len(connection.execute(query).description)
        # A table of the same name has other columns each time.
        for column in ("number", "text"):
            with closing(sqlite3.connect(file.path)) as other:
                other.executescript(script.replace("id", column) if "extra" in script else script)
            file.renew()
            prepared.clear()
            cursor = connection.execute(query)

            assert cursor.fetchall() == []
            assert len(cursor.description) == columns
            assert bool(prepared) == is_prepared_again
            assert not connection.execute(
                "SELECT * FROM sqlite_master WHERE name = 'extra'"
            ).fetchone()


@pytest.mark.parametrize("mode", ["delete", "memory", "truncate", "wal"])
def test_the_service_chooses_the_mode_of_the_file(own_run: Run, tmp_path: Path, mode: str) -> None:
    needed = set()
    with closing(SqliteFile(tmp_path, own_run.sqlite.image)) as file:
        engine = create_engine(file.url)

        @event.listens_for(engine, "connect")
        def configure(connection: Any, _: object) -> None:
            connection.execute(f"PRAGMA journal_mode = {mode}")

        file.watch(engine)
        for _ in range(3):
            with engine.begin() as connection, engine.connect() as other:
                assert other.scalar(text("PRAGMA journal_mode")) == mode
                other.rollback()
                assert connection.scalar(text("SELECT count(*) FROM users")) == 0
                connection.execute(text(ADD_USER))
            needed.add(file.renew())
        engine.dispose()

    assert needed == {"rows"}


def test_only_the_folders_of_ended_processes_are_removed(
    own_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testdb.sqlite, "memory_folder", lambda: tmp_path)
    own = own_run.sqlite

    with own.isolated() as first:
        # As a killed process leaves it.
        left = first.path.parent.with_name(f"{first.path.parent.name}-left")
        left.mkdir()
        (left / "isolated-0.db").touch()
        with own.isolated() as second:
            assert {*tmp_path.iterdir()} == {first.path.parent, second.path.parent}
        assert first.path.exists()

    assert not [*tmp_path.iterdir()]


# What a test may change in the file itself.
PERSISTENT = {
    "journal_mode": "PRAGMA journal_mode = DELETE",
    "user_version": "PRAGMA user_version = 7",
    "application_id": "PRAGMA application_id = 7",
    "auto_vacuum": "PRAGMA auto_vacuum = FULL; VACUUM",
    "page_size": "PRAGMA journal_mode = DELETE; PRAGMA page_size = 8192; VACUUM",
    "default_cache_size": "PRAGMA default_cache_size = 77",
    "schema_version": "PRAGMA schema_version = 77",
}


@pytest.mark.parametrize("name", PERSISTENT)
def test_what_a_test_sets_in_the_file_is_put_back(own_run: Run, tmp_path: Path, name: str) -> None:
    found = []
    with closing(SqliteFile(tmp_path, own_run.sqlite.image)) as file:
        for script in (PERSISTENT[name], "", ""):
            engine = create_engine(file.url)
            file.watch(engine)
            with engine.connect() as connection:
                raw: Any = connection.connection.driver_connection
                found.append(connection.scalar(text(f"PRAGMA {name}")))
                raw.commit()
                raw.executescript(script)
            engine.dispose()
            file.renew()

    if name == "schema_version":
        # It says that the schema may have changed.
        assert found[1] != 77
    else:
        assert found == [found[0]] * 3
