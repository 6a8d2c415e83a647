"""Rows are added to a development database all at once, and never among those of others."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from migrator import RefusedError
from migrator.seeding import seeding

from tests.migrator.project import Project
from tests.migrator.sample.models import Base

AUTHOR = sa.text("INSERT INTO authors (name, email) VALUES ('Ada', 'ada@example.com')")
BOOK = sa.text("INSERT INTO books (id, author_id, title, kind) VALUES (7, 7, 'Notes', 'essay')")


def seed(project: Project, *statements: sa.TextClause, append: str | None = "seed --append") -> int:
    """Add rows, and return how many authors there are."""
    with seeding(project.database, Base.metadata, upgrade="migrate", append=append) as connection:
        for statement in statements:
            connection.execute(statement)
        return connection.scalar(sa.text("SELECT count(*) FROM authors")) or 0


def test_rows_are_added_to_others_only_on_request(project: Project) -> None:
    project.upgraded()

    first = seed(project, AUTHOR)
    with pytest.raises(RefusedError, match=r"rows in authors. To add to them: seed --append"):
        seed(project, AUTHOR)

    assert (first, seed(project, append=None)) == (1, 1)


def test_a_row_that_refers_to_a_missing_one_leaves_nothing(project: Project) -> None:
    project.upgraded()

    with pytest.raises(Exception, match=r"refer to missing|foreign key"):
        seed(project, AUTHOR, BOOK)

    assert seed(project) == 0


def test_a_database_that_is_behind_or_of_production_is_refused(project: Project) -> None:
    with pytest.raises(RefusedError, match=r"is at an empty schema. Next: migrate"):
        seed(project)

    of_production = Project(replace(project.upgraded().database, production=True))
    with pytest.raises(RefusedError, match="this is production"):
        seed(of_production)
