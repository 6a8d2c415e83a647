"""Drafts of revisions: what autogenerate found, written so that it runs up and down anywhere.

Alembic compares the models with a scratch database of the project's own kind, and would write what
it drops as that database spells it. Here it is put in the words of the revisions that made it, and
in an order that PostgreSQL accepts.
"""

from collections.abc import Sequence
from typing import Any
from warnings import warn

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.ddl.impl import DefaultImpl
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy.schema import conv

from migrator.drafts import enums, identities, sequences
from migrator.drafts.autogenerate import generic
from migrator.drafts.conversions import (
    DIALECT,
    Part,
    Schema,
    default_of,
    is_created,
    keys_of,
    parts_of,
    way,
)
from migrator.drafts.ordering import around_types, in_order
from migrator.drafts.recording import Record, TableRecord
from migrator.errors import RefusedError

Step = ops.MigrateOperation


class Draft:
    """Rewrites a draft, as a `process_revision_directives` of Alembic."""

    impl: DefaultImpl
    # What the revisions have left, and what the models say.
    before: Schema
    after: Schema

    def __init__(self, record: Record) -> None:
        """Keep what the revisions before it say."""
        self.record = record

    def __call__(
        self, context: MigrationContext, _: Any, directives: list[ops.MigrationScript]
    ) -> None:
        """Rewrite what a revision does, and derive from it how it is undone."""
        self.impl = context.impl
        for script in directives:
            assert script.upgrade_ops is not None, "autogenerate has filled it"
            assert script.downgrade_ops is not None, "autogenerate has filled it"
            self.before, self.after = self.recorded(), modelled(context)
            require_distinct_names(self.after)
            first, last = enums.compare(self.before, self.after, enums.existing(context.bind))
            first += sequences.create(self.before, self.after, context.bind)
            changes = [self.rewrite(it) for it in script.upgrade_ops.ops]
            script.upgrade_ops.ops = [*first, *in_order(changes), *last]
            script.upgrade_ops.reverse_into(script.downgrade_ops)

    def rewrite(self, step: Step) -> list[Step]:
        """Return a step as steps that can be undone on both databases."""
        match step:
            case ops.ModifyTableOps():
                return self.split(step)
            case ops.AlterColumnOp(existing_type=sa.types.TypeEngine()):
                step.kw.pop("autoincrement", None)  # only MySQL knows it
                return self.altered(step)
            case ops.DropTableOp():
                step = ops.DropTableOp.from_table(self.table(step.to_table()))
            case ops.DropColumnOp(table_name=table, schema=schema):
                column = self.column(table, step.to_column())
                step = ops.DropColumnOp.from_column_and_tablename(schema, table, column)
            case ops.DropIndexOp(table_name=table, index_name=name):
                if created := self.of(table).indexes.get(str(name)):
                    step = ops.DropIndexOp.from_index(created.to_index())
            case ops.DropConstraintOp(table_name=table, constraint_name=name):
                self.warn_of_unnamed(table, name)
                if added := self.of(table).constraints.get(str(name)):
                    step = ops.DropConstraintOp.from_constraint(added.to_constraint())
        return [step]

    def warn_of_unnamed(self, table: str, name: object) -> None:
        """Warn where a constraint is dropped that the revisions have not named."""
        said = self.of(table)
        if said.has_unnamed and (name is None or name not in said.constraints):
            warn(
                f"{table}: the draft drops a constraint without a name, which SQLite does not find."
                " Next: give batch_alter_table the names of PostgreSQL, naming_convention="
                '{"fk": "%(table_name)s_%(column_0_N_name)s_fkey",'
                ' "uq": "%(table_name)s_%(column_0_N_name)s_key"}, and drop it by that name',
                stacklevel=2,
            )

    def altered(self, step: ops.AlterColumnOp) -> list[Step]:
        """Return the change of a column; one of its type with what PostgreSQL needs before it."""
        if isinstance(step.modify_server_default or step.existing_server_default, sa.Identity):
            return self.numbered(step)
        default: Any = step.existing_server_default or None
        old = self.column(
            step.table_name,
            sa.Column[Any](step.column_name, step.existing_type, server_default=default),
        )
        step.existing_type = old.type
        if default is not None:
            step.existing_server_default = old.server_default
        if step.modify_type is None:
            return [step]
        old = in_table(step, step.existing_type, step.existing_server_default)
        new = in_table(step, step.modify_type, self.modelled_default(step))
        if default_of(old) != default_of(new):
            # SQLite takes defaults for the same that PostgreSQL does not, such as 1 and true.
            step.modify_server_default = new.server_default
        up, down = way(old, new), way(new, old)
        return [
            *[enums.PostgreSQLOp(self.before.converting(old, new, up), [])] * (up != ""),
            step,
            # Its way back comes before that of the step.
            *[enums.PostgreSQLOp([], self.after.converting(new, old, down))] * (down != ""),
        ]

    def modelled_default(self, step: ops.AlterColumnOp) -> Any:
        """Return the default that the models give to a column."""
        for column in self.after.columns:
            if (column.table.name, column.name) == (step.table_name, step.column_name):
                return column.server_default
        return None

    def numbered(self, step: ops.AlterColumnOp) -> list[Step]:
        """Return the change of a column with an identity, which SQLite has none of."""
        given = step.existing_server_default, step.modify_server_default
        old, new = (it if isinstance(it, sa.Identity) else None for it in given)
        step.existing_server_default, step.modify_server_default = False, False
        steps = self.altered(step) if step.has_changes() else []
        for column in self.before.columns if given[1] is not False else ():
            if (column.table.name, column.name) == (step.table_name, step.column_name):
                statements = identities.change(column, old, new, self.impl)
                undo = identities.change(column, new, old, self.impl)
                steps.append(enums.PostgreSQLOp(statements, undo))
        return steps

    def split(self, batch: ops.ModifyTableOps) -> list[Step]:
        """Return the changes of a table: a batch, and what comes before and after it.

        Indexes are dropped before it and created after it. In a batch, Alembic loses their
        expressions and their order on SQLite.
        """
        steps = [step for it in batch.ops for step in self.rewrite(it)]
        first = [it for it in steps if isinstance(it, enums.PostgreSQLOp) and it.statements]
        drops = [it for it in steps if isinstance(it, ops.DropIndexOp)]
        creates = [it for it in steps if isinstance(it, ops.CreateIndexOp)]
        last = [it for it in steps if isinstance(it, enums.PostgreSQLOp) and not it.statements]
        outside = {id(it) for it in (*first, *drops, *creates, *last)}
        rest = [it for it in steps if id(it) not in outside]
        batch.ops = around_types(self.without_own_checks(batch.table_name, rest))
        return [*first, *drops, batch, *creates, *last]

    def without_own_checks(self, table: str, steps: Sequence[Step]) -> list[Step]:
        """Return the changes of a table without the CHECKs that come and go with a type."""
        said = self.of(table)
        retyped = {
            it.column_name
            for it in steps
            if isinstance(it, ops.AlterColumnOp) and it.modify_type is not None
        }
        dropped = {it.column_name for it in steps if isinstance(it, ops.DropColumnOp)}
        columns = [it.column for it in steps if isinstance(it, ops.AddColumnOp)]
        columns += [
            it for it in self.after.columns if it.table.name == table and it.name in retyped
        ]
        added = {it.name for column in columns for it in own_checks(column)}
        found = list[Step]()
        for step in steps:
            match step:
                case ops.CreateCheckConstraintOp(constraint_name=name) if str(name) in added:
                    pass
                case ops.DropConstraintOp(constraint_name=name) if (
                    retyped | dropped
                ) & said.owners(name):
                    pass
                case ops.DropColumnOp(column_name=name):
                    own = [it for it in sorted(said.of_types) if name in said.owners(it)]
                    found += [OwnCheckOp(table, said.checks[it]).reverse() for it in own]
                    found.append(step)
                case ops.AddColumnOp(column=column):
                    found.append(step)
                    found += [OwnCheckOp(table, it) for it in own_checks(column)]
                case _:
                    found.append(step)
        return found

    def recorded(self) -> Schema:
        """Return what the revisions have left."""
        columns, parts, keys = list[sa.Column[Any]](), list[Part](), list[Part]()
        for name, said in self.record.items():
            columns += sa.Table(name, sa.MetaData(), *map(copied, said.columns.values())).columns
            indexes = [it.to_index() for it in said.indexes.values()]
            parts += parts_of(said.checks.values(), indexes)
            keys += keys_of(it.to_constraint() for it in said.constraints.values())
        return Schema(columns, parts, keys)

    def of(self, table: str | None) -> TableRecord:
        """Return what the revisions say of a table; an empty record for one made in SQL."""
        return self.record.get(str(table)) or TableRecord()

    def table(self, found: sa.Table) -> sa.Table:
        """Return a table of the database in the words of the revisions."""
        said = self.of(found.name)
        items: list[Any] = [self.column(found.name, column) for column in found.columns]
        for constraint in found.constraints:
            if constraint.name not in said.of_types:
                added = said.constraints.get(str(constraint.name)) if constraint.name else None
                items.append(added.to_constraint() if added else constraint)
        options = {"comment": said.comment or found.comment, **said.options}
        return ops.CreateTableOp(found.name, items, schema=found.schema, **options).to_table()

    def column(self, table: str, found: sa.Column[Any]) -> sa.Column[Any]:
        """Return a column of the database in the words of the revisions.

        Where these no longer fit, because a revision changed the type in SQL, it gets the generic
        type that is nearest to the one of the database.
        """
        said = self.of(table).columns.get(found.name)
        column = copied(found)
        if said is None or self.impl.compare_type(found, said):
            column.type = generic(found.type)
            return column
        default: Any = found.server_default and (said.server_default or found.server_default)
        if said.identity is not None and not self.impl.dialect.supports_identity_columns:
            default = said.identity
        is_of_column = isinstance(default, sa.Computed | sa.Identity)
        return sa.Column(
            found.name,
            said.type,
            # SQLAlchemy has no public way to copy one.
            *([default._copy()] if is_of_column else []),
            server_default=None if is_of_column else default,
            primary_key=found.primary_key,
            nullable=found.nullable,
            comment=said.comment,
        )


class OwnCheckOp(ops.ModifyTableOps):
    """A CHECK that the type of a column brings along, so that only its drop is written."""

    def __init__(self, table: str, check: sa.CheckConstraint) -> None:
        """Do nothing."""
        super().__init__(table, [])
        self.check = check

    def reverse(self) -> Any:
        """Return the drop, which SQLite needs before that of the column."""
        return DropOwnCheckOp(self.table_name, self.check)


class DropOwnCheckOp(ops.DropConstraintOp):
    """The drop of such a CHECK."""

    def __init__(self, table: str, check: sa.CheckConstraint) -> None:
        """Drop it, on PostgreSQL only where the type has one there as well."""
        super().__init__(conv(str(check.name)), table, "check")
        self.check = check
        self.is_everywhere = is_created(check, DIALECT)

    def reverse(self) -> Any:
        """Return nothing to do."""
        return OwnCheckOp(str(self.table_name), self.check)


@renderers.dispatch_for(DropOwnCheckOp)
def render(_: AutogenContext, operation: DropOwnCheckOp) -> list[str]:
    """Return the lines of Python within a batch; the empty one ends a block."""
    name = f"batch_op.f({str(operation.constraint_name)!r})"
    line = f"batch_op.drop_constraint({name}, type_='check')"
    if operation.is_everywhere:
        return [line]
    return ["if op.get_context().dialect.name == 'sqlite':", line, ""]


def in_table(step: ops.AlterColumnOp, kind: Any, default: Any) -> sa.Column[Any]:
    """Return the column that a step changes, with a type and a default, in a table of its own."""
    default = default if isinstance(default, str | sa.DefaultClause) else None
    column = sa.Column[Any](step.column_name, kind, server_default=default)
    sa.Table(step.table_name, sa.MetaData(), column, schema=step.schema)
    return column


def copied(column: sa.Column[Any]) -> sa.Column[Any]:
    """Return a column that belongs to no table."""
    return column._copy()  # SQLAlchemy has no public way


def own_checks(column: sa.Column[Any]) -> list[sa.CheckConstraint]:
    """Return the CHECKs with a name that come with the type of a column."""
    return [
        constraint
        for constraint in column.table.constraints
        # As Alembic asks, because SQLAlchemy has no public way.
        if constraint._type_bound
        and isinstance(constraint, sa.CheckConstraint)
        and isinstance(constraint.name, str)
        and column.name in constraint.columns
    ]


def modelled(context: MigrationContext) -> Schema:
    """Return what the models say, without the tables that the project leaves out."""
    metadata = context.opts["target_metadata"]
    every = metadata if isinstance(metadata, Sequence) else [metadata]
    includes = context.opts["include_object"] or (lambda *_: True)
    tables = [
        table
        for each in every
        for table in each.tables.values()
        if includes(table, table.name, "table", False, None)  # noqa: FBT003  # as Alembic calls it
    ]
    return Schema(
        [column for table in tables for column in table.columns],
        [part for table in tables for part in parts_of(table.constraints, table.indexes)],
        [key for table in tables for key in keys_of(table.constraints)],
    )


def require_distinct_names(schema: Schema) -> None:
    """Raise `RefusedError` if tables of several schemas have one name."""
    found = dict[str, str]()
    for table in sorted({it.table for it in schema.columns}, key=lambda it: it.fullname):
        other = found.setdefault(table.name, table.fullname)
        if other != table.fullname:
            raise RefusedError(
                f"the models have the tables {other} and {table.fullname}; a draft knows tables by"
                " their names alone, and SQLite has no schemas. Next: give one of them another"
                " name, or leave it out with include_object and write its revisions yourself"
            )
