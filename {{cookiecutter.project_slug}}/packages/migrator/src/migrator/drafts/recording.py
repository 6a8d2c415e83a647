"""The schema in the words of its revisions, recorded while they run.

A database keeps less than they say: SQLite has no comments and no type for UUIDs, PostgreSQL spells
expressions in its own way. What a draft drops is therefore written back from this record.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations, ops, toimpl

from migrator.drafts.autogenerate import ComparingSQLiteImpl


@dataclass
class TableRecord:
    """What the revisions say of a table; its parts by their names."""

    columns: dict[str, sa.Column[Any]] = field(default_factory=dict)
    constraints: dict[str, ops.AddConstraintOp] = field(default_factory=dict)  # what added each
    has_unnamed: bool = False  # a constraint
    indexes: dict[str, ops.CreateIndexOp] = field(default_factory=dict)  # what created each
    checks: dict[str, sa.CheckConstraint] = field(default_factory=dict)
    # The names of the CHECKs that belong to the type of a column.
    of_types: set[str] = field(default_factory=set)
    comment: str | None = None
    options: dict[str, Any] = field(default_factory=dict)  # such as sqlite_autoincrement

    def add(self, table: sa.Table) -> None:
        """Record what a table has: the whole of it, or one column that was added."""
        self.columns |= {column.name: column for column in table.columns}
        self.indexes |= {str(it.name): ops.CreateIndexOp.from_index(it) for it in table.indexes}
        for constraint in table.constraints:
            self.note_check(constraint)
            if not constraint._type_bound and not isinstance(constraint, sa.PrimaryKeyConstraint):
                self.note_constraint(constraint, ops.AddConstraintOp.from_constraint(constraint))

    def note(self, operation: ops.MigrateOperation, result: Any) -> None:
        """Record what an operation has done to this table; `result` is what it returned."""
        match operation:
            case ops.AddColumnOp(column=column):
                self.add(column.table)
            case ops.DropColumnOp(column_name=name):
                self.drop(name)
            case ops.AlterColumnOp():
                self.alter(operation, result)
            case ops.CreateIndexOp(index_name=name):
                self.indexes[str(name)] = operation
            case ops.DropIndexOp(index_name=name):
                self.indexes.pop(str(name), None)
            case ops.DropConstraintOp(constraint_name=name):
                # The database shows which of the other constraints are there.
                self.checks.pop(str(name), None)
            case ops.CreateTableCommentOp(comment=comment):
                self.comment = comment
            case ops.DropTableCommentOp():
                self.comment = None

    def note_constraint(self, constraint: sa.Constraint, added: ops.AddConstraintOp) -> None:
        """Record what added a constraint."""
        if isinstance(constraint.name, str):
            self.constraints[constraint.name] = added
        else:
            self.has_unnamed = True

    def note_check(self, constraint: sa.Constraint) -> None:
        """Record a CHECK that has a name."""
        if isinstance(constraint, sa.CheckConstraint) and isinstance(constraint.name, str):
            self.checks[constraint.name] = constraint
            # SQLAlchemy has no public name for it; Alembic asks in the same way.
            if constraint._type_bound:
                self.of_types.add(constraint.name)

    def owners(self, check: object) -> set[str]:
        """Return the names of the columns to whose type a CHECK belongs."""
        is_of_type = str(check) in self.of_types and str(check) in self.checks
        return {it.name for it in self.checks[str(check)].columns} if is_of_type else set()

    def drop(self, column: str) -> None:
        """Forget a column, and the CHECKs and indexes that the database drops with it."""
        self.columns.pop(column, None)
        name = re.compile(rf"\b{re.escape(column)}\b")
        self.checks = {
            key: it for key, it in self.checks.items() if not name.search(str(it.sqltext))
        }
        self.indexes = {
            key: it
            for key, it in self.indexes.items()
            if not name.search(" ".join(map(str, [*it.columns, *it.kw.values()])))
        }

    def alter(self, change: ops.AlterColumnOp, table: sa.Table | None) -> None:
        """Record a changed column; a new type comes in a table of its own, with its CHECKs."""
        if (old := self.columns.pop(change.column_name, None)) is None:
            return
        default = change.modify_server_default
        name = change.modify_name or old.name
        self.columns[name] = sa.Column(
            name,
            change.modify_type or old.type,
            primary_key=old.primary_key,
            server_default=old.server_default if default is False else default,
            comment=old.comment if change.modify_comment is False else change.modify_comment,
        )
        if table is not None:
            for gone in [it for it in self.of_types if old.name in self.owners(it)]:
                self.of_types.discard(gone)
                del self.checks[gone]
            for constraint in table.constraints:
                self.note_check(constraint)
        if name != old.name:
            # These name the column as it was called; the database knows them well enough.
            self.constraints.clear()
            self.checks.clear()
            self.indexes.clear()


Record = dict[str, TableRecord]


def note(record: Record, operation: Any, result: Any) -> None:
    """Record what an operation has done to the tables; `result` is what it returned."""
    match operation:
        case ops.CreateTableOp(table_name=name):
            record[name] = TableRecord(comment=result.comment, options=dict(result.kwargs))
            record[name].add(result)
        case ops.DropTableOp(table_name=name):
            record.pop(name, None)
        case ops.RenameTableOp(table_name=name, new_table_name=new) if name in record:
            record[new] = record.pop(name)
        case ops.AddConstraintOp():
            constraint = operation.to_constraint()
            if (said := record.get(constraint.table.name)) is not None:
                said.note_constraint(constraint, operation)
                said.note_check(constraint)
        case _ if operation.table_name in record:
            record[operation.table_name].note(operation, result)


def alter_column(operations: Operations, operation: ops.AlterColumnOp) -> sa.Table | None:
    """Change a column; return a table with it if it has another type."""
    impl = operations.migration_context.impl
    if isinstance(impl, ComparingSQLiteImpl) and operation.existing_type is not None:
        said = sa.types.to_instance(operation.existing_type)
        impl.said_types[operation.table_name, operation.column_name] = said
    toimpl.alter_column(operations, operation)
    if operation.modify_type is None:
        return None
    name = operation.modify_name or operation.column_name
    column = sa.Column[Any](name, operation.modify_type)
    return operations.schema_obj.table(operation.table_name, column)


def recorded(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return an implementation of an operation that is recorded if the run keeps a record."""

    def implementation(operations: Operations, operation: ops.MigrateOperation) -> Any:
        result = run(operations, operation)
        record = operations.migration_context.opts.get("record")
        if record is not None:
            note(record, operation, result)
        return result

    return implementation


for kind, run in (
    (ops.CreateTableOp, toimpl.create_table),
    (ops.DropTableOp, toimpl.drop_table),
    (ops.RenameTableOp, toimpl.rename_table),
    (ops.AddColumnOp, toimpl.add_column),
    (ops.DropColumnOp, toimpl.drop_column),
    (ops.AlterColumnOp, alter_column),
    (ops.CreateIndexOp, toimpl.create_index),
    (ops.DropIndexOp, toimpl.drop_index),
    (ops.AddConstraintOp, toimpl.create_constraint),
    (ops.DropConstraintOp, toimpl.drop_constraint),
    (ops.CreateTableCommentOp, toimpl.create_table_comment),
    (ops.DropTableCommentOp, toimpl.drop_table_comment),
):
    Operations.implementation_for(kind, replace=True)(recorded(run))
