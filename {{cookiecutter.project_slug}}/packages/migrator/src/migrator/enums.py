"""The enum types of PostgreSQL, which columns use but do not own.

A column that is dropped leaves its type behind, two tables that share one cannot both create it,
and a member that was added in Python is missing in the database. So drafts create, change and drop
the types themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrateOperation
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.named_types import CreateEnumType, DropEnumType

from migrator.parameters import escape

# Its statements are texts of revisions: the style of other drivers doubles each `%`.
DIALECT: sa.Dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
Enums = Mapping[str, postgresql.ENUM]


class PostgreSQLOp(MigrateOperation):
    """Statements that a revision executes on PostgreSQL only.

    Attributes:
        statements: The SQL.
        undo: The SQL that takes it back.
    """

    def __init__(self, statements: Sequence[str], undo: Sequence[str]) -> None:
        """Keep both ways."""
        self.statements, self.undo = statements, undo

    def reverse(self) -> "PostgreSQLOp":
        """Return the way back."""
        return PostgreSQLOp(self.undo, self.statements)


@renderers.dispatch_for(PostgreSQLOp)
def render(_: AutogenContext, operation: PostgreSQLOp) -> list[str]:
    """Return the lines of Python; the empty one ends the block."""
    lines = [f"op.execute({escape(statement)!r})" for statement in operation.statements]
    return ["if op.get_context().dialect.name == 'postgresql':", *lines, ""]


def enum_of(column: sa.Column[Any]) -> postgresql.ENUM | None:
    """Return the type of a column on PostgreSQL if it is an enum that revisions have to create."""
    found = enum_type(column)
    return found if found is not None and found.create_type else None


def enum_type(column: sa.Column[Any]) -> postgresql.ENUM | None:
    """Return the type of a column on PostgreSQL if it is an enum."""
    found = column.type.dialect_impl(DIALECT)
    if isinstance(found, sa.types.TypeDecorator):
        found = found.impl_instance.dialect_impl(DIALECT)
    return found if isinstance(found, postgresql.ENUM) else None


def enums_of(columns: Iterable[sa.Column[Any]]) -> dict[str, postgresql.ENUM]:
    """Return the enums of columns by name."""
    return {str(found.name): found for column in columns if (found := enum_of(column))}


def compare(
    before: Sequence[sa.Column[Any]], after: Sequence[sa.Column[Any]]
) -> tuple[list[PostgreSQLOp], list[PostgreSQLOp]]:
    """Return what to do before and after the columns change, so that PostgreSQL has their types."""
    old, new = enums_of(before), enums_of(after)
    first = [
        PostgreSQLOp([create(new[name])], [drop(new[name])]) for name in sorted(new.keys() - old)
    ]
    last = [
        PostgreSQLOp([drop(old[name])], [create(old[name])]) for name in sorted(old.keys() - new)
    ]
    for name in sorted(old.keys() & new):
        if old[name].enums != new[name].enums:
            users = [it for it in before if (found := enum_of(it)) and found.name == name]
            statements = grow(old[name], new[name]) or exchange(new[name], users)
            first.append(PostgreSQLOp(statements, exchange(old[name], users)))
    return first, last


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


def exchange(new: postgresql.ENUM, users: Iterable[sa.Column[Any]]) -> list[str]:
    """Return the statements that replace a type of the same name; rows with other values fail."""
    quote = DIALECT.identifier_preparer
    name, old = quote.quote(str(new.name)), quote.quote(f"{new.name}_old")
    statements = [f"ALTER TYPE {name} RENAME TO {old}", create(new)]
    for column in users:
        alter = f"ALTER COLUMN {quote.format_column(column)}"
        changes = [f"{alter} TYPE {name} USING {quote.format_column(column)}::text::{name}"]
        if column.server_default is not None:
            compiler = DIALECT.ddl_compiler(DIALECT, CreateEnumType(new))
            default = compiler.get_column_default_string(column)
            changes = [f"{alter} DROP DEFAULT", *changes, f"{alter} SET DEFAULT {default}"]
        statements.append(f"ALTER TABLE {quote.format_table(column.table)} {', '.join(changes)}")
    return [*statements, f"DROP TYPE {old}"]


def literal(text: str) -> str:
    """Return a text as SQL."""
    return "'" + text.replace("'", "''") + "'"
