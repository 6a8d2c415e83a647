"""Whether the database can be reached, and whether its schema is the one this code expects."""

import logging
import time
from typing import Literal

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.db.engine import READ_ONLY
from placeholder_service.db.migrate.config import script_directory
from placeholder_service.db.session import SessionMaker

log = logging.getLogger(__name__)


Status = Literal["ready", "ahead", "behind", "unreachable"]


class Readiness(BaseModel):
    """What was found. Only `behind` and `unreachable` are reasons to get no traffic."""

    status: Status
    database_revision: str | None = None
    expected_revision: str | None = None
    detail: str

    @property
    def ready(self) -> bool:
        """Whether the service can do its work."""
        return self.status in ("ready", "ahead")


class ReadinessCheck:
    """Reads the database's revision; asked too often, it repeats its last answer."""

    def __init__(self, session_maker: SessionMaker, cache_seconds: float = 1.0) -> None:
        """Read the revisions this code knows from its migrations folder."""
        self.session_maker = session_maker
        self.cache_seconds = cache_seconds
        scripts = script_directory()
        self.head = scripts.get_current_head()
        self.known = {script.revision for script in scripts.walk_revisions()}
        self.answer: Readiness | None = None
        self.answered_at = 0.0

    async def check(self) -> Readiness:
        """Return the state of the database. Read-only; raises nothing for a broken database."""
        now = time.monotonic()
        if self.answer is None or now - self.answered_at >= self.cache_seconds:
            self.answer = await self.look()
            self.answered_at = now
        return self.answer

    async def look(self) -> Readiness:
        """Ask the database itself."""
        try:
            async with self.session_maker() as session:
                await session.connection(execution_options={READ_ONLY: True})
                await session.execute(text("SELECT 1"))
                revision = await read_revision(session)
        except (SQLAlchemyError, OSError) as error:
            log.warning("database unreachable", extra={"error": error})
            return self.found("unreachable", None, "The database cannot be reached.")
        if revision == self.head:
            return self.found("ready", revision, "The database is at the expected revision.")
        if revision is None or revision in self.known:
            return self.found("behind", revision, "Run scripts/migrate.sh.")
        # An older version of the service during a rollout: newer schemas keep serving it.
        return self.found("ahead", revision, "The database is newer than this code.")

    def found(self, status: Status, revision: str | None, detail: str) -> Readiness:
        """Return an answer with both revisions named."""
        return Readiness(
            status=status,
            database_revision=revision,
            expected_revision=self.head,
            detail=detail,
        )


async def read_revision(session: AsyncSession) -> str | None:
    """Return the database's revision; None if it was never migrated."""
    try:
        revision: str | None = await session.scalar(text("SELECT version_num FROM alembic_version"))
    except (OperationalError, ProgrammingError):
        # Connecting worked a moment ago: what is missing is the table.
        return None
    return revision
