"""Lets SQLite rebuild tables with generated columns; importing this module is enough.

In a batch, Alembic copies all columns into the new table. SQLite computes generated columns itself
and refuses a value for them.
"""

from typing import Any, Literal

from alembic.autogenerate.api import AutogenContext
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations.batch import ApplyBatchImpl
from alembic.util.sqla_compat import is_expression_index
from sqlalchemy import Index, Table, UniqueConstraint, quoted_name, text
from sqlalchemy.types import TypeEngine

from migrator.enums import DIALECT

POSTGRESQL = PostgresqlImpl(
    DIALECT,
    connection=None,
    as_sql=False,
    transactional_ddl=None,
    output_buffer=None,
    context_opts={},
)


# Triggers, and indexes of which SQLAlchemy loses an expression, an order or a collation.
UNREAD = text("""
    SELECT name, sql FROM sqlite_master WHERE tbl_name = :table AND (
        type = 'trigger' OR type = 'index' AND sql IS NOT NULL AND EXISTS (
            SELECT 1 FROM pragma_index_xinfo(sqlite_master.name)
            WHERE "key" AND (cid = -2 OR "desc" OR coll <> 'BINARY')
        )
    )
""")


class RebuildingSQLiteImpl(SQLiteImpl):
    """Alembic's SQLite, which leaves generated columns out of the copy."""

    # Alembic uses the last class that has this name.
    __dialect__ = "sqlite"

    def prep_table_for_batch(self, batch_impl: ApplyBatchImpl, table: Table) -> None:
        """Prepare the copy from the old table into the new one."""
        super().prep_table_for_batch(batch_impl, table)
        new: Table | None = batch_impl.new_table
        for column in new.columns if new is not None else ():
            if column.computed is not None:
                transfer: dict[str, Any] = batch_impl.column_transfers[column.name]
                transfer.pop("expr", None)
        self.remember(batch_impl)

    def remember(self, batch_impl: ApplyBatchImpl) -> None:
        """Keep the SQL of what is dropped with the old table and cannot be read from it."""
        assert self.connection is not None, "a rebuild needs a database"
        rows = self.connection.execute(UNREAD, {"table": batch_impl.table.name}).all()
        read = {str(index.name) for index in batch_impl.table.indexes}
        self.to_restore = [
            row.sql for row in rows if row.name not in read or row.name in batch_impl.indexes
        ]
        for row in rows:
            batch_impl.indexes.pop(row.name, None)

    def rename_table(
        self,
        old_table_name: str,
        new_table_name: str | quoted_name,
        schema: str | quoted_name | None = None,
    ) -> None:
        """Rename a table. Where it replaces another, restore what was dropped with that one."""
        if not old_table_name.startswith("_alembic_tmp_"):
            super().rename_table(old_table_name, new_table_name, schema)
            return
        # Views and triggers name the table as it was and will be, so they are right as they are.
        self._exec("PRAGMA legacy_alter_table = ON")
        super().rename_table(old_table_name, new_table_name, schema)
        self._exec("PRAGMA legacy_alter_table = OFF")
        for sql in self.to_restore:
            self._exec(text(sql.replace(":", r"\:")))

    def render_type(
        self, type_: TypeEngine[Any], autogen_context: AutogenContext
    ) -> str | Literal[False]:
        """Render a type of PostgreSQL, which may be the variant of another, as its Alembic does."""
        found = super().render_type(type_, autogen_context)
        return found or POSTGRESQL.render_type(type_, autogen_context)

    def correct_for_autogen_constraints(
        self,
        conn_unique_constraints: set[UniqueConstraint],
        conn_indexes: set[Index],
        metadata_unique_constraints: set[UniqueConstraint],
        metadata_indexes: set[Index],
    ) -> None:
        """Leave indexes on expressions to `autogenerate.compare_indexes`."""
        skipped = {index.name for index in metadata_indexes if is_expression_index(index)}
        for indexes in (conn_indexes, metadata_indexes):
            indexes -= {index for index in indexes if index.name in skipped}
