"""A worked example: how to test a revision that changes rows.

Go to the revision before it, put in rows of each kind that it meets, run it, and look at them.
Take a copy of this module for your own revision: leave `write_revision` out and name the
revision in `upgrade`.
"""

from uuid import UUID

import pytest
import sqlalchemy as sa

from placeholder_service.db.migrate import downgrade, upgrade

from tests.fixtures.databases import insert
from tests.migrations.conftest import WriteRevision

pytestmark = pytest.mark.integration

# Tables are named here as in the revision, and only what it needs: the models will change.
UPGRADE = """
users = sa.table("users", sa.column("name", sa.String))
op.execute(users.update().where(users.c.name != sa.func.trim(users.c.name))
           .values(name=sa.func.trim(users.c.name)))
"""
NAMES = sa.text("SELECT name FROM users ORDER BY email")


def test_names_lose_the_spaces_around_them(
    scratch_engine: sa.Engine, write_revision: WriteRevision
) -> None:
    names = ["Ada", " Ben", "Cy  ", "D E"]
    with scratch_engine.connect() as connection:
        upgrade("head", connection)
        write_revision("trim_names", UPGRADE)
        for number, name in enumerate(names):
            row = {"id": UUID(int=number), "email": f"{number}@example.com", "name": name}
            connection.execute(sa.text(insert("users", **row)))
        connection.commit()

        upgrade("trim_names", connection)
        after = connection.scalars(NAMES).all()
        connection.rollback()
        downgrade("-1", connection)

        assert after == ["Ada", "Ben", "Cy", "D E"]
        assert connection.scalars(NAMES).all() == after
