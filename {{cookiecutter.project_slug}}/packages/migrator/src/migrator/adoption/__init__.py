"""Finds the revision that a database without one equals; if there is none, what differs.

The revisions run on an empty scratch database, one after the other. After each, its catalogue is
compared with that of the database, so the comparison needs no models, and knows every object.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from alembic.script import Script
from sqlalchemy import Connection

from migrator.adoption.rows import Rows, count_missing, read_rows
from migrator.errors import RefusedError, first_line
from migrator.signals import is_interruption

if TYPE_CHECKING:
    from migrator.database import Database

# Kind and name of an object.
Key = tuple[str, str]


class Item(NamedTuple):
    """An object of a catalogue."""

    table: str  # the one that it belongs to, or that it is; empty for none
    definition: Any  # comparable
    # What messages call it if it stands for itself; empty for parts of other objects.
    label: str = ""


Objects = Mapping[Key, Item]


class Differences(NamedTuple):
    """In what a database differs from a revision."""

    lines: list[str]  # the objects, for people
    sql: list[str]  # what makes the database equal, as far as it is known, in order


class Statements(NamedTuple):
    """The SQL that makes everything in a database, and that removes it."""

    create: list[str]  # in order
    drop: list[str]


@dataclass(frozen=True)
class State:
    """What a revision makes of an empty database."""

    script: Script
    objects: Objects  # the catalogue afterwards
    rows: Mapping[str, Rows]  # the rows of each table, as the revisions inserted them


@dataclass(frozen=True)
class Chain:
    """What the revisions make of an empty database, one after the other."""

    states: tuple[State, ...]  # after each revision that runs there
    failure: str = ""  # why the next one does not; empty if all do


@dataclass(frozen=True)
class Adoption:
    """What a comparison of a database with the revisions has found."""

    revision: str | None = None  # the one that was recorded; None if it equals no single one
    equal: tuple[Script, ...] = ()  # all that it equals; several differ only in rows
    nearest: Script | None = None  # the one that it differs least from
    differences: Differences | None = None  # from `nearest`; None if it equals one
    # Revisions up to `revision` that change no schema: whether they ran cannot be seen.
    data: tuple[Script, ...] = ()
    # How many rows a table lacks that the revisions insert.
    missing_rows: Mapping[str, int] = field(default_factory=dict)
    # Objects that no revision knows, and that belong to no table that one knows.
    others: tuple[str, ...] = ()
    failure: str = ""  # why a revision does not run on an empty database; empty if all do


class Dialect(ABC):
    """What an adoption needs to know about a kind of database."""

    remark = ""  # what the last scratch database lacks, for the message about a revision that fails

    def __init__(self, database: Database) -> None:
        """Store the migrations."""
        self.database = database

    @abstractmethod
    def scratch(self) -> AbstractContextManager[Connection]:
        """Return a context with a connection to an empty database, which is dropped afterwards."""

    @abstractmethod
    def read(self, connection: Connection) -> Objects:
        """Return the catalogue without what depends on the place: owners, and the order of columns.

        It neither commits nor rolls back.
        """

    def read_rows(self, connection: Connection) -> Mapping[str, Rows]:
        """Return the rows of tables that have a primary key."""
        return read_rows(connection)

    @abstractmethod
    def differences(self, found: Connection, wanted: Connection, others: set[Key]) -> Differences:
        """Return in what two databases differ, and the SQL that makes the first like the second.

        Args:
            found: The database.
            wanted: A scratch database at a revision.
            others: The objects of the database that are not those of the migrations.
        """

    def statements(self, connection: Connection) -> Statements:
        """Return the statements that make everything in a database, and those that remove it.

        Raises:
            RefusedError: The database is ClickHouse, which has no such statements for all objects.
        """
        raise RefusedError(f"the revisions of {self.database.label} are squashed by hand")


def run_revisions(dialect: Dialect, upto: str = "heads") -> Chain:
    """Run the revisions up to one on a scratch database and return what each makes of it."""
    database = dialect.database
    states: list[State] = []
    with dialect.scratch() as scratch:
        for script in reversed(list(database.scripts().walk_revisions("base", upto))):
            try:
                database.upgrade(script.revision, scratch)
            except Exception as error:  # a revision is any code
                if is_interruption(error):
                    raise
                name = database.relative_name(script.path)
                return Chain(
                    tuple(states), f"{name} fails on one: {first_line(error)}{dialect.remark}"
                )
            states.append(State(script, dialect.read(scratch), dialect.read_rows(scratch)))
            scratch.rollback()
    return Chain(tuple(states))


def compare(dialect: Dialect, connection: Connection, chain: Chain, wanted: str | None) -> Adoption:
    """Return which revisions the database of a connection equals; `wanted` is the only candidate.

    The one that is recorded is the only equal one, or the one that was asked for.
    """
    known: dict[Key, Item] = {}
    for state in chain.states:
        known.update(state.objects)
    every = dialect.read(connection)
    tables = {item.table for item in known.values()} - {""}
    ours = {key: it for key, it in every.items() if key in known or it.table in tables}
    others = every.keys() - ours.keys()
    result = Adoption(
        others=tuple(sorted(it.label for key, it in every.items() if key in others and it.label)),
        failure=chain.failure,
    )
    candidates = [it for it in chain.states if wanted in (None, it.script.revision)]
    equal = [state for state in candidates if state.objects == ours]
    if equal:
        upto = chain.states[: chain.states.index(equal[-1]) + 1]
        missing = {
            table: count
            for table, rows in equal[-1].rows.items()
            if (count := count_missing(connection, table, rows))
        }
        return replace(
            result,
            revision=equal[0].script.revision if len(equal) == 1 else None,
            equal=tuple(state.script for state in equal),
            data=tuple(find_data_steps(upto)),
            missing_rows=missing,
        )
    if not candidates:
        return result
    nearest = min(reversed(candidates), key=lambda state: count_differences(state.objects, ours))
    with dialect.scratch() as scratch:
        dialect.database.upgrade(nearest.script.revision, scratch)
        differences = dialect.differences(connection, scratch, others)
    return replace(result, nearest=nearest.script, differences=differences)


def find_data_steps(states: Sequence[State]) -> Iterator[Script]:
    """Yield the revisions that leave the catalogue as it was."""
    before: Objects = {}
    for state in states:
        if state.objects == before:
            yield state.script
        before = state.objects


def count_differences(one: Objects, other: Objects) -> int:
    """Return how many objects are missing in one of the two, or differ."""
    return sum(one.get(key) != other.get(key) for key in one.keys() | other.keys())
