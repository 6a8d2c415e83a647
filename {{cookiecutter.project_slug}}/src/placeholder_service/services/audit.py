"""Writes the audit log, in the transaction of the change itself."""

from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.domain import AuditAction
from placeholder_service.models import AuditEntry


def record(
    session: AsyncSession,
    actor_id: UUID | None,
    action: AuditAction,
    entity_type: str,
    entity_id: UUID,
    changes: dict[str, Any],
) -> None:
    """Add an entry to the session; it is kept if the change is, and lost with it."""
    entry = AuditEntry(
        actor_id=actor_id,
        action=action,
        entity_type=entity_type,
        entity_id=entity_id,
        changes=to_jsonable_python(changes),
    )
    session.add(entry)
