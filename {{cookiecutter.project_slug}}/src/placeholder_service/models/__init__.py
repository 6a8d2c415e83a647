"""The tables. Importing this package is what fills `Base.metadata`."""

from placeholder_service.models.analyses import ClaudeAnalysisResult
from placeholder_service.models.api_keys import ApiKey
from placeholder_service.models.audit import AuditEntry
from placeholder_service.models.base import Base
from placeholder_service.models.contexts import Context
from placeholder_service.models.outbox import OutboxEvent  # if analytics == clickhouse
from placeholder_service.models.tasks import Task
from placeholder_service.models.thoughts import Thought, ThoughtRelationship
from placeholder_service.models.users import User

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Base",
    "ClaudeAnalysisResult",
    "Context",
    # if analytics == clickhouse
    "OutboxEvent",
    # end if
    "Task",
    "Thought",
    "ThoughtRelationship",
    "User",
]
