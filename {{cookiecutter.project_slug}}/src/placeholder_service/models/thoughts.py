"""Thoughts and how they relate to each other."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from placeholder_service.domain import (
    TAG_LENGTH_MAX,
    TAGS_MAX,
    THOUGHT_CONTENT_MAX,
    RelationshipKind,
    ThoughtStatus,
)
from placeholder_service.models.base import Entity, length_between, one_of
from placeholder_service.models.contexts import Context
from placeholder_service.models.users import User

# A CHECK cannot loop, and the list is short: one condition for each place a tag can have.
TAG_LENGTHS = " AND ".join(
    f"coalesce(length(tags ->> {place}), 1) BETWEEN 1 AND {TAG_LENGTH_MAX}"
    for place in range(TAGS_MAX)
)


class Thought(Entity):
    """Something a user wrote down."""

    __tablename__ = "thoughts"
    __table_args__ = (
        # Serves the list of a user's thoughts, newest first.
        sa.Index(None, "user_id", "created_at"),
        length_between("content", 1, THOUGHT_CONTENT_MAX),
        sa.CheckConstraint(f"json_array_length(tags) <= {TAGS_MAX}", "tags_count"),
        sa.CheckConstraint(TAG_LENGTHS, "tags_length"),
    )

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    context_id: Mapped[UUID | None] = mapped_column(
        sa.ForeignKey("contexts.id", ondelete="SET NULL"), index=True
    )
    content: Mapped[str] = mapped_column(sa.Text)
    status: Mapped[ThoughtStatus] = mapped_column(
        one_of(ThoughtStatus, "status"),
        default=ThoughtStatus.ACTIVE,
        server_default=ThoughtStatus.ACTIVE.value,
    )
    tags: Mapped[list[str]] = mapped_column(default=list)

    user: Mapped[User] = relationship(lazy="raise")
    context: Mapped[Context | None] = relationship(lazy="raise")


class ThoughtRelationship(Entity):
    """A directed relation between two thoughts."""

    __tablename__ = "thought_relationships"
    __table_args__ = (
        sa.UniqueConstraint("source_id", "target_id", "kind"),
        sa.CheckConstraint("strength BETWEEN 0 AND 1", "strength_range"),
        sa.CheckConstraint("source_id <> target_id", "not_to_itself"),
    )

    source_id: Mapped[UUID] = mapped_column(sa.ForeignKey("thoughts.id", ondelete="CASCADE"))
    target_id: Mapped[UUID] = mapped_column(
        sa.ForeignKey("thoughts.id", ondelete="CASCADE"), index=True
    )
    kind: Mapped[RelationshipKind] = mapped_column(one_of(RelationshipKind, "kind"))
    strength: Mapped[float] = mapped_column(default=1.0)

    source: Mapped[Thought] = relationship(foreign_keys=source_id, lazy="raise")
    target: Mapped[Thought] = relationship(foreign_keys=target_id, lazy="raise")
