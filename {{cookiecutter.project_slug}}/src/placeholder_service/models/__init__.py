"""The tables. Importing this package is what fills `Base.metadata`."""

from placeholder_service.models.analyses import ClaudeAnalysisResult  # if domain == sample
from placeholder_service.models.api_keys import ApiKey
from placeholder_service.models.audit import AuditEntry
from placeholder_service.models.base import Base
from placeholder_service.models.contexts import Context  # if domain == sample
from placeholder_service.models.outbox import OutboxEvent  # if analytics == clickhouse
from placeholder_service.models.tasks import Task  # if domain == sample
from placeholder_service.models.thoughts import (  # if domain == sample
    Thought,
    ThoughtRelationship,
)
from placeholder_service.models.users import User

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Base",
    "ClaudeAnalysisResult",  # if domain == sample
    "Context",  # if domain == sample
    "OutboxEvent",  # if analytics == clickhouse
    "Task",  # if domain == sample
    "Thought",  # if domain == sample
    "ThoughtRelationship",  # if domain == sample
    "User",
]
