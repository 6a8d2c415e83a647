"""Compares, for autogenerate, what Alembic itself does not, or not on every database."""

import re
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import (
    AlterColumnOp,
    CreateCheckConstraintOp,
    CreateTableCommentOp,
    DropConstraintOp,
    DropTableCommentOp,
    ModifyTableOps,
)
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy.dialects import postgresql

from migrator.drafts.conversions import enum_type
from migrator.drafts.index_changes import compare_indexes, compare_options
from migrator.parameters import escape

PLUGINS = ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname", "migrator"]


def compare_default(
    context: AutogenContext,
    operation: AlterColumnOp,
    schema: str | None,
    table: str,
    name: str,
    migrated: sa.Column[Any],
    modelled: sa.Column[Any],
) -> PriorityDispatchResult:
    """Compare the defaults that Alembic cannot compare, and leave the others to it."""
    old, new = migrated.server_default, modelled.server_default
    if isinstance(new, sa.Identity):
        # SQLite numbers its primary keys without one, so it never has the one of the model.
        is_known = context.migration_context.dialect.supports_identity_columns
        return PriorityDispatchResult.CONTINUE if is_known else PriorityDispatchResult.STOP
    if isinstance(old, sa.Computed) and isinstance(new, sa.Computed):
        # Alembic compares spellings, and PostgreSQL spells expressions in its own way. A test of
        # migrator.testing compares what the database makes of both.
        return PriorityDispatchResult.STOP
    if isinstance(modelled.type, sa.JSON) or is_retyped(context, migrated, modelled):
        # Alembic asks the database. PostgreSQL has no equality for JSON, and where the type changes
        # as well, it may take neither value for one of the other type.
        operation.existing_server_default = old
        if default_text(old) != default_text(new):
            operation.modify_server_default = new
        return PriorityDispatchResult.STOP
    return PriorityDispatchResult.CONTINUE


def default_text(default: object) -> str:
    """Return the SQL of a default without the cast that PostgreSQL adds; empty for no default."""
    if not isinstance(default, sa.DefaultClause):
        return ""
    text = default.arg if isinstance(default.arg, str) else str(default.arg)
    return re.sub(r"::[\w\s.,()\[\]\"]+$", "", text).strip("'")


def is_retyped(context: AutogenContext, migrated: sa.Column[Any], modelled: sa.Column[Any]) -> bool:
    """Return whether PostgreSQL has another type for a column than the models."""
    impl = context.migration_context.impl
    if impl.__dialect__ != "postgresql":
        return False
    found, wanted = enum_type(migrated), enum_type(modelled)
    return shape(found) != shape(wanted) or impl.compare_type(migrated, modelled)


def compare_enum(
    context: AutogenContext,
    operation: AlterColumnOp,
    schema: str | None,
    table: str,
    name: str,
    migrated: sa.Column[Any],
    modelled: sa.Column[Any],
) -> PriorityDispatchResult:
    """Compare enums. Of those on PostgreSQL, Alembic compares the name, on SQLite the length."""
    said = (context.opts["record"] or {}).get(table)
    if context.migration_context.dialect.name == "postgresql":
        found = enum_type(migrated)
    elif said is not None and name in said.columns:
        found = enum_type(said.columns[name])
    else:
        return PriorityDispatchResult.CONTINUE
    wanted = enum_type(modelled)
    is_by_hand = wanted is not None and not wanted.create_type
    if not is_by_hand and shape(found) != shape(wanted):
        operation.existing_type, operation.modify_type = migrated.type, modelled.type
        return PriorityDispatchResult.STOP
    return PriorityDispatchResult.CONTINUE


def shape(enum: postgresql.ENUM | None) -> tuple[str | None, list[str]] | None:
    """Return what an enum is made of."""
    return None if enum is None else (enum.name, enum.enums)


def compare_comment(
    context: AutogenContext,
    operation: AlterColumnOp,
    schema: str | None,
    table: str,
    name: str,
    migrated: sa.Column[Any],
    modelled: sa.Column[Any],
) -> PriorityDispatchResult:
    """Compare the comment of a column with the revisions, because SQLite keeps none."""
    said = (context.opts["record"] or {}).get(table)
    if said is not None and name in said.columns:
        operation.existing_comment = said.columns[name].comment
        if modelled.comment != operation.existing_comment:
            operation.modify_comment = modelled.comment
    return PriorityDispatchResult.CONTINUE


def compare_table_comment(
    context: AutogenContext,
    operations: ModifyTableOps,
    schema: str | None,
    name: str,
    migrated: sa.Table | None,
    modelled: sa.Table | None,
) -> PriorityDispatchResult:
    """Compare the comment of a table with the revisions, because SQLite keeps none."""
    said = (context.opts["record"] or {}).get(name)
    if said is None or migrated is None or modelled is None or modelled.comment == said.comment:
        return PriorityDispatchResult.CONTINUE
    operations.ops.append(
        CreateTableCommentOp(name, modelled.comment, existing_comment=said.comment)
        if modelled.comment
        else DropTableCommentOp(name, existing_comment=said.comment)
    )
    return PriorityDispatchResult.CONTINUE


def compare_checks(
    context: AutogenContext,
    operations: ModifyTableOps,
    schema: str | None,
    name: str,
    migrated: sa.Table | None,
    modelled: sa.Table | None,
) -> PriorityDispatchResult:
    """Compare the CHECKs of a table with the revisions; the database spells them in its own way."""
    said = (context.opts["record"] or {}).get(name)
    if said is not None and migrated is not None and modelled is not None:
        for check in modelled.constraints:
            old = said.checks.get(str(check.name))
            if (
                isinstance(check, sa.CheckConstraint)
                and old is not None
                and spell_check(old) != spell_check(check)
            ):
                operations.ops += [
                    DropConstraintOp.from_constraint(old),
                    # As text: Alembic would add an expression to the models once more.
                    CreateCheckConstraintOp(check.name, name, escape(spell_check(check))),
                ]
    return PriorityDispatchResult.CONTINUE


def spell_check(check: sa.CheckConstraint) -> str:
    """Return the condition of a CHECK."""
    return str(
        check.sqltext.compile(compile_kwargs={"literal_binds": True, "include_table": False})
    )


# A plugin, because Alembic fails on generated columns if `compare_server_default` is a function.
plugin = Plugin("migrator")
plugin.add_autogenerate_comparator(
    compare_default, "column", "server_default", priority=DispatchPriority.FIRST
)
plugin.add_autogenerate_comparator(compare_checks, "table", "checks")
plugin.add_autogenerate_comparator(compare_indexes, "table", "expressions", qualifier="sqlite")
# Alembic compares the rest first.
plugin.add_autogenerate_comparator(
    compare_options, "table", "indexes", priority=DispatchPriority.LAST
)
plugin.add_autogenerate_comparator(compare_enum, "column", "types", priority=DispatchPriority.FIRST)
plugin.add_autogenerate_comparator(compare_comment, "column", "comments", qualifier="sqlite")
plugin.add_autogenerate_comparator(compare_table_comment, "table", "comments", qualifier="sqlite")
