"""Definitions as PostgreSQL writes them, made comparable."""

import re
from collections.abc import Iterator
from typing import Any

CAST = re.compile(r"::(?:character varying|text)(?:\(\d+\))?(?:\[\])?")
BRACKETS = re.compile(r"\(('(?:[^']|'')*'|ARRAY\[[^][]*\])\)")
TOKEN = re.compile(r"'(?:[^']|'')*'|[()]|[^\s()']+")


def simplify(definition: str) -> str:
    """Return a definition without casts of texts, and without brackets that mean nothing.

    PostgreSQL adds casts to `status IN ('a', 'b')`, and others once the result has been read again,
    as in a dump that was restored. Then `a AND (b AND c)` has lost its brackets, too.
    """
    definition = CAST.sub("", definition)
    while (plain := BRACKETS.sub(r"\1", definition)) != definition:
        definition = plain
    return show(flatten(parse(iter(TOKEN.findall(definition)))))


def parse(tokens: Iterator[str]) -> list[Any]:
    """Return tokens with those between brackets as lists."""
    found: list[Any] = []
    for part in tokens:
        if part == ")":
            break
        found.append(parse(tokens) if part == "(" else part)
    return found


def flatten(group: list[Any]) -> list[Any]:
    """Return a group without brackets within brackets, and around AND within AND, OR within OR."""
    parts = [flatten(it) if isinstance(it, list) else it for it in group]
    found: list[Any] = []
    for place, it in enumerate(parts):
        beside = parts[max(place - 1, 0) : place] + parts[place + 1 : place + 2]
        words = [word for word in ("AND", "OR") if word in it and isinstance(it, list)]
        if beside and words and beside in (words, words * 2):
            found += it
        else:
            found.append(it)
    return found[0] if len(found) == 1 and isinstance(found[0], list) else found


def show(group: list[Any]) -> str:
    """Return a group as text."""
    return " ".join(f"({show(it)})" if isinstance(it, list) else it for it in group)
