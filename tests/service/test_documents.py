"""The documents for three readers work word by word."""

import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.running import TEMPLATE, UV, Run, succeeded
from tests.service.project import Service, combinations, copy_mypy_cache
from tests.walkthrough import follow

DOCS = TEMPLATE / "docs"
BOOKSHOP = Path(__file__).with_name("documents") / "bookshop"
# The document says `uv`, which may be only in the template's folder.
WITH_UV = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"


def checkout(folder: Path, run: Run) -> Path:
    """Return a copy of what git knows of the template, and of uv if this has brought it."""
    listed = succeeded(run("git", "ls-files", "-z", cwd=TEMPLATE)).split("\0")
    for name in filter(None, listed):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TEMPLATE / name, folder / name)
    if (uv := TEMPLATE / ".uv").exists():
        (folder / ".uv").symlink_to(uv)
    return folder


def test_who_starts_a_service_gets_one_that_runs(run: Run, tmp_path: Path) -> None:
    template = checkout(tmp_path / "template", run)
    variables = copy_mypy_cache(tmp_path / "mypy")

    printed = follow(DOCS / "starting-a-service.md", template, **variables)

    assert re.search(r"\b\d{3} passed", printed)
    assert '"content":"Read more"' in printed
    assert "Nothing to do: the database is at 0001." in printed
    # Of `make check`, such as one of a foreign key without an index.
    assert "warning:" not in printed
    log = succeeded(run("git", "log", "--format=%s", cwd=tmp_path / "book-club"))
    assert log.splitlines()[0] == "A service"


def test_who_has_a_service_gets_isolated_tests_and_safe_migrations(tmp_path: Path) -> None:
    shop = shutil.copytree(BOOKSHOP, tmp_path / "bookshop")
    (shop / "settings.env").rename(shop / ".env")
    real = shop / "bookshop.db"
    with closing(sqlite3.connect(real)) as connection:
        connection.executescript(DEVELOPMENT)

    printed = follow(DOCS / "into-a-service.md", shop, TEMPLATE=str(TEMPLATE), PATH=WITH_UV)

    assert printed.count("3 passed") == 2
    assert "Nothing to do: the database is at 1." in printed
    with closing(sqlite3.connect(real)) as connection:
        assert connection.execute("SELECT title FROM books").fetchall() == [("Emma",)]


DEVELOPMENT = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('1');
CREATE TABLE books (id INTEGER NOT NULL PRIMARY KEY, title VARCHAR NOT NULL);
INSERT INTO books VALUES (1, 'Emma');
"""


@combinations(complete=["sync-postgresql-clickhouse"])
def test_who_migrates_in_production_finds_each_command_to_work(service: Service) -> None:
    succeeded(service.script("migrate-down.sh", "--yes", "base"))

    printed = follow(DOCS / "migrating-in-production.md", service.folder)

    # The first run, one of eight, the killed one or the one after it, and one after the undoing.
    # A run that is killed between its last commit and its report says nothing.
    assert printed.count("Upgraded the database from") in {3, 4}
    assert service.objects() > {"users", "thoughts"}
