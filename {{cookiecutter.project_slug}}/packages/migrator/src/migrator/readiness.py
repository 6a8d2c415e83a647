"""Whether a service can use its database: it is reachable, and migrated to what the code expects.

A look has a connection and a thread of its own, so that neither requests that use all of a pool nor
a database that hangs keep the service from answering. It is asked for on the event loop.
"""

import asyncio
import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from migrator.engine import is_missing_file, sync_url, with_limits
from migrator.status import squashed_by

log = logging.getLogger(__name__)

# How drivers call the time a connection may take, in seconds.
TIMEOUTS = {"sqlite": "timeout", "postgresql": "connect_timeout"}

Status = Literal["ready", "ahead", "behind", "unreachable"]


@dataclass(frozen=True)
class Readiness:
    """What was found. Only `behind` and `unreachable` are reasons to get no traffic."""

    status: Status
    database_revision: str | None
    expected_revision: str | None
    detail: str

    @property
    def ready(self) -> bool:
        """Whether the service can do its work."""
        return self.status in ("ready", "ahead")


class ReadinessCheck:
    """Reads the database's revision, one look at a time.

    An answer is repeated for `cache_seconds`. A look may take longer than `limit_seconds`; until it
    ends, the database counts as unreachable. Ten times as long, and a new look takes its place.
    """

    def __init__(
        self,
        url: sa.URL,
        scripts: ScriptDirectory,
        *,
        cache_seconds: float = 1.0,
        limit_seconds: float = 3.0,
    ) -> None:
        """Take the database and the revisions that the code knows. Nothing connects yet."""
        self.cache_seconds = cache_seconds
        self.limit_seconds = limit_seconds
        # After this time, a look that still hangs is given up: what it waits for may be gone.
        self.abandon_seconds = 10 * limit_seconds
        url = sync_url(url)
        self.engine = sa.create_engine(
            with_limits(url) if url.get_backend_name() == "postgresql" else url,
            poolclass=sa.NullPool,
            hide_parameters=True,
            connect_args={TIMEOUTS[url.get_backend_name()]: max(2, int(limit_seconds))},
        )
        self.heads = frozenset(scripts.get_heads())
        # A database at one that was squashed is behind as well.
        self.known = {
            revision
            for script in scripts.walk_revisions()
            for revision in (script.revision, *squashed_by(script))
        }
        self.last_look: Future[Readiness] | None = None
        self.last_look_at = 0.0

    async def check(self) -> Readiness:
        """Return the state of the database. Read-only; raises nothing for a broken database."""
        now = time.monotonic()
        look = self.last_look
        age = now - self.last_look_at
        if look is None or age >= (self.cache_seconds if look.done() else self.abandon_seconds):
            look = self.last_look = Future()
            self.last_look_at = now
            # A daemon: one that hangs does not keep the process from ending.
            threading.Thread(target=self.look, args=[look], name="readiness", daemon=True).start()
        await asyncio.wait([asyncio.wrap_future(look)], timeout=self.limit_seconds)
        if look.done():
            return look.result()
        log.warning("database does not answer", extra={"seconds": self.limit_seconds})
        return self.found("unreachable", "The database does not answer.")

    def look(self, answer: Future[Readiness]) -> None:
        """Ask the database itself, and put what was found, or went wrong, into `answer`."""
        try:
            answer.set_result(self.compare(self.read_revisions()))
        except (SQLAlchemyError, OSError) as error:
            log.warning("database unreachable", extra={"error": error})
            answer.set_result(self.found("unreachable", "The database cannot be reached."))
        except BaseException as error:  # noqa: BLE001  # `check` raises it
            answer.set_exception(error)

    def read_revisions(self) -> frozenset[str]:
        """Return the database's revision; several after a fork, none if it was never migrated."""
        if is_missing_file(self.engine.url):
            return frozenset()
        with self.engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return frozenset()
            return frozenset(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))

    def compare(self, revisions: frozenset[str]) -> Readiness:
        """Return what the revisions mean for this code."""
        if revisions == self.heads:
            return self.found("ready", "The database is at the expected revision.", revisions)
        if revisions <= self.known:
            return self.found("behind", "Migrations are pending.", revisions)
        # An older version of the service during a rollout: newer schemas keep serving it.
        return self.found("ahead", "The database is newer than this code.", revisions)

    def found(
        self, status: Status, detail: str, revisions: frozenset[str] = frozenset()
    ) -> Readiness:
        """Return an answer with both revisions named."""
        return Readiness(
            status=status,
            database_revision=", ".join(sorted(revisions)) or None,
            expected_revision=", ".join(sorted(self.heads)) or None,
            detail=detail,
        )
