"""Keeps passwords, and texts of any length, out of messages."""

import re
from functools import cache
from urllib.parse import quote, quote_plus

from sqlalchemy import URL

REDACTED = "[redacted]"

# The longest text that a message repeats, in characters.
TEXT_MAX = 1000

SECRET_NAME = re.compile(r"passw(?:or)?d|secret", re.IGNORECASE)
# Names of parameters of a URL. In other texts, the further ones are ordinary words.
SECRET_PARAMETER = re.compile(
    rf"{SECRET_NAME.pattern}|passphrase|pwd|token|credential|auth"
    "|(?:api|access|private|client|server)_?key",
    re.IGNORECASE,
)
# Parameters of URLs that are shown; the value of any other one may be a secret.
HARMLESS = {
    "application_name",
    "connect_timeout",
    "database",
    "dbname",
    "host",
    "port",
    "sslmode",
    "target_session_attrs",
    "timeout",
    "user",
}
# The password of an address, up to the last @: it may contain one that is not escaped.
ADDRESS = re.compile(r"(://[^\s:/@]*):\S*@")
# A text that was cut off may lack the second quotation mark.
QUOTED = r"\"[^\"]*\"?|'[^']*'?"


@cache
def settings_of(names: re.Pattern[str]) -> re.Pattern[str]:
    """Return what finds the value of a setting or a header, in quotes or without."""
    return re.compile(
        rf"((?:{names.pattern})[\w-]*['\"]?\s*[:=]\s*b?)"
        rf"(?:{QUOTED}|(?:(?:bearer|basic)\s+)?[^\s,;&'\")}}\]]+)",
        re.IGNORECASE,
    )


def redact(text: str, *urls: URL, names: re.Pattern[str] = SECRET_NAME) -> str:
    """Return a text without the passwords of `urls` and whatever looks like one; cut if long.

    `names` finds the names whose values are secrets: of settings, headers and parameters.
    """
    if len(text) > TEXT_MAX:
        # The last word may be half a password.
        text = f"{text[:TEXT_MAX].rpartition(' ')[0]} … ({len(text)} characters)"
    for secret in sorted(secrets(*urls), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", REDACTED, text)
    text = ADDRESS.sub(rf"\1:{REDACTED}@", text)
    return settings_of(names).sub(rf"\1{REDACTED}", text)


def secrets(*urls: URL) -> set[str]:
    """Return the passwords in URLs, as they are and as URLs spell them."""
    found = [str(url.password) for url in urls if url.password]
    for url in urls:
        for name, values in url.normalized_query.items():
            found += values if SECRET_PARAMETER.search(name) else ()
    return {spelling for it in found if it for spelling in (it, quote(it, safe=""), quote_plus(it))}


def show_url(url: URL) -> str:
    """Return a URL without its password, and without parameters that may hold a secret."""
    shown = {name: value for name, value in url.query.items() if name in HARMLESS}
    hidden = dict.fromkeys(url.query.keys() - shown, REDACTED)
    return re.sub(r"%5Bredacted%5D", REDACTED, repr(url.set(query={**shown, **hidden})))
