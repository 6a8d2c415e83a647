"""Keeps secrets, and more text than helps anybody, out of logs and messages."""

import re
from collections.abc import Collection

from migrator import redaction

REDACTED = redaction.REDACTED
TEXT_MAX = redaction.TEXT_MAX

# Names whose values are secrets, in headers, settings, addresses and connection strings.
SECRET_NAME = re.compile(
    r"api[-_]?key|authorization|cookie|passw(?:or)?d|secret|token",
    re.IGNORECASE,
)
# A text that was cut off may lack the second quotation mark.
QUOTED = r"\"[^\"]*\"?|'[^']*'?"
PATTERNS = (
    (
        re.compile(
            rf"(?P<name>(?:{SECRET_NAME.pattern})[\w-]*['\"]?\s*[:=]\s*b?)"
            rf"(?:{QUOTED}|(?:(?:bearer|basic)\s+)?[^\s,;&'\")}}\]]+)",
            re.IGNORECASE,
        ),
        rf"\g<name>{REDACTED}",
    ),
    # An API key, as services.api_keys makes it.
    (re.compile(r"\b[0-9a-f]{12}\.[\w-]+"), REDACTED),
)


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """Return a text without the given secrets and whatever looks like one, at most `TEXT_MAX`."""
    text = redaction.redact(text)
    for secret in sorted(secrets, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", REDACTED, text)
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text
