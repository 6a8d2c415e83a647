"""The embedded server, also where root starts it: it opens no folder, and makes no user."""

import os
from pathlib import Path

import psycopg
import pytest
from testdb.postgresql import embedded, folders
from testdb.postgresql.programs import NoPostgresqlError
from testdb.postgresql.server import embedded_server

try:
    embedded.programs()
except NoPostgresqlError as reason:
    pytest.skip(str(reason), allow_module_level=True)

pytestmark = pytest.mark.slow


def modes(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return the rights and owners of a folder, of those above it, and of the home folder."""
    folders = {folder, *folder.parents, Path.home()}
    return {path: (path.stat().st_mode, path.stat().st_uid) for path in folders}


@pytest.mark.parametrize("name", ["data", "a" * 100], ids=["short", "too long for a socket"])
def test_a_server_runs_in_a_closed_folder_and_changes_no_other(tmp_path: Path, name: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before, users = modes(closed), Path("/etc/passwd").read_text()

    url = embedded.start(closed / name)
    try:
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT 1").fetchone()
        again = embedded.start(closed / name)
    finally:
        embedded.stop(closed / name)

    assert (found, again) == ((1,), url)
    assert modes(closed) == before
    assert Path("/etc/passwd").read_text() == users
    assert not embedded.is_running(closed / name)


def test_variables_that_are_about_other_servers_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    for name, value in {"PGPORT": "2", "PGHOST": "192.0.2.9", "PGDATABASE": "other"}.items():
        monkeypatch.setenv(name, value)

    url = embedded.start(data)
    try:
        monkeypatch.delenv("PGPORT")
        again = embedded.start(data)
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT current_database()").fetchone()
    finally:
        embedded.stop(data)

    assert (found, again) == (("postgres",), url)


def test_what_tests_set_on_the_server_reaches_no_later_run(tmp_path: Path) -> None:
    for _ in range(2):
        with embedded_server(tmp_path) as url:
            plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(plain, autocommit=True) as connection:
                for name in ("work_mem", "lock_timeout", "fsync"):
                    found = connection.execute(f"SHOW {name}").fetchone()
                    assert found == ({"work_mem": "4MB", "lock_timeout": "0"}.get(name, "off"),)
                connection.execute("ALTER ROLE CURRENT_USER SET lock_timeout = '7s'")
                connection.execute("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
                connection.execute("ALTER SYSTEM SET work_mem = '7MB'")
                connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'missing'")


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    data = tmp_path / "data"
    embedded.start(data)
    embedded.stop(data)
    with (data / "postgresql.conf").open("a") as settings:
        settings.write("nonsense = 1\n")

    with pytest.raises(RuntimeError, match=r"(?s)pg_ctl failed in .*nonsense"):
        embedded.start(data)


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the one in memory."""
    monkeypatch.setattr(folders, "memory_folder", lambda: tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    return tmp_path / "memory"


def test_data_of_a_project_that_is_gone_are_removed_by_the_next_run(
    tmp_path: Path, memory: Path
) -> None:
    gone, present, running = (tmp_path / name for name in ("gone", "present", "running"))
    for project in (gone, present, running):
        project.mkdir()
    for project in (gone, present):
        with embedded_server(project):
            pass

    with embedded_server(running):
        gone.rmdir()
        running.rmdir()
        with embedded_server(present):
            left = {note.read_text().split()[1] for note in memory.glob("*/project")}

    assert left == {str(present), str(running)}


def test_what_nobody_understands_stops_no_run(tmp_path: Path, memory: Path) -> None:
    for number, note in enumerate(["", "0 \0", "\udcff", "1 /gone", None]):
        strange = memory / f"{folders.PREFIX}strange-{number}"
        strange.mkdir()
        (strange / "postmaster.pid").touch()
        if note is None:
            (strange / folders.NOTE).mkdir()
        else:
            (strange / folders.NOTE).write_bytes(os.fsencode(note))

    with embedded_server(tmp_path) as url:
        found = url.get_backend_name()

    assert found == "postgresql"
