"""The words and limits of the domain, shared by the tables and the API's inputs.

Every limit is written once, here. The tables turn it into a CHECK or a column length, the
schemas into a readable error.
"""

from enum import StrEnum
from typing import Final

EMAIL_MAX: Final = 255
NAME_MAX: Final = 100
CONTEXT_DESCRIPTION_MAX: Final = 500
THOUGHT_CONTENT_MAX: Final = 5000
TAGS_MAX: Final = 5
TAG_LENGTH_MAX: Final = 50
TASK_TITLE_MAX: Final = 200
TASK_DESCRIPTION_MAX: Final = 5000
MODEL_NAME_MAX: Final = 100
KEY_PREFIX_MAX: Final = 12
KEY_HASH_LENGTH: Final = 64


class ThoughtStatus(StrEnum):
    """Where a thought is in its life."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    COMPLETED = "completed"


class RelationshipKind(StrEnum):
    """What one thought says about another."""

    RELATES_TO = "relates_to"
    SUPPORTS = "supports"
    CONTRADICTS = "contradicts"
    FOLLOWS = "follows"


class TaskStatus(StrEnum):
    """Where a task is in its life."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    CANCELLED = "cancelled"


class TaskPriority(StrEnum):
    """How soon a task matters."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"


class AuditAction(StrEnum):
    """What was done to an entity."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Scope(StrEnum):
    """What an API key allows."""

    READ = "thoughts:read"
    WRITE = "thoughts:write"
