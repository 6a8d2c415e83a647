"""The enum types of PostgreSQL, which columns use but do not own.

A column that is dropped leaves its type behind, two tables that share one cannot both create it,
and a member that was added in Python is missing in the database. So drafts create, change and drop
the types themselves.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrateOperation
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.named_types import CreateEnumType, DropEnumType

from migrator.drafts.conversions import DIALECT, Schema, convert, enum_type, without
from migrator.parameters import escape


class PostgreSQLOp(MigrateOperation):
    """SQL that a revision executes on PostgreSQL only, and the SQL that takes it back."""

    def __init__(self, statements: Sequence[str], undo: Sequence[str]) -> None:
        """Keep both ways."""
        self.statements, self.undo = statements, undo

    def reverse(self) -> "PostgreSQLOp":
        """Return the way back."""
        return PostgreSQLOp(self.undo, self.statements)


@renderers.dispatch_for(PostgreSQLOp)
def render(_: AutogenContext, operation: PostgreSQLOp) -> list[str]:
    """Return the lines of Python; the empty one ends the block."""
    if not operation.statements:
        return []
    lines = [f"op.execute({escape(statement)!r})" for statement in operation.statements]
    return ["if op.get_context().dialect.name == 'postgresql':", *lines, ""]


def enums_of(columns: Iterable[sa.Column[Any]]) -> dict[str, postgresql.ENUM]:
    """Return the enums of columns by name."""
    return {str(found.name): found for column in columns if (found := enum_type(column))}


def compare(before: Schema, after: Schema) -> tuple[list[PostgreSQLOp], list[PostgreSQLOp]]:
    """Return what to do before and after the tables change, so that PostgreSQL has their types.

    While they change, a type has the members of both schemas: defaults, CHECKs and conditions of
    indexes can name either.
    """
    old, new = enums_of(before.columns), enums_of(after.columns)
    # Some types are made by hand.
    for name in [name for name, enum in new.items() if not enum.create_type]:
        del new[name]
        old.pop(name, None)
    first = [
        PostgreSQLOp([create(new[name])], [drop(new[name])]) for name in sorted(new.keys() - old)
    ]
    last = [
        PostgreSQLOp([drop(old[name])], [create(old[name])]) for name in sorted(old.keys() - new)
    ]
    for name in sorted(old.keys() & new):
        both = old[name]
        if added := set(new[name].enums) - {*old[name].enums}:
            gone = [it for it in old[name].enums if it not in new[name].enums]
            both = postgresql.ENUM(*new[name].enums, *gone, name=name)
            # PostgreSQL lets nothing use a member that was added in the same transaction.
            is_used = any(literal(it) in text for it in added for text in texts_on(after, name))
            statements = [] if is_used else grow(old[name], both)
            statements = statements or exchange(both, before)
            first.append(PostgreSQLOp(statements, exchange(old[name], before)))
        if both.enums != new[name].enums:
            last.insert(0, PostgreSQLOp(exchange(new[name], after), exchange(both, after)))
    return first, last


def users_of(schema: Schema, name: str) -> list[sa.Column[Any]]:
    """Return the columns of an enum."""
    return [it for it in schema.columns if (found := enum_type(it)) and found.name == name]


def texts_on(schema: Schema, name: str) -> Iterator[str]:
    """Yield the SQL that may name members of an enum."""
    users = users_of(schema, name)
    tables = {it.table for it in users}
    yield from (convert(it) for it in users)
    yield from (it.create for it in schema.using(users))
    for table in tables:
        yield from (str(it.computed.sqltext) for it in table.columns if it.computed is not None)


def create(enum: postgresql.ENUM) -> str:
    """Return the statement that creates a type."""
    return str(CreateEnumType(enum).compile(dialect=DIALECT))


def drop(enum: postgresql.ENUM) -> str:
    """Return the statement that drops a type."""
    return str(DropEnumType(enum).compile(dialect=DIALECT))


def grow(old: postgresql.ENUM, new: postgresql.ENUM) -> list[str]:
    """Return the statements that add the new members; none if others are gone or moved."""
    if [member for member in new.enums if member in old.enums] != old.enums:
        return []
    name = DIALECT.identifier_preparer.quote(str(new.name))
    statements = []
    for position, member in enumerate(new.enums):
        if member not in old.enums:
            place = (
                f"AFTER {literal(new.enums[position - 1])}"
                if position
                else f"BEFORE {literal(old.enums[0])}"
            )
            statements.append(f"ALTER TYPE {name} ADD VALUE {literal(member)} {place}")
    return statements


def exchange(new: postgresql.ENUM, schema: Schema) -> list[str]:
    """Return the statements that replace a type of the same name; rows with other values fail."""
    quote = DIALECT.identifier_preparer
    name, old = quote.quote(str(new.name)), quote.quote(f"{new.name}_old")
    users = users_of(schema, str(new.name))
    changes = [convert(it, has_default=it.server_default is not None) for it in users]
    rename = f"ALTER TYPE {name} RENAME TO {old}"
    return without(schema.using(users), [rename, create(new), *changes, f"DROP TYPE {old}"])


def literal(text: str) -> str:
    """Return a text as SQL."""
    return "'" + text.replace("'", "''") + "'"
