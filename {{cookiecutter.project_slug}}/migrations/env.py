"""Tells Alembic which tables there should be, and how to reach the database."""

from logging.config import fileConfig
from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.elements import False_, True_
from sqlalchemy.sql.functions import now

from placeholder_service.db.migrate import batch  # noqa: F401
from placeholder_service.db.migrate.comparison import PLUGINS
from placeholder_service.db.migrate.engine import (
    LOCK_ID,
    check_foreign_keys,
    make_migration_engine,
    one_run_at_a_time,
)
from placeholder_service.db.migrate.history import HISTORY, Recorder
from placeholder_service.models import Base
from placeholder_service.models.base import UtcDateTime
from placeholder_service.settings import Settings, parse_database_url

config = context.config

# Only for the `alembic` command: a program that calls Alembic has set up its own logging.
if config.cmd_opts is not None and config.config_file_name is not None:
    fileConfig(config.config_file_name, disable_existing_loggers=False)

# Tables that belong to the migrations, the database or its extensions, not to the models.
INFRASTRUCTURE_TABLES = {HISTORY.name, "spatial_ref_sys"}


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


def database_url() -> sa.URL:
    """Return the URL that the caller passed, or the one of the settings.

    It never goes through the configuration file, where a percent sign would mean something.
    """
    passed = config.attributes.get("url")
    if passed is None:
        return Settings().url
    url = sa.make_url(passed)
    return parse_database_url(url.render_as_string(hide_password=False))


OPTIONS: dict[str, Any] = {
    "target_metadata": Base.metadata,
    "include_object": include_object,
    "render_item": render_item,
    "compare_type": True,
    "compare_server_default": True,
    "autogenerate_plugins": PLUGINS,
    # Revisions run on SQLite, whichever database they were written on.
    "render_as_batch": True,
}
# The databases of tests need no history.
if config.attributes.get("history", True):
    OPTIONS["on_version_apply"] = Recorder(config.attributes.get("report"))

# The same lock as online, which lasts until the connection ends. psql needs ON_ERROR_STOP=1.
TAKE_LOCK = f"""
DO $$ BEGIN IF NOT pg_try_advisory_lock({LOCK_ID}) THEN
RAISE EXCEPTION 'another migration is running'; END IF; END $$
"""


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
        context.execute(TAKE_LOCK)
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online() -> None:
    """Run the migrations on the connection that was passed, or on one of their own."""
    passed: sa.Connection | sa.Engine | None = config.attributes.get("connection")
    if isinstance(passed, sa.Connection):
        run_migrations_on(passed)
    elif isinstance(passed, sa.Engine):
        with passed.connect() as connection:
            run_migrations_on(connection)
    else:
        url, settings = database_url(), Settings()
        wait = settings.migration_wait_seconds
        engine = make_migration_engine(url, settings.migration_lock_timeout_ms, wait)
        with one_run_at_a_time(url, wait), engine.connect() as connection:
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
