"""The first changes of a team: more columns and tables, written and applied by the scripts.

Whatever the column is, the tests that came with the service pass. Where they need a value that only
the team can choose, the run ends with one message that says where to write it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import succeeded
from tests.service.conftest import Change
from tests.service.project import PACKAGE, Service, combinations

both = combinations("sync-sqlite", "async-postgresql")

IMPORTS = f"""from datetime import datetime
from {PACKAGE}.models.base import utc_now
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
"""
NOTES = f'''"""Notes."""

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
'''
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
ALLOWED = """
# lint: allow adding-field-with-default because the table is small
"""
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


def add_to_users(service: Service, change: Change, columns: str, imports: str = "") -> None:
    """Add columns to the users, as an editor would leave them."""
    path = service.folder / "src" / PACKAGE / "models" / "users.py"
    text = path.read_text().replace("import sqlalchemy", f"{imports}import sqlalchemy", 1)
    change(path, text.rstrip() + columns)
    succeeded(service.make("format"))


def add_notes(service: Service, change: Change) -> None:
    """Add a table."""
    models = service.folder / "src" / PACKAGE / "models"
    change(models / "notes.py", NOTES)
    package = models / "__init__.py"
    change(package, f"{package.read_text()}\nfrom {PACKAGE}.models.notes import Note as Note\n")


def new_revision(service: Service, message: str) -> Path:
    """Write a revision by the script, and return its file."""
    output = succeeded(service.run(service.folder / "scripts" / "new-migration.sh", message))
    found = re.search(r"^Wrote (\S+\.py)\.$", output, re.MULTILINE)
    assert found is not None, output
    return service.folder / found[1]


def run_concerned(service: Service, options: str = "--no-cov") -> str:
    """Run the tests that a change of the schema concerns: all but those that start processes."""
    target = "test-postgresql" if service.database == "postgresql" else "test"
    return succeeded(service.make(target, f"ARGS=-q -m 'not slow' {options}"))


@both
def test_columns_of_any_kind_need_no_change_of_the_tests(migrated: Service, change: Change) -> None:
    add_to_users(migrated, change, COLUMNS, IMPORTS)
    add_notes(migrated, change)

    first = new_revision(migrated, "add columns")
    first.write_text(first.read_text() + ALLOWED)
    succeeded(migrated.make("format"))
    migrated.migrate()
    second = new_revision(migrated, "next")
    migrated.migrate()

    assert "op." not in second.read_text()
    succeeded(migrated.run("alembic", "check"))
    assert "warning: notes.user_id: a foreign key without an index" in succeeded(
        migrated.make("check")
    )
    output = run_concerned(migrated, options="")
    assert "Required test coverage" not in output


@combinations("async-sqlite-clickhouse")
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


@combinations("sync-sqlite")
def test_a_revision_without_a_downgrade_leaves_the_tests_green(
    migrated: Service, change: Change
) -> None:
    add_notes(migrated, change)
    revision = new_revision(migrated, "add notes")
    text = revision.read_text()
    revision.write_text(text[: text.index("def downgrade")].rstrip() + IRREVERSIBLE)

    run_concerned(migrated)


@combinations("sync-sqlite")
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
