"""Template databases: migrated once, kept on the server between runs, and copied for tests."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from ..config import Isolation
from ..database import FULL
from ..fingerprint import family, fingerprint, source_of
from ..migrations import TemplateError, migrate_and_prepare
from ..queries import own_engine
from ..report import IsolationReport
from ..signature import COMMENT, PREFIX
from .marks import install_marks
from .server import EMPTY, Server


@dataclass
class Templates:
    """The template databases of a service on a server."""

    server: Server
    isolation: Isolation[Any]
    report: IsolationReport

    @cached_property
    def owner(self) -> str:
        """Whose templates they are."""
        return f"{self.server.url.username}@{self.server.url.database}"

    @cached_property
    def key(self) -> str:
        """What the names of all templates for the present migrations begin with."""
        return f"{PREFIX}template_{fingerprint(self.isolation, self.owner)[:16]}"

    def migrated(self, *, recreate: bool = False) -> str:
        """Return the name of the template that every test starts from."""
        return self.ensure(partial(migrate_and_prepare, self.isolation), recreate=recreate)

    def requested(self, schema: str, scenario: str | None) -> str:
        """Return the template with this schema and the rows of this scenario."""
        part = ""
        if schema == FULL:
            template = self.migrated()
        else:
            tables = self.tables_of(schema)
            part = f"_{digest(*(str(CreateTable(table)).encode() for table in tables))}"
            create_all = tables[0].metadata.create_all
            template = self.ensure(partial(create_all, tables=tables), part=part)
        if scenario is None:
            return template
        load = self.isolation.scenarios
        return self.ensure(
            lambda connection: load(connection, scenario, 1),
            part=f"{part}_{digest(scenario.encode(), source_of(load))}",
            base=template,
        )

    def tables_of(self, schema: str) -> Sequence[Table]:
        """Return the tables of a schema, with all that they refer to."""
        metadata, known = self.isolation.metadata, self.isolation.schemas
        if metadata is None or schema not in known:
            names = ", ".join([FULL, *known])
            raise ValueError(f"there is no schema {schema!r}; there are: {names}")
        wanted = [metadata.tables[name] for name in known[schema]]
        for found in wanted:
            parents = [key.column.table for key in found.foreign_keys]
            wanted.extend(parent for parent in parents if parent not in wanted)
        return wanted

    def ensure(
        self,
        fill: Callable[[Connection], object],
        *,
        part: str = "",
        base: str = EMPTY,
        recreate: bool = False,
    ) -> str:
        """Return the name of a template, made first if the server has none of this name.

        It is made as a copy of `base`, which `fill` completes. What it holds besides the migrations
        needs a name, `part`: another content needs another one. With `recreate`, a template that
        is there is made again. Outdated ones are dropped unless a run in progress uses them. If
        `fill` fails, nothing is kept.
        """
        server, name = self.server, f"{self.key}{part}"
        comment = f"{COMMENT} template of {family(self.isolation, self.owner)}"
        lock = f"building {name}"
        server.call("pg_advisory_lock", lock)
        # Held until the process ends: the template is in use.
        server.call("pg_advisory_lock_shared", name)
        try:
            known = name in server.databases()
            if known and recreate:
                server.drop(name)
            if recreate or not known:
                with self.report.timed("postgresql template built"):
                    self.build(name, fill, base, comment)
                for other, found in server.databases().items():
                    if found == comment and not other.startswith(self.key):
                        server.drop_unless_locked(other, lock=other)
        finally:
            server.call("pg_advisory_unlock", lock)
        return name

    def build(
        self, name: str, fill: Callable[[Connection], object], base: str, comment: str
    ) -> None:
        """Fill a scratch database and give it the template's name when it is complete."""
        server, scratch = self.server, self.server.new_name()
        url = server.create(scratch, base)
        try:
            with connected(url) as connection:
                fill(connection)
                connection.commit()
                prepare_reset(connection)
            # A database with connections cannot be copied.
            server.execute(f'ALTER DATABASE "{scratch}" IS_TEMPLATE true ALLOW_CONNECTIONS false')
            server.execute(f"COMMENT ON DATABASE \"{scratch}\" IS '{comment}'")
            server.execute(f'ALTER DATABASE "{scratch}" RENAME TO "{name}"')
        except BaseException:
            server.drop(scratch)
            raise


def prepare_reset(connection: Connection) -> None:
    """Add to a migrated database what puts it back after tests.

    Raises:
        TemplateError: The database refuses; the migrations are applied all the same.
    """
    try:
        install_marks(connection)
    except DBAPIError as error:
        raise TemplateError(
            "testdb cannot prepare the migrated database for being put back after each test, so no"
            " test can run. The migrations are not at fault: all of them were applied."
            f" PostgreSQL said: {error.orig}It was asked: {error.statement}"
        ) from error


def digest(*contents: bytes) -> str:
    """Return a short hash of what a template is made from."""
    return hashlib.sha256(b"".join(contents)).hexdigest()[:8]


def connected(url: URL) -> Connection:
    """Return a connection of testdb's own to a database."""
    return engine_for(url).connect()


@lru_cache(maxsize=8)
def engine_for(url: URL) -> Engine:
    """Return an engine that keeps no connection; making one takes as long as connecting."""
    return own_engine(url)
