"""In what two PostgreSQL databases differ, and the statements that make them equal."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from migrator.adoption import Differences, Key
from migrator.adoption.parts import CONSTRAINTS, WITHOUT_ROWS, Part

CREATE = "CREATE TABLE {} (\n    {}\n)"


def compare_parts(
    old: Mapping[Key, Part], new: Mapping[Key, Part]
) -> tuple[Differences, re.Pattern[str]]:
    """Return the differences, and what finds the names of objects that differ with them."""
    missing = [part for key, part in new.items() if key not in old]
    extra = [part for key, part in old.items() if key not in new]
    both = [(old[key], part) for key, part in new.items() if key in old]
    changed = [(one, other) for one, other in both if one.meaning != other.meaning]
    renamed = take_renamed(extra, missing)
    whole = {it.name for it in missing + extra if it.kind == "table"}

    lines = [
        f"different: {one.kind} {one.name}: its name should be {short_name(other)}"
        for one, other in renamed
    ]
    for word, parts in (("missing", missing), ("unexpected", extra)):
        shown = [it for it in parts if it.parent not in whole]
        lines += [f"{word}: {it.kind} {it.name}{describe(it)}" for it in shown]
    lines += [
        f"different: {one.kind} {one.name}: {one.definition} → {other.definition}"
        for one, other in changed
    ]

    # What has no rows goes first, so that nothing refers to what changes. Tables go last.
    drops = [it for it in extra if it.parent not in whole]
    drops += [one for one, other in changed if one.rank >= WITHOUT_ROWS]
    drops.sort(key=lambda it: -it.rank)
    makes = [(it.rank, it.create or by_hand(it)) for it in gather(missing)]
    for one, other in renamed:
        rename = f"RENAME CONSTRAINT {short_name(one)} TO {short_name(other)}"
        makes.append((one.rank, f"ALTER TABLE {one.parent} {rename}"))
    for one, other in changed:
        again = [other.create or by_hand(other)] if one.rank >= WITHOUT_ROWS else [by_hand(other)]
        present = {it.partition(" AFTER ")[0] for it in one.alter}
        altered = [it for it in other.alter if it.partition(" AFTER ")[0] not in present]
        makes += [(other.rank, it) for it in altered or again]
    sql = [it.drop for it in drops if it.rank >= WITHOUT_ROWS]
    sql += [it for _, it in sorted(makes, key=lambda it: it[0])]
    for it in drops:
        if it.rank < WITHOUT_ROWS:
            sql += ["-- This deletes values:"] * (it.kind in ("table", "column")) + [it.drop]
    explained = [it for pair in (*renamed, *changed) for it in pair] + missing + extra
    names = {it.name for it in explained} | {short_name(it) for it in explained}
    every = "|".join(map(re.escape, names)) or "(?!)"
    return Differences(lines, sql), re.compile(rf"(?:^|[\s.])(?:{every})(?:$|[\s.\[])")


def gather(missing: Sequence[Part]) -> list[Part]:
    """Return the parts with the columns and constraints of a table in the statement for it."""
    inside: dict[str, list[str]] = defaultdict(list)
    tables = {it.name for it in missing if it.kind == "table" and it.create}
    for it in missing:
        if it.parent in tables and it.kind in ("column", "constraint") and it.create:
            text = it.create.removeprefix(f"ALTER TABLE {it.parent} ADD ")
            inside[it.parent].append(text.removeprefix("COLUMN "))
    return [
        replace(it, create=CREATE.format(it.name, ",\n    ".join(inside[it.name])))
        if it.kind == "table" and inside[it.name]
        else it
        for it in missing
        if it.parent not in tables or it.kind not in ("column", "constraint")
    ]


def take_renamed(extra: list[Part], missing: list[Part]) -> list[tuple[Part, Part]]:
    """Take out of both lists the constraints that differ in their names only, in pairs."""
    pairs = [
        (one, other)
        for other in missing
        if other.rank in CONSTRAINTS
        for one in extra
        if (one.kind, one.parent, one.meaning) == (other.kind, other.parent, other.meaning)
    ]
    for one, other in pairs:
        extra.remove(one)
        missing.remove(other)
    return pairs


def short_name(part: Part) -> str:
    """Return the name of a constraint or trigger without its table; others have one name."""
    return part.name.partition(" on ")[0]


def describe(part: Part) -> str:
    """Return the definition of a part of a table."""
    return f": {part.definition}" if part.parent and part.kind != "trigger" else ""


def by_hand(part: Part) -> str:
    """Return a comment in place of a statement that is not known."""
    return f"-- By hand: make {part.kind} {part.name} {part.definition}"
