"""The keys that let programs act for a user."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from placeholder_service.domain import KEY_HASH_LENGTH, KEY_PREFIX_MAX, NAME_MAX
from placeholder_service.models.base import Entity, length_between
from placeholder_service.models.users import User


class ApiKey(Entity):
    """An API key. Only its hash is kept; the prefix finds the row and may be shown."""

    __tablename__ = "api_keys"
    __table_args__ = (
        length_between("name", 1, NAME_MAX),
        length_between("prefix", 1, KEY_PREFIX_MAX),
        sa.CheckConstraint(f"length(key_hash) = {KEY_HASH_LENGTH}", "key_hash_length"),
    )

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(sa.String(NAME_MAX))
    prefix: Mapped[str] = mapped_column(sa.String(KEY_PREFIX_MAX), unique=True)
    key_hash: Mapped[str] = mapped_column(sa.String(KEY_HASH_LENGTH), unique=True)
    scopes: Mapped[list[str]] = mapped_column(default=list)
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="raise")
