"""Notes."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from placeholder_service.models.base import Entity, length_between
from placeholder_service.models.users import User

TEXT_MAX = 500


class Note(Entity):
    """A note of a user."""

    __tablename__ = "notes"
    __table_args__ = (length_between("text", 1, TEXT_MAX),)

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    text: Mapped[str] = mapped_column(sa.Text)

    user: Mapped[User] = relationship(lazy="raise")
