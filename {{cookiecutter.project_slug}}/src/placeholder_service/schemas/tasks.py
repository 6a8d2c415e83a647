"""Inputs and outputs about tasks."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, StringConstraints

from placeholder_service.domain import (
    TASK_DESCRIPTION_MAX,
    TASK_TITLE_MAX,
    TaskPriority,
    TaskStatus,
)
from placeholder_service.schemas.base import LEFT_OUT, Input, Output, PartialUpdate, text

Title = Annotated[str, text(TASK_TITLE_MAX)]
Description = Annotated[str, StringConstraints(max_length=TASK_DESCRIPTION_MAX)]


class TaskCreate(Input):
    """A new task. It starts as pending."""

    title: Title
    description: Description | None = None
    thought_id: UUID | None = None
    priority: TaskPriority = TaskPriority.MEDIUM
    due_at: AwareDatetime | None = None


class TaskUpdate(PartialUpdate):
    """A change to a task. A service that sets it to `done` sets `completed_at` as well."""

    title: Title = LEFT_OUT
    description: Description | None = None
    thought_id: UUID | None = None
    status: TaskStatus = LEFT_OUT
    priority: TaskPriority = LEFT_OUT
    due_at: AwareDatetime | None = None


class TaskResponse(Output):
    """A task as the API shows it."""

    user_id: UUID
    thought_id: UUID | None
    title: str
    description: str | None
    status: TaskStatus
    priority: TaskPriority
    due_at: datetime | None
    completed_at: datetime | None
