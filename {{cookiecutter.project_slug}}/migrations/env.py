"""Tells Alembic which tables there should be, and how to reach the database."""

from logging.config import fileConfig
from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.runtime.migration import MigrationContext
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.elements import False_, True_
from sqlalchemy.sql.functions import now

from {{cookiecutter.package_name}}.db.migration_engine import (
    check_foreign_keys,
    make_migration_engine,
)
from {{cookiecutter.package_name}}.models import Base
from {{cookiecutter.package_name}}.models.base import UtcDateTime
from {{cookiecutter.package_name}}.settings import Settings, parse_database_url

config = context.config

# Only for the `alembic` command: a program that calls Alembic has set up its own logging.
if config.cmd_opts is not None and config.config_file_name is not None:
    fileConfig(config.config_file_name, disable_existing_loggers=False)

# Tables that belong to the database or its extensions, not to the models.
INFRASTRUCTURE_TABLES = {"spatial_ref_sys"}


def include_object(
    item: SchemaItem,
    name: str | None,
    kind: str,
    reflected: bool,
    compare_to: SchemaItem | None,
) -> bool:
    """Keep autogenerate from dropping what the models do not know of."""
    return not (kind == "table" and name in INFRASTRUCTURE_TABLES)


def render_item(kind: str, item: Any, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write types and defaults so that a revision runs on both databases, wherever it was made.

    Alembic would write defaults as the current database spells them: SQLite's `DEFAULT 1` for a
    boolean fails on PostgreSQL, and PostgreSQL's `now()` fails on SQLite.
    """
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "server_default" and isinstance(item, sa.DefaultClause):
        match item.arg:
            case True_():
                return "sa.true()"
            case False_():
                return "sa.false()"
            case now():
                return "sa.func.now()"
    return False


def compare_server_default(
    migration_context: MigrationContext,
    inspected_column: sa.Column[Any],
    metadata_column: sa.Column[Any],
    inspected_default: str | None,
    metadata_default: sa.FetchedValue | None,
    rendered_default: str | None,
) -> bool | None:
    """Compare defaults of JSON as text: PostgreSQL cannot compare JSON. Alembic does the others."""
    if not isinstance(metadata_column.type, sa.JSON):
        return None
    return (inspected_default or "").partition("::")[0] != (rendered_default or "")


def database_url() -> sa.URL:
    """Return the URL that the caller passed, or the one of the settings.

    It never goes through the configuration file, where a percent sign would mean something.
    """
    passed = config.attributes.get("url")
    return parse_database_url(str(passed)) if passed else Settings().url


OPTIONS: dict[str, Any] = {
    "target_metadata": Base.metadata,
    "include_object": include_object,
    "render_item": render_item,
    "compare_type": True,
    "compare_server_default": compare_server_default,
    # Revisions run on SQLite, whichever database they were written on.
    "render_as_batch": True,
}


def run_migrations_offline() -> None:
    """Print the SQL instead of running it."""
    url = database_url()
    context.configure(
        url=url,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        transaction_per_migration=url.get_backend_name() == "postgresql",
        transactional_ddl=True,
        **OPTIONS,
    )
    if url.get_backend_name() == "postgresql":
        context.execute(f"SET lock_timeout = {Settings().migration_lock_timeout_ms}")
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online() -> None:
    """Run the migrations on the connection that was passed, or on one of their own."""
    connection: sa.Connection | None = config.attributes.get("connection")
    if connection is not None:
        run_migrations_on(connection)
        return
    engine = make_migration_engine(database_url(), Settings().migration_lock_timeout_ms)
    with engine.connect() as connection:
        run_migrations_on(connection)


def run_migrations_on(connection: sa.Connection) -> None:
    """Run them. Nothing may be executed before `configure`.

    A first statement opens a transaction, and Alembic leaves the commit to whoever opened it.
    """
    context.configure(
        connection=connection,
        # PostgreSQL keeps each revision that worked. SQLite keeps all or none: the file is
        # locked once, for the whole run.
        transaction_per_migration=connection.dialect.name == "postgresql",
        transactional_ddl=True,
        **OPTIONS,
    )
    with context.begin_transaction():
        context.run_migrations()
        check_foreign_keys(connection)


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
