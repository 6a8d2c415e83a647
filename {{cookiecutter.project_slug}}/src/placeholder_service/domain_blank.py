"""The words and limits of the domain, shared by the tables and the API's inputs.

Every limit is written once, here. The tables turn it into a CHECK or a column length, the
schemas into a readable error.
"""

from enum import StrEnum
from typing import Final

EMAIL_MAX: Final = 255
NAME_MAX: Final = 100
KEY_PREFIX_MAX: Final = 12
KEY_HASH_LENGTH: Final = 64


class AuditAction(StrEnum):
    """What was done to an entity."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Scope(StrEnum):
    """What an API key allows."""

    READ = "read"
    WRITE = "write"
