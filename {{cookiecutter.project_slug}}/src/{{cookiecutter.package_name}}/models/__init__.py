"""The tables. Importing this package is what fills `Base.metadata`."""

from {{cookiecutter.package_name}}.models.analyses import ClaudeAnalysisResult
from {{cookiecutter.package_name}}.models.api_keys import ApiKey
from {{cookiecutter.package_name}}.models.audit import AuditEntry
from {{cookiecutter.package_name}}.models.base import Base
from {{cookiecutter.package_name}}.models.contexts import Context
# if analytics == clickhouse
from {{cookiecutter.package_name}}.models.outbox import OutboxEvent
# end if
from {{cookiecutter.package_name}}.models.tasks import Task
from {{cookiecutter.package_name}}.models.thoughts import Thought, ThoughtRelationship
from {{cookiecutter.package_name}}.models.users import User

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
