"""The enum types of PostgreSQL, which columns use but do not own.

A column that is dropped leaves its type behind, two tables that share one cannot both create it,
and a member that was added in Python is missing in the database. So drafts create, change and drop
the types themselves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrateOperation
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.named_types import CreateEnumType, DropEnumType

from migrator.drafts.conversions import DIALECT, Part, Schema, convert, enum_type, without
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


def full_name(enum: postgresql.ENUM) -> str:
    """Return the name of a type as SQL, with its schema if it has one."""
    return enum.compile(dialect=DIALECT)


def enums_of(columns: Iterable[sa.Column[Any]]) -> dict[str, postgresql.ENUM]:
    """Return the enums of columns by name."""
    return {full_name(found): found for column in columns if (found := enum_type(column))}


def existing(connection: sa.Connection | None) -> dict[str, postgresql.ENUM]:
    """Return the enums that a database has, by name; none on SQLite."""
    if connection is None or connection.dialect.name != "postgresql":
        return {}
    rows: Any = sa.inspect(connection)
    found = [
        postgresql.ENUM(
            *row["labels"], name=row["name"], schema=None if row["visible"] else row["schema"]
        )
        for row in rows.get_enums(schema="*")
    ]
    return {full_name(it): it for it in found}


def compare(
    before: Schema, after: Schema, there: Mapping[str, postgresql.ENUM]
) -> tuple[list[PostgreSQLOp], list[PostgreSQLOp]]:
    """Return what to do before and after the tables change, so that PostgreSQL has their types.

    While they change, a type has the members of both schemas: defaults, CHECKs and conditions of
    indexes can name either. Some types are there without a column of the revisions, which may have
    made it in SQL.
    """
    new = enums_of(after.columns)
    old = {name: it for name, it in there.items() if name in new} | enums_of(before.columns)
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
    changed = sorted(name for name in old.keys() & new if old[name].enums != new[name].enums)
    for name in changed:
        both = old[name]
        if added := set(new[name].enums) - {*old[name].enums}:
            gone = [it for it in old[name].enums if it not in new[name].enums]
            both = renamed(new[name], str(new[name].name), *new[name].enums, *gone)
            # PostgreSQL lets nothing use a member that was added in the same transaction.
            is_used = any(literal(it) in text for it in added for text in texts_on(after, name))
            statements = [] if is_used else grow(old[name], both)
            statements = statements or exchange(both, before)
            first.append(PostgreSQLOp(statements, exchange(old[name], before)))
        if both.enums != new[name].enums:
            last.insert(0, PostgreSQLOp(exchange(new[name], after), exchange(both, after)))
    keys = keys_that_stay(before, after, changed)
    if keys:
        away = PostgreSQLOp([it.drop for it in keys], [it.create for it in keys])
        return [away, *first], [*last, away.reverse()]
    return first, last


def keys_that_stay(before: Schema, after: Schema, names: Iterable[str]) -> list[Part]:
    """Return the foreign keys of enums: PostgreSQL changes no type under one."""
    found = [
        {key for name in names for key in schema.keys_on(users_of(schema, name))}
        for schema in (before, after)
    ]
    return sorted(found[0] & found[1])


def users_of(schema: Schema, name: str) -> list[sa.Column[Any]]:
    """Return the columns of an enum."""
    return [it for it in schema.columns if (found := enum_type(it)) and full_name(found) == name]


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
    name = full_name(new)
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
    name, old = full_name(new), renamed(new, f"{new.name}_old", *new.enums)
    users = users_of(schema, name)
    changes = [convert(it, has_default=it.server_default is not None) for it in users]
    rename = f"ALTER TYPE {name} RENAME TO {DIALECT.identifier_preparer.quote(str(old.name))}"
    return without(schema.using(users), [rename, create(new), *changes, drop(old)])


def renamed(enum: postgresql.ENUM, name: str, *members: str) -> postgresql.ENUM:
    """Return a type of the same schema."""
    return postgresql.ENUM(*members, name=name, schema=enum.schema)


def literal(text: str) -> str:
    """Return a text as SQL."""
    return "'" + text.replace("'", "''") + "'"
