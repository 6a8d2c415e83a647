"""PostgreSQL databases made on request: with a part of the schema or all of it, empty or seeded."""

import hashlib
import inspect
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, func, select, table, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.schema import CreateTable

from tests.isolation.config import Isolation
from tests.isolation.database import IsolatedDatabase
from tests.isolation.postgresql import PostgresqlDatabase, ensure_template, migrated_template
from tests.isolation.report import timed
from tests.isolation.server import PREFIX, Server
from tests.isolation.validation import Check, Report, validate

# The schema with everything that migrations make.
FULL = "full"


@dataclass
class Environment:
    """A database on request, and what can be asked of it.

    Attributes:
        test_id: What its name carries.
        database: The database itself.
        storage: How it is kept on the server.
        heads: The revisions it should be at.
        snapshots: The ids of the states that were kept.
    """

    test_id: str
    database: IsolatedDatabase
    storage: PostgresqlDatabase
    heads: Sequence[str]
    snapshots: list[str] = field(default_factory=list)

    async def create_snapshot(self, engine: AsyncEngine, name: str) -> str:
        """Keep the present state and return the id to restore it by.

        The engine's connections are closed for it: commit or close its sessions first.
        """
        await engine.dispose()
        snapshot_id = f"{name}-{len(self.snapshots)}"
        await self.database.snapshot(snapshot_id)
        self.snapshots.append(snapshot_id)
        return snapshot_id

    async def restore_snapshot(self, snapshot_id: str) -> None:
        """Go back to a state that was kept.

        Raises:
            KeyError: There is no snapshot of this id.
        """
        await self.database.restore(snapshot_id)

    async def validate_database_state(self, *checks: Check) -> Report:
        """Look whether connection, schema, data, performance and isolation are in order."""
        with timed("postgresql validation"), self.storage.connected() as connection:
            return validate(connection, heads=self.heads, checks=checks)

    async def get_database_info(self) -> dict[str, Any]:
        """Return name, server version, size in bytes, rows of each table, and snapshots."""
        with self.storage.connected() as connection:
            names = sa.inspect(connection).get_table_names()
            return {
                "name": self.storage.name,
                "version": connection.scalar(text("SHOW server_version")),
                "bytes": connection.scalar(text("SELECT pg_database_size(current_database())")),
                "rows": {
                    name: connection.scalar(select(func.count()).select_from(table(name)))
                    for name in names
                },
                "snapshots": list(self.snapshots),
            }

    async def cleanup_databases(self) -> None:
        """Drop the states that were kept; the database itself goes when the test is over."""
        self.storage.forget_snapshots()
        self.snapshots.clear()


@asynccontextmanager
async def open_environment(
    server: Server,
    isolation: Isolation,
    name: str,
    schema: str = FULL,
    scenario: str | None = None,
) -> AsyncIterator[tuple[AsyncSession, Environment]]:
    """Give a session on a new database, and the environment around it; drop both in the end.

    Raises:
        ValueError: The schema or the scenario is unknown.
    """
    template = template_for(server, isolation, schema, scenario)
    # A part of the schema comes from the models, and no migration was applied.
    scripts = ScriptDirectory.from_config(isolation.alembic)
    heads = scripts.get_heads() if schema == FULL else ()
    test_id = f"{re.sub(r'[^a-z0-9]+', '_', name.lower())[:30]}_{uuid4().hex[:8]}"
    with timed("postgresql creation"):
        storage = PostgresqlDatabase(server, f"{PREFIX}{test_id}", template)
    try:
        database = IsolatedDatabase(storage, isolation)
        try:
            async with database.session() as session:
                yield session, Environment(test_id, database, storage, heads)
        finally:
            await database.close()
    finally:
        with timed("postgresql clean-up"):
            storage.close()


def template_for(
    server: Server,
    isolation: Isolation,
    schema: str,
    scenario: str | None,
) -> str:
    """Return the template with this schema and these rows, each built once for all runs."""
    part = ""
    if schema == FULL:
        template = migrated_template(server, isolation.alembic)
    else:
        tables = tables_of(isolation, schema)
        part = f"_{digest(*(str(CreateTable(table)) for table in tables))}"
        template = ensure_template(
            server,
            isolation.alembic,
            lambda connection: create_tables(connection, tables),
            part=part,
        )
    if scenario is None:
        return template
    if isolation.seed is None:
        raise ValueError("there are no scenarios: give Isolation a seed function")
    load = isolation.seed
    return ensure_template(
        server,
        isolation.alembic,
        lambda connection: load(connection, scenario, 1),
        part=f"{part}_{digest(scenario, Path(inspect.getfile(load)).read_text())}",
        base=template,
    )


def tables_of(isolation: Isolation, schema: str) -> list[Table]:
    """Return the tables of a schema, with all that they refer to.

    Raises:
        ValueError: There is no schema of this name.
    """
    if isolation.metadata is None or schema not in isolation.schemas:
        known = ", ".join([FULL, *isolation.schemas])
        raise ValueError(f"there is no schema {schema!r}; there are: {known}")
    wanted = [isolation.metadata.tables[name] for name in isolation.schemas[schema]]
    for found in wanted:
        parents = [key.column.table for key in found.foreign_keys]
        wanted.extend(parent for parent in parents if parent not in wanted)
    return wanted


def digest(*texts: str) -> str:
    """Return a short hash of what a template is made from."""
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:8]


def create_tables(connection: Connection, tables: list[Table]) -> None:
    """Create tables, as the models have them."""
    tables[0].metadata.create_all(connection, tables=tables)
