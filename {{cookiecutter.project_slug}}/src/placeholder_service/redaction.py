"""Keeps secrets, and more text than helps anybody, out of logs and messages."""

import re

from migrator import redaction
from sqlalchemy import URL

REDACTED = redaction.REDACTED

# Names whose values are secrets, in headers, settings, addresses and connection strings.
SECRET_NAME = re.compile(
    r"api[-_]?key|authorization|cookie|passw(?:or)?d|secret|token", re.IGNORECASE
)
# An API key, as services.api_keys makes it, whatever the length of its prefix.
API_KEY = re.compile(r"\b[0-9a-f]{8,}\.[\w-]{20,}")


def redact(text: str, *urls: URL) -> str:
    """Return a text without the passwords of `urls` and what looks like a secret; cut if long."""
    return API_KEY.sub(REDACTED, redaction.redact(text, *urls, names=SECRET_NAME))
