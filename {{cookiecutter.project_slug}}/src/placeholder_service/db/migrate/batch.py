"""Lets SQLite rebuild tables with generated columns; importing this module is enough.

In a batch, Alembic copies all columns into the new table. SQLite computes a generated column by
itself, and refuses to be given one.
"""

from typing import Any

from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations.batch import ApplyBatchImpl
from sqlalchemy import Table


class RebuildingSQLiteImpl(SQLiteImpl):
    """Alembic's SQLite, which leaves generated columns out of the copy."""

    # Alembic takes the last class with this name.
    __dialect__ = "sqlite"

    def prep_table_for_batch(self, batch_impl: ApplyBatchImpl, table: Table) -> None:
        """Prepare the copy from the old table into the new one."""
        super().prep_table_for_batch(batch_impl, table)
        new: Table | None = batch_impl.new_table
        for column in new.columns if new is not None else ():
            if column.computed is not None:
                transfer: dict[str, Any] = batch_impl.column_transfers[column.name]
                transfer.pop("expr", None)
