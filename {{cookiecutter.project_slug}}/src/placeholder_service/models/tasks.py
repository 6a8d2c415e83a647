"""What users plan to do."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from placeholder_service.domain import (
    TASK_DESCRIPTION_MAX,
    TASK_TITLE_MAX,
    TaskPriority,
    TaskStatus,
)
from placeholder_service.models.base import Entity, length_between, one_of
from placeholder_service.models.thoughts import Thought
from placeholder_service.models.users import User


class Task(Entity):
    """Something to do, perhaps because of a thought."""

    __tablename__ = "tasks"
    __table_args__ = (
        length_between("title", 1, TASK_TITLE_MAX),
        length_between("description", 0, TASK_DESCRIPTION_MAX),
        sa.CheckConstraint(
            "(status = 'done' AND completed_at IS NOT NULL)"
            " OR (status <> 'done' AND completed_at IS NULL)",
            "completed_when_done",
        ),
    )

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    thought_id: Mapped[UUID | None] = mapped_column(
        sa.ForeignKey("thoughts.id", ondelete="SET NULL"), index=True
    )
    title: Mapped[str] = mapped_column(sa.String(TASK_TITLE_MAX))
    description: Mapped[str | None] = mapped_column(sa.Text)
    status: Mapped[TaskStatus] = mapped_column(
        one_of(TaskStatus, "status"),
        default=TaskStatus.PENDING,
        server_default=TaskStatus.PENDING.value,
    )
    priority: Mapped[TaskPriority] = mapped_column(
        one_of(TaskPriority, "priority"),
        default=TaskPriority.MEDIUM,
        server_default=TaskPriority.MEDIUM.value,
    )
    due_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]

    user: Mapped[User] = relationship(lazy="raise")
    thought: Mapped[Thought | None] = relationship(lazy="raise")
