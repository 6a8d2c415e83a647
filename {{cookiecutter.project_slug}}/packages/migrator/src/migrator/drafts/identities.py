"""Gives a column of PostgreSQL an identity, changes it, or takes it away.

Without one, a key is numbered by a sequence of its own, as SQLAlchemy makes it. SQLite numbers its
keys either way.
"""

from typing import Any

import sqlalchemy as sa
from alembic.ddl.base import IdentityColumnDefault
from alembic.ddl.impl import DefaultImpl

from migrator.drafts.conversions import DIALECT


def change(
    column: sa.Column[Any], old: sa.Identity | None, new: sa.Identity | None, impl: DefaultImpl
) -> list[str]:
    """Return the statements that replace an identity; None is the numbering without one.

    Args:
        column: The column, in the table that has it.
        old: Its identity so far.
        new: Its identity afterwards.
        impl: How Alembic compares the two.
    """
    table = str(column.table.name)
    replace = IdentityColumnDefault(table, column.name, new, impl, existing_server_default=old)
    statement = str(replace.compile(dialect=DIALECT)).strip()
    if old is not None and new is not None:
        return [statement]
    is_numbered = column.table.autoincrement_column is column
    quote = DIALECT.identifier_preparer
    name, sequence = quote.quote(table), quote.quote(f"{table}_{column.name}_seq")
    alter = f"ALTER TABLE {name} ALTER COLUMN {quote.quote(column.name)}"
    if new is not None:
        before = [f"{alter} DROP DEFAULT", f"DROP SEQUENCE {sequence}"] if is_numbered else []
        return [*before, statement, go_on(column)]
    if not is_numbered:
        return [statement]
    kind = column.type.compile(dialect=DIALECT)
    owner = f"{name}.{quote.quote(column.name)}"
    create = f"CREATE SEQUENCE {sequence} AS {kind} OWNED BY {owner}"
    default = f"{alter} SET DEFAULT nextval('{sequence}')"
    return [statement, create, default, go_on(column)]


def go_on(column: sa.Column[Any]) -> str:
    """Return the statement that lets a sequence go on after the rows."""
    quote = DIALECT.identifier_preparer
    table, name = quote.quote(str(column.table.name)), quote.quote(column.name)
    sequence = f"pg_get_serial_sequence('{table}', '{column.name}')"
    return f"SELECT setval({sequence}, max({name})) FROM {table}"  # noqa: S608  # quoted names
