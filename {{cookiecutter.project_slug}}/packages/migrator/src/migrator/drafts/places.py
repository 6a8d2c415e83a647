"""What Alembic passes to a comparison of autogenerate, and what the revisions say of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import AlterColumnOp, ModifyTableOps
from alembic.util import PriorityDispatchResult

from migrator.drafts.recording import TableRecord


class TablePlace(NamedTuple):
    """A table to compare; None for the side that does not have it."""

    context: AutogenContext
    operations: ModifyTableOps
    schema: str | None
    name: str
    migrated: sa.Table | None
    modelled: sa.Table | None

    @property
    def said(self) -> TableRecord | None:
        """What the revisions say of the table; None without a record of it."""
        return find_record(self.context, self.name)


class ColumnPlace(NamedTuple):
    """A column to compare, which both sides have."""

    context: AutogenContext
    operation: AlterColumnOp
    schema: str | None
    table: str
    name: str
    migrated: sa.Column[Any]
    modelled: sa.Column[Any]

    @property
    def said(self) -> sa.Column[Any] | None:
        """What the revisions say of the column; None without a record of it."""
        table = find_record(self.context, self.table)
        return table.columns.get(self.name) if table else None


def find_record(context: AutogenContext, table: str) -> TableRecord | None:
    """Return what the revisions say of a table, if the run keeps a record."""
    record: dict[str, TableRecord] = context.opts["record"] or {}
    return record.get(table)


def of_table(compare: Callable[[TablePlace], PriorityDispatchResult]) -> Callable[..., Any]:
    """Return a comparison of tables as Alembic calls it."""
    return lambda *arguments: compare(TablePlace(*arguments))


def of_column(compare: Callable[[ColumnPlace], PriorityDispatchResult]) -> Callable[..., Any]:
    """Return a comparison of columns as Alembic calls it."""
    return lambda *arguments: compare(ColumnPlace(*arguments))
