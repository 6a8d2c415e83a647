"""A project that its team has worked on: a table of its own, revisions of its own.

The tests that came with it pass as before.
"""

from collections.abc import Iterator

import pytest

from tests.running import succeeded
from tests.service.conftest import Change
from tests.service.project import PACKAGE, Service, combinations

MODEL = f'''"""Notes on a task."""

from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from {PACKAGE}.models.base import Base, HasId


class Note(HasId, Base):
    """What somebody wrote beside a task."""

    __tablename__ = "notes"

    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    text: Mapped[str] = mapped_column(String(1000))
'''
OF_CLICKHOUSE = '''"""Visits."""

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
IRREVERSIBLE = '\n\nirreversible = "nobody shall lose a note"\n'


@pytest.fixture
def grown(service: Service, change: Change) -> Iterator[Service]:
    """Return the installed project of the test's combination, with a table more. It goes again."""
    service.migrate()
    models = service.folder / "src" / PACKAGE / "models"
    change(models / "notes.py", MODEL)
    package = models / "__init__.py"
    change(package, f"{package.read_text()}\nfrom {PACKAGE}.models.notes import Note as Note\n")
    of_clickhouse = service.folder / "migrations" / "analytics" / "versions"
    if of_clickhouse.exists():
        change(of_clickhouse / "visits.py", OF_CLICKHOUSE)
    versions = service.folder / "migrations" / "versions"
    before = set(versions.glob("*.py"))
    succeeded(service.run(service.folder / "scripts" / "new-migration.sh", "add notes"))
    yield service
    for revision in set(versions.glob("*.py")) - before:
        revision.unlink()


@pytest.mark.parametrize(
    ("service", "target", "part"),
    [
        (("async", "postgresql"), "test-postgresql", "-n auto tests/integration"),
        (("async", "sqlite", "clickhouse"), "test", "-m 'not slow'"),
    ],
    ids=["async-postgresql", "async-sqlite-clickhouse"],
    indirect=["service"],
)
def test_a_part_of_its_suite_passes_unjudged_by_the_gate_and_spares_the_development_data(
    grown: Service, target: str, part: str
) -> None:
    before = grown.state()

    output = succeeded(grown.make(target, f"ARGS={part}"))

    assert "Required test coverage" not in output
    assert grown.state() == before


@combinations("sync-sqlite")
def test_a_revision_without_a_way_back_fails_no_test(grown: Service) -> None:
    (revision,) = (grown.folder / "migrations" / "versions").glob("*add_notes.py")
    revision.write_text(revision.read_text() + IRREVERSIBLE)

    output = succeeded(
        grown.make("test", "ARGS=--no-cov tests/migrations tests/integration/test_seed.py")
    )

    assert "no way back from" in output
