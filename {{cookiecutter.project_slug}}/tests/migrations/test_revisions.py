"""Every revision goes up, down, and up again, and the last one is what the models say."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import Script

from placeholder_service.db.migrate import alembic_config, downgrade, upgrade
from placeholder_service.db.migrate import engine as engines
from placeholder_service.db.migrate.config import script_directory
from placeholder_service.db.migrate.state import faults
from placeholder_service.models import Base, User

from tests.fixtures.databases import insert
from tests.isolation.server import PREFIX, Server
from tests.migrations.catalogue import catalogue, row_counts
from tests.migrations.reversible import goes_down_to_base

pytestmark = pytest.mark.integration

# Rows of the first schema, of a table, of one that refers to it and of one that refers to both.
PARENTS_AND_CHILDREN = """
INSERT INTO users (id, email, name)
VALUES ('11111111111111111111111111111111', 'me@example.com', 'Me');
INSERT INTO contexts (id, user_id, name, data)
VALUES ('22222222222222222222222222222222', '11111111111111111111111111111111', 'C', '{}');
INSERT INTO thoughts (id, user_id, context_id, content, tags)
VALUES ('33333333333333333333333333333333', '11111111111111111111111111111111',
        '22222222222222222222222222222222', 'An idea.', '[]')
"""
SCRIPTS = list(reversed(list(script_directory().walk_revisions())))
REVISIONS = [script.revision for script in SCRIPTS]
REVERSIBLE = [script for script in SCRIPTS if not hasattr(script.module, "irreversible")]
ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]


@dataclass(frozen=True)
class Step:
    """The catalogue before a revision, with it, after its downgrade, and with it again."""

    before: set[tuple[str, str, str]]
    applied: set[tuple[str, str, str]]
    after: set[tuple[str, str, str]]
    again: set[tuple[str, str, str]]


@pytest.fixture(scope="module", params=ENGINES)
def stairway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Step]]:
    """The catalogue around each revision, from one walk over all of them on one database.

    It ends at the first revision that leaves something: those behind it would stumble over that.
    """
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("stairway") / "stairway.db"
        yield walk(sa.URL.create("sqlite", database=str(path)))
        return
    server: Server = request.getfixturevalue("postgresql_server")
    name = f"{PREFIX}{uuid4().hex}"
    yield walk(server.create(name))
    server.drop(name)


def walk(url: sa.URL) -> dict[str, Step]:
    """Go up, down and up again over each revision."""
    make_engine = engines.make_migration_engine  # noqa: TID251  # never on the service's
    steps: dict[str, Step] = {}
    with make_engine(url, lock_timeout_ms=2000, wait_seconds=2).connect() as connection:

        def look() -> set[tuple[str, str, str]]:
            found = catalogue(connection)
            connection.rollback()
            return found

        for script in SCRIPTS:
            before = look()
            upgrade(script.revision, connection)
            applied = look()
            if script not in REVERSIBLE:
                continue
            downgrade("-1", connection)
            after = look()
            if after == before:
                upgrade(script.revision, connection)
            steps[script.revision] = Step(before, applied, after, look())
            if after != before:
                break
    return steps


def test_there_is_one_head() -> None:
    assert len(script_directory().get_heads()) == 1


def test_the_history_is_linear() -> None:
    assert [script.revision for script in SCRIPTS if script.is_merge_point] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=REVISIONS)
def test_a_revision_can_be_taken_back_or_says_why_not(script: Script) -> None:
    reason = getattr(script.module, "irreversible", "")

    assert hasattr(script.module, "downgrade") or (isinstance(reason, str) and reason.strip())


@pytest.mark.parametrize("revision", [script.revision for script in REVERSIBLE])
def test_a_downgrade_leaves_what_was_there_before(stairway: dict[str, Step], revision: str) -> None:
    assert revision in stairway, "a revision before this one leaves something behind"
    step = stairway[revision]

    assert step.after == step.before
    assert step.again == step.applied


def test_the_models_have_nothing_that_the_migrations_lack(scratch_engine: sa.Engine) -> None:
    with scratch_engine.connect() as connection:
        upgrade("head", connection)

        command.check(alembic_config(connection))


def test_the_expressions_of_the_models_are_those_of_the_database(
    scratch_engine: sa.Engine,
) -> None:
    with scratch_engine.connect() as connection:
        upgrade("head", connection)
        migrated = expressions(connection)
        Base.metadata.drop_all(connection)

        Base.metadata.create_all(connection)

        assert expressions(connection) == migrated


def expressions(connection: sa.Connection) -> set[tuple[str, str | None, str]]:
    """Return table, name and SQL of CHECKs and generated columns, which autogenerate skips."""
    inspector = sa.inspect(connection)
    found: set[tuple[str, str | None, str]] = set()
    for table in Base.metadata.tables.values():
        name, schema = table.name, table.schema
        for check in inspector.get_check_constraints(name, schema):
            found.add((name, check["name"], check["sqltext"]))
        for column in inspector.get_columns(name, schema):
            if "computed" in column:
                found.add((name, column["name"], column["computed"]["sqltext"]))
    return found


@goes_down_to_base
def test_the_schema_is_rolled_back_with_rows_in_it(scratch_engine: sa.Engine) -> None:
    with scratch_engine.connect() as connection:
        upgrade("head", connection)
        connection.execute(sa.text(insert("users")))
        connection.commit()

        downgrade("base", connection)

        assert catalogue(connection) == set()


def test_rows_survive_every_revision(scratch_engine: sa.Engine) -> None:
    with scratch_engine.connect() as connection:
        upgrade(REVISIONS[0], connection)
        for statement in PARENTS_AND_CHILDREN.split(";"):
            connection.execute(sa.text(statement))
        connection.commit()
        before = row_counts(connection)
        connection.rollback()

        for revision in REVISIONS[1:]:
            upgrade(revision, connection)
        after = row_counts(connection)

        # A later revision may drop a table.
        left = before.keys() & after.keys()
        assert [after[table] for table in left] == [before[table] for table in left]
        assert faults(connection) == []


def test_rows_get_their_defaults_from_the_database(scratch_engine: sa.Engine) -> None:
    with scratch_engine.connect() as connection:
        upgrade("head", connection)

        connection.execute(sa.text(insert("users")))
        user = connection.execute(sa.select(User.is_active, User.created_at)).one()

    assert user.is_active is True
    assert abs(datetime.now(UTC) - user.created_at) < timedelta(minutes=1)
