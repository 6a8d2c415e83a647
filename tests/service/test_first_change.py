"""The first changes of a team: more columns and tables, written and applied by the scripts.

Whatever the column is, the tests that came with the service pass. Where they need a value that only
the team can choose, the run ends with one message that says where to write it.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.running import succeeded
from tests.service.conftest import Change
from tests.service.project import PACKAGE, Service, combinations

IMPORTS = f"""from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID
from sqlalchemy.dialects import postgresql
from {PACKAGE}.models.base import utc_now
"""
MOODS = """class Mood(StrEnum):
    \"""How somebody feels.\"""

    GOOD = "good"
    BAD = "bad"
"""
COLUMNS = """
    locale: Mapped[str | None] = mapped_column(sa.String(10))
    theme: Mapped[str | None] = mapped_column(sa.String(10), default="light")
    lists: Mapped[int] = mapped_column(
        sa.BigInteger, default=lambda: 1, server_default=sa.text("0")
    )
    rank: Mapped[int] = mapped_column(sa.BigInteger, server_default=sa.text("7"))
    next_rank: Mapped[int | None] = mapped_column(
        sa.BigInteger, sa.Computed("rank + 1 - 0", persisted=True)
    )
    seen_at: Mapped[datetime | None] = mapped_column(default=utc_now)
    changed_at: Mapped[datetime | None] = mapped_column(default=sa.func.now())
    mood: Mapped[Mood | None] = mapped_column(sa.Enum(Mood, name="mood"))
    born_on: Mapped[date | None] = mapped_column(sa.Date)
    wakes_at: Mapped[time | None] = mapped_column(sa.Time)
    rests: Mapped[timedelta | None] = mapped_column(sa.Interval)
    balance: Mapped[Decimal | None] = mapped_column(sa.Numeric(8, 2))
    weight: Mapped[float | None] = mapped_column(sa.Double)
    level: Mapped[int | None] = mapped_column(sa.SmallInteger)
    picture: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    about: Mapped[str | None] = mapped_column(sa.Text, comment="as they say it")
    tags: Mapped[list[str] | None] = mapped_column(
        sa.JSON().with_variant(postgresql.ARRAY(sa.Text), "postgresql")
    )
    home: Mapped[str | None] = mapped_column(
        sa.Text().with_variant(postgresql.INET(), "postgresql")
    )
    more: Mapped[dict[str, int] | None] = mapped_column(
        sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    )
    has_left: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    boss_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("users.id"), index=True)


ranked = sa.text("rank > 9")
sa.Index(None, User.level)
sa.Index("uq_users_next_rank_id", User.next_rank, User.id, unique=True)
sa.Index("ix_users_top", User.lists, sqlite_where=ranked, postgresql_where=ranked)
sa.Index("ix_users_latest", User.seen_at.desc(), User.name)
sa.Index("uq_users_name_lower", sa.func.lower(User.name), User.email, unique=True)
"""
# What the second change takes away.
DROPPED_COLUMN = """    theme: Mapped[str | None] = mapped_column(sa.String(10), default="light")
"""
DROPPED_TABLE = """

class Scrap(Base):
    \"""A piece that somebody threw away.\"""

    __tablename__ = "scraps"

    id: Mapped[int] = mapped_column(IDENTITY, primary_key=True)
    note_id: Mapped[int] = mapped_column(sa.ForeignKey("notes.id"), index=True)
    thrown_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    mood: Mapped[str | None] = mapped_column(sa.Enum("torn", "burnt", name="end"))
"""
CIRCLE = """

class Shelf(Base):
    \"""A shelf, with the book that is open.\"""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(IDENTITY, primary_key=True)
    open_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("books.id", use_alter=True), index=True
    )


class Book(Base):
    \"""A book on a shelf.\"""

    __tablename__ = "books"

    id: Mapped[int] = mapped_column(IDENTITY, primary_key=True)
    shelf_id: Mapped[int] = mapped_column(sa.ForeignKey("shelves.id"), index=True)
"""
NOTES = f'''"""Notes."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from {PACKAGE}.models.base import IDENTITY, Base


class Note(Base):
    """A note with a number that the database gives, and a key that has no index."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(IDENTITY, sa.Identity(), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    net: Mapped[int] = mapped_column(sa.BigInteger)
    gross: Mapped[int | None] = mapped_column(
        sa.BigInteger, sa.Computed("net * 2", persisted=True)
    )
    made_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
'''
VIEW = ("CREATE VIEW names AS SELECT id, name FROM users", "DROP VIEW names")
VISITS = '''"""Visits."""

from alembic import op

revision = "visits"
down_revision = "0001"


def upgrade() -> None:
    """Create the table."""
    op.execute("CREATE TABLE IF NOT EXISTS visits (at Date) ENGINE = MergeTree ORDER BY at")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE IF EXISTS visits")
'''
IRREVERSIBLE = '\n\n\nirreversible = "nobody may lose a note"\n'
# Squawk is right: on a large table, these are for quiet hours.
ADDING = (
    "adding-field-with-default",
    "adding-foreign-key-constraint",
    "constraint-missing-not-valid",
    "prefer-bigint-over-smallint",
    "require-concurrent-index-creation",
)
DROPPING = (
    "ban-drop-column",
    "ban-drop-table",
    "ban-drop-type",
    "changing-column-type",
    "require-concurrent-index-deletion",
)
REQUIRED = """
    motto: Mapped[str] = mapped_column(sa.String(50))
"""
# What a team makes of it for the rows that are there.
IN_TWO_STEPS = """    # lint: allow ban-drop-default because the service sets the column
    op.add_column(
        "users",
        sa.Column("motto", sa.String(50), server_default=sa.text("''"), nullable=False),
    )
    with op.batch_alter_table("users") as users:
        users.alter_column("motto", server_default=None)


def downgrade"""


@pytest.fixture
def migrated(service: Service, change: Change) -> Iterator[Service]:
    """Return the installed project with its database at head. Revisions of the test go again."""
    service.migrate()
    versions = service.folder / "migrations" / "versions"
    head = versions.with_name("head.txt")
    change(head, head.read_text())  # as it is after the test
    before = set(versions.glob("*.py"))
    yield service
    succeeded(service.run(service.folder / "scripts" / "migrate-down.sh", "--yes", "base"))
    for revision in set(versions.glob("*.py")) - before:
        revision.unlink()


def add_to_users(service: Service, change: Change, columns: str, *above: str) -> None:
    """Add columns to the users, as an editor would leave them, with imports and a class above."""
    path = users_of(service)
    text = path.read_text()
    for added, before in zip(above, ("import sqlalchemy", "class User("), strict=False):
        text = text.replace(before, f"{added}{before}", 1)
    change(path, text.rstrip() + columns)
    succeeded(service.make("format"))


def users_of(service: Service) -> Path:
    """Return the module of the users."""
    return service.folder / "src" / PACKAGE / "models" / "users.py"


def replace(path: Path, *pairs: tuple[str, str]) -> None:
    """Replace texts of a file, each of which has to be there."""
    text = path.read_text()
    for old, new in pairs:
        assert old in text, f"{old!r} is not in {path}"
        text = text.replace(old, new, 1)
    path.write_text(text)


def add_notes(service: Service, change: Change, *more: str) -> None:
    """Add a table, and others after it."""
    models = service.folder / "src" / PACKAGE / "models"
    change(models / "notes.py", "".join((NOTES, *more)))
    package = models / "__init__.py"
    change(package, f"{package.read_text()}\nfrom {PACKAGE}.models.notes import Note as Note\n")


def new_revision(service: Service, message: str) -> Path:
    """Write a revision by the script, and return its file."""
    output = succeeded(service.run(service.folder / "scripts" / "new-migration.sh", message))
    found = re.search(r"^Wrote (\S+\.py)\.$", output, re.MULTILINE)
    assert found is not None, output
    return service.folder / found[1]


def allow(revision: Path, rules: Iterable[str]) -> None:
    """Say in a revision that its tables are small."""
    lines = [f"# lint: allow {rule} because the table is small\n" for rule in rules]
    revision.write_text(revision.read_text() + "".join(["\n\n", *lines]))


def run_concerned(service: Service) -> str:
    """Run the tests that a change of the schema concerns: all but those that start processes."""
    target = "test-postgresql" if service.database == "postgresql" else "test"
    return succeeded(service.make(target, "ARGS=-q -m 'not slow' --no-cov"))


@combinations(complete=["async-postgresql", "sync-sqlite"])
def test_changes_of_any_kind_need_no_change_of_the_tests(migrated: Service, change: Change) -> None:
    """Add, and then grow and drop some of it: two revisions, up, down and up again."""
    users, folder = users_of(migrated), migrated.folder
    add_to_users(migrated, change, COLUMNS, IMPORTS, MOODS)
    add_notes(migrated, change, DROPPED_TABLE, CIRCLE)
    succeeded(migrated.make("format"))

    first = new_revision(migrated, "add columns")
    replace(
        first,
        ("\n\n\ndef downgrade", f'\n    op.execute("{VIEW[0]}")\n\n\ndef downgrade'),
        ("def downgrade() -> None:\n", f'def downgrade() -> None:\n    op.execute("{VIEW[1]}")\n'),
    )
    allow(first, ADDING)
    migrated.migrate()
    replace(
        users,
        (DROPPED_COLUMN, ""),
        (MOODS, MOODS + '    PATIENT = "patient"\n'),
        ("as they say it", "a text"),
    )
    replace(folder / "src" / PACKAGE / "models" / "notes.py", (DROPPED_TABLE, ""))
    second = new_revision(migrated, "grow and drop")
    allow(second, DROPPING)
    replace(second, ("def upgrade", 'loses = "the scraps and the themes"\n\n\ndef upgrade'))
    succeeded(migrated.make("format"))
    migrated.migrate()
    succeeded(migrated.script("migrate-down.sh", "--yes", "2"))
    migrated.migrate()

    succeeded(migrated.run("alembic", "check"))
    assert "warning: notes.user_id: a foreign key without an index" in succeeded(
        migrated.make("check")
    )
    run_concerned(migrated)


@combinations(complete=["async-sqlite-clickhouse"])
def test_a_table_in_each_database_leaves_the_tests_green_and_the_development_data_alone(
    migrated: Service, change: Change
) -> None:
    add_notes(migrated, change)
    events = migrated.folder / "migrations" / "analytics" / "versions"
    change(events / "visits.py", VISITS)
    new_revision(migrated, "add notes")
    before = migrated.state()

    run_concerned(migrated)

    assert migrated.state() == before


@combinations(complete=["sync-sqlite"])
def test_a_revision_without_a_downgrade_leaves_the_tests_green(
    migrated: Service, change: Change
) -> None:
    add_notes(migrated, change)
    revision = new_revision(migrated, "add notes")
    text = revision.read_text()
    revision.write_text(text[: text.index("def downgrade")].rstrip() + IRREVERSIBLE)

    run_concerned(migrated)


@combinations(complete=["sync-sqlite"])
def test_a_column_that_needs_a_value_ends_the_run_with_the_places_to_write_it(
    migrated: Service, change: Change
) -> None:
    add_to_users(migrated, change, REQUIRED)
    revision = new_revision(migrated, "add users.motto")
    text = revision.read_text()
    revision.write_text(re.sub(r"    with op.*?def downgrade", IN_TWO_STEPS, text, flags=re.DOTALL))
    fixtures = migrated.folder / "tests" / "fixtures"

    stopped = migrated.run("pytest", "--no-cov", "tests/unit")
    factory, scenarios = fixtures / "users.py", fixtures / "scenarios.py"
    change(
        factory, factory.read_text().replace("    is_active", '    motto = "Now"\n    is_active')
    )
    text = scenarios.read_text()
    change(scenarios, text.replace('"email": ', '"motto": "Now", "email": ', 1))
    service = migrated.folder / "src" / PACKAGE / "services" / "users.py"
    change(service, service.read_text().replace("User(", 'User(motto="Now", '))

    assert stopped.returncode != 0
    assert "users.motto: add it to UserFactory in tests/fixtures/users.py" in stopped.stderr
    assert "users.motto: add it to the rows in tests/fixtures/scenarios.py" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert " failed" not in stopped.stdout
    run_concerned(migrated)


@combinations("async-postgresql")
def test_the_server_changes_the_rights_of_no_folder(service: Service) -> None:
    folders = {*service.folder.parents, Path.home()}
    before = {folder: folder.stat().st_mode for folder in folders}
    users = Path("/etc/passwd").read_text()

    succeeded(service.make("database-stop"))
    succeeded(service.make("database"))
    succeeded(service.make("test-postgresql", "ARGS=--no-cov tests/integration/test_models.py"))

    assert {folder: folder.stat().st_mode for folder in folders} == before
    # The one that the projects are in is closed to other users.
    assert service.folder.parent.parent.stat().st_mode & 0o077 == 0
    assert Path("/etc/passwd").read_text() == users


@combinations("async-postgresql")
def test_a_url_of_ones_own_stays_wherever_it_stands(service: Service, change: Change) -> None:
    dotenv = service.folder / ".env"
    theirs = "postgresql+psycopg://me:password@db.example.com/mine"
    change(
        dotenv,
        re.sub(
            r"^DATABASE_URL=.*$", f"DATABASE_URL={theirs}", dotenv.read_text(), flags=re.MULTILINE
        ),
    )
    written = dotenv.read_text()

    output = succeeded(service.make("database"))

    assert theirs in written
    assert dotenv.read_text() == written
    assert "Using the PostgreSQL server that DATABASE_URL names." in output
