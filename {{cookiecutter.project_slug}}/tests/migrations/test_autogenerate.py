"""New revisions are written so that they run on both databases, wherever they were made."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from {{cookiecutter.package_name}}.db import migrate
from {{cookiecutter.package_name}}.models import Base
from {{cookiecutter.package_name}}.models.base import UtcDateTime
from {{cookiecutter.package_name}}.settings import PROJECT_ROOT

pytestmark = pytest.mark.integration


@pytest.fixture
def extra_table() -> Iterator[sa.Table]:
    """A table that the models have and the migrations lack, while the test runs."""
    table = sa.Table(
        "extras",
        Base.metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("on", sa.Boolean, server_default=sa.true(), nullable=False),
        sa.Column("off", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("made_at", UtcDateTime, server_default=sa.func.now(), nullable=False),
        sa.Column("note", sa.String(20), server_default=sa.text("''"), nullable=False),
        sa.Column("data", sa.JSON, server_default=sa.text("'[1]'"), nullable=False),
    )
    yield table
    Base.metadata.remove(table)


@pytest.mark.usefixtures("project")
def test_without_a_change_the_revision_is_empty() -> None:
    path = migrate.new_revision("nothing new")

    assert "op." not in path.read_text()


@pytest.mark.usefixtures("project", "extra_table")
def test_a_new_table_is_written_portably() -> None:
    path = migrate.new_revision("add extras")

    source = path.read_text()
    assert "server_default=sa.true()" in source
    assert "server_default=sa.false()" in source
    assert source.count("sa.DateTime(timezone=True), server_default=sa.func.now()") == 1
    assert 'op.drop_table("extras")' in source


@pytest.mark.usefixtures("project")
def test_the_revision_that_was_written_runs_on_both_databases(
    extra_table: sa.Table, scratch_engine: sa.Engine
) -> None:
    migrate.new_revision("add extras")

    with scratch_engine.connect() as connection:
        migrate.upgrade("head", connection)
        # Without the defaults of the model: those of the database are meant.
        connection.execute(sa.text("INSERT INTO extras (id) VALUES (:id)"), {"id": "0" * 32})
        row = connection.execute(sa.select(extra_table)).mappings().one()
        connection.rollback()
        command.check(migrate.alembic_config(connection))

    assert (row["on"], row["off"], row["note"]) == (True, False, "")
    assert row["made_at"] is not None


def test_the_sql_of_all_revisions_can_be_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:100%25@localhost/service")
    config = Config(PROJECT_ROOT / "alembic.ini")

    command.upgrade(config, "head", sql=True)

    printed = capsys.readouterr().out
    assert printed.index("SET lock_timeout = 5000") < printed.index("CREATE TABLE users")
    assert printed.count("BEGIN;") == printed.count("COMMIT;")
