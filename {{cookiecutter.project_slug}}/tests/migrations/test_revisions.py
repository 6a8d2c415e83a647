"""Every revision goes up, down, and up again, and the last one is what the models say."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

from {{cookiecutter.package_name}}.db.migrate import alembic_config, downgrade, upgrade
from {{cookiecutter.package_name}}.models import Base, User

from tests.migrations.catalogue import catalogue

pytestmark = pytest.mark.integration

INSERT_USER = sa.text("INSERT INTO users (id, email, name) VALUES (:id, 'me@example.com', 'Me')")
SCRIPTS = ScriptDirectory.from_config(alembic_config())
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]


def test_there_is_one_head() -> None:
    assert len(SCRIPTS.get_heads()) == 1


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_downgrade_leaves_what_was_there_before(scratch_engine: sa.Engine, revision: str) -> None:
    with scratch_engine.connect() as connection:
        upgrade(f"{revision}-1" if revision != REVISIONS[0] else "base", connection)
        before = catalogue(connection)
        connection.rollback()

        upgrade(revision, connection)
        applied = catalogue(connection)
        connection.rollback()
        downgrade("-1", connection)
        after = catalogue(connection)
        connection.rollback()
        upgrade(revision, connection)

        assert after == before
        assert catalogue(connection) == applied


def test_the_models_have_nothing_that_the_migrations_lack(scratch_engine: sa.Engine) -> None:
    with scratch_engine.connect() as connection:
        upgrade("head", connection)

        command.check(alembic_config(connection))


def test_the_checks_of_the_models_are_those_of_the_database(scratch_engine: sa.Engine) -> None:
    with scratch_engine.connect() as connection:
        upgrade("head", connection)
        migrated = checks(connection)
        connection.rollback()
        downgrade("base", connection)

        Base.metadata.create_all(connection)

        assert checks(connection) == migrated


def checks(connection: sa.Connection) -> set[tuple[str, str | None, str]]:
    """Return table, name and condition of every CHECK; autogenerate does not compare them."""
    inspector = sa.inspect(connection)
    return {
        (table, check["name"], check["sqltext"])
        for table in Base.metadata.tables
        for check in inspector.get_check_constraints(table)
    }


def test_the_schema_is_rolled_back_with_rows_in_it(scratch_engine: sa.Engine) -> None:
    with scratch_engine.connect() as connection:
        upgrade("head", connection)
        connection.execute(INSERT_USER, {"id": uuid4().hex})
        connection.commit()

        downgrade("base", connection)

        assert catalogue(connection) == set()


def test_an_upgrade_keeps_the_rows_it_finds(scratch_engine: sa.Engine) -> None:
    with scratch_engine.connect() as connection:
        upgrade(REVISIONS[0], connection)
        connection.execute(INSERT_USER, {"id": uuid4().hex})
        connection.commit()

        upgrade("head", connection)

        assert connection.scalar(sa.text("SELECT count(*) FROM users")) == 1


def test_rows_get_their_defaults_from_the_database(scratch_engine: sa.Engine) -> None:
    with scratch_engine.connect() as connection:
        upgrade("head", connection)

        connection.execute(INSERT_USER, {"id": uuid4().hex})
        user = connection.execute(sa.select(User.is_active, User.created_at)).one()

    assert user.is_active is True
    assert abs(datetime.now(UTC) - user.created_at) < timedelta(minutes=1)
