"""Keeps secrets, and more text than helps anybody, out of logs and messages."""

import re

from migrator import redaction
from sqlalchemy import URL

from placeholder_service.domain import KEY_PREFIX_MAX

REDACTED = redaction.REDACTED

# Names whose values are secrets, in headers, settings, addresses and connection strings.
SECRET_NAME = re.compile(
    r"api[-_]?key|authorization|cookie|passw(?:or)?d|secret|token", re.IGNORECASE
)
# An API key, as services.api_keys makes it.
API_KEY = re.compile(rf"\b[0-9a-f]{{{KEY_PREFIX_MAX}}}\.[\w-]+")


def redact(text: str, *urls: URL) -> str:
    """Return a text without the passwords of `urls` and what looks like a secret; cut if long."""
    return API_KEY.sub(REDACTED, redaction.redact(text, *urls, names=SECRET_NAME))
