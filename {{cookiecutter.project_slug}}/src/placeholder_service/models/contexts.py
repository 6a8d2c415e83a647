"""Groups of thoughts."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from placeholder_service.domain import CONTEXT_DESCRIPTION_MAX, NAME_MAX
from placeholder_service.models.base import Entity, length_between
from placeholder_service.models.users import User


class Context(Entity):
    """A named group of one user's thoughts, with free-form data."""

    __tablename__ = "contexts"
    __table_args__ = (
        # Also serves every look-up by user.
        sa.UniqueConstraint("user_id", "name"),
        length_between("name", 1, NAME_MAX),
        length_between("description", 0, CONTEXT_DESCRIPTION_MAX),
    )

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(sa.String(NAME_MAX))
    description: Mapped[str | None] = mapped_column(sa.String(CONTEXT_DESCRIPTION_MAX))
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)

    user: Mapped[User] = relationship(lazy="raise")
