"""Who changed what, kept for good."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from placeholder_service.domain import NAME_MAX, AuditAction
from placeholder_service.models.base import IDENTITY, Base, one_of, utc_now


class AuditEntry(Base):
    """One change. The actor has no foreign key: the entry outlives them."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(IDENTITY, primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(default=utc_now, server_default=sa.func.now())
    actor_id: Mapped[UUID | None]
    action: Mapped[AuditAction] = mapped_column(one_of(AuditAction, "action"))
    entity_type: Mapped[str] = mapped_column(sa.String(NAME_MAX))
    entity_id: Mapped[UUID]
    changes: Mapped[dict[str, Any]] = mapped_column(default=dict)
