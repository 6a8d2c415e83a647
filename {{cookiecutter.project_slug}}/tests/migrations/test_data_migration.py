"""A worked example: how to test a revision that changes rows.

Go to the revision before it, put in rows of each kind that it meets, run it, and look at them. Take
a copy of this module for your own revision, with `migrate.database()` in place of `migrations`. Use
SQL, and name tables as in the revision: the models will change.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from migrator import Database

from placeholder_service import migrate
from placeholder_service.settings import PROJECT_ROOT

pytestmark = pytest.mark.integration

REVISION = '''
"""Remove the spaces around the names of users."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "trim_names", "{first}"
users = sa.table("users", sa.column("name", sa.String))


def upgrade() -> None:
    op.execute(users.update().values(name=sa.func.trim(users.c.name)))


def downgrade() -> None:
    """Leave the names as they are."""
'''
INSERT = sa.text("INSERT INTO users (id, email, name) VALUES (:id, :email, :name)")
NAMES = sa.text("SELECT name FROM users ORDER BY email")


@pytest.fixture
def migrations(empty_database: sa.URL, tmp_path: Path) -> Database:
    """The migrations on an empty database, in a copy that has the revision behind the first one."""
    shutil.copy(PROJECT_ROOT / "alembic.ini", tmp_path)
    shutil.copytree(PROJECT_ROOT / "migrations", tmp_path / "migrations")
    copy = replace(migrate.database(), url=empty_database, ini=tmp_path / "alembic.ini")
    *later, first = copy.scripts().walk_revisions()
    for script in later:
        Path(script.path).unlink()
    revision = REVISION.format(first=first.revision)
    (tmp_path / "migrations/versions/trim_names.py").write_text(revision)
    return copy


def test_names_lose_the_spaces_around_them(migrations: Database) -> None:
    users = [
        {"id": f"{number:032}", "email": f"{number}@example.com", "name": name}
        for number, name in enumerate(["Ada", " Ben", "Cy  "])
    ]
    with migrations.only_run() as connection:
        migrations.upgrade("trim_names-1", connection)
        connection.execute(INSERT, users)
        connection.commit()

        migrations.upgrade("trim_names", connection)
        after = connection.scalars(NAMES).all()
        connection.rollback()
        migrations.downgrade("-1", connection)

        assert after == ["Ada", "Ben", "Cy"]
        assert connection.scalars(NAMES).all() == after
