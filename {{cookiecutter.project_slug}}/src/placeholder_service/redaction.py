"""Keeps secrets, and more text than helps anybody, out of logs and messages."""

import re
from collections.abc import Collection

REDACTED = "[redacted]"

# The longest text that is shown, in characters.
TEXT_MAX = 1000

# Names whose values are secrets, in headers, settings, addresses and connection strings.
SECRET_NAME = re.compile(
    r"api[-_]?key|authorization|cookie|passw(?:or)?d|secret|token",
    re.IGNORECASE,
)
# A text that was cut off may lack the second quotation mark.
QUOTED = r"\"[^\"]*\"?|'[^']*'?"
PATTERNS = (
    # The password of an address, up to the last @: it may hold one that is not written as %40.
    (re.compile(r"(://[^\s:/@]*):\S*@"), rf"\1:{REDACTED}@"),
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
    text = shorten(text)
    for secret in sorted(secrets, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", REDACTED, text)
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def shorten(text: str) -> str:
    """Return the beginning of a long text. It ends with a whole word: half a secret is not seen."""
    if len(text) <= TEXT_MAX:
        return text
    beginning = re.match(r".*\s", text[:TEXT_MAX], re.DOTALL)
    return f"{beginning.group() if beginning else ''}… ({len(text)} characters)"
