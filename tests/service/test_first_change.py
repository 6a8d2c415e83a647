"""The first changes of a team: a column or table more, written and applied by the scripts.

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

# Everything that makes rows or compares them with the models, without what starts processes.
CONCERNED = (
    "tests/unit/test_scenarios.py tests/unit/test_factories.py tests/integration"
    " tests/migrations/test_revisions.py tests/migrations/test_data_migration.py"
    " tests/migrations/test_autogenerate.py tests/migrations/test_downgrades.py"
)

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
# Squawk is right: on a large table, these are for quiet hours.
ALLOWED = """
# lint: allow adding-field-with-default because the table is small
"""
REQUIRED = """
    motto: Mapped[str] = mapped_column(sa.String(50))
"""
# What a team makes of it for the rows that are there.
IN_TWO_STEPS = """    op.add_column(
        "users",
        sa.Column("motto", sa.String(50), server_default=sa.text("''"), nullable=False),
    )
    with op.batch_alter_table("users") as users:
        users.alter_column("motto", server_default=None)


def downgrade"""


@pytest.fixture
def migrated(service: Service) -> Iterator[Service]:
    """Return the installed project with its database at head. Revisions of the test go again."""
    service.migrate()
    versions = service.folder / "migrations" / "versions"
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


def new_revision(service: Service, message: str) -> Path:
    """Write a revision by the script, and return its file."""
    output = succeeded(service.run(service.folder / "scripts" / "new-migration.sh", message))
    found = re.search(r"^Wrote (\S+\.py)\.$", output, re.MULTILINE)
    assert found is not None, output
    return service.folder / found[1]


def run_concerned(service: Service) -> str:
    """Run the tests that a change of the schema concerns, on the database of the service."""
    target = "test-postgresql" if service.database == "postgresql" else "test"
    return succeeded(service.make(target, f"ARGS=--no-cov -q {CONCERNED}"))


@both
def test_columns_of_any_kind_need_no_change_of_the_tests(migrated: Service, change: Change) -> None:
    add_to_users(migrated, change, COLUMNS, IMPORTS)
    models = migrated.folder / "src" / PACKAGE / "models"
    change(models / "notes.py", NOTES)
    package = models / "__init__.py"
    change(package, f"{package.read_text()}\nfrom {PACKAGE}.models.notes import Note as Note\n")

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
