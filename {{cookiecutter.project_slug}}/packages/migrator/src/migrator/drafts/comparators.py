"""Compares, for autogenerate, what Alembic itself does not, or not on every database."""

import json
import re
from contextlib import suppress

import sqlalchemy as sa
from alembic.operations.ops import (
    CreateCheckConstraintOp,
    CreateTableCommentOp,
    DropConstraintOp,
    DropTableCommentOp,
    MigrateOperation,
)
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy.dialects import postgresql

from migrator.drafts.autogenerate import is_other_type
from migrator.drafts.conversions import enum_type, is_created
from migrator.drafts.index_changes import compare_indexes, compare_options
from migrator.drafts.places import ColumnPlace, TablePlace, of_column, of_table
from migrator.parameters import escape

PLUGINS = ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname", "migrator"]


@of_column
def compare_default(column: ColumnPlace) -> PriorityDispatchResult:
    """Compare the defaults that Alembic cannot compare, and leave the others to it."""
    old, new = column.migrated.server_default, column.modelled.server_default
    if isinstance(new, sa.Identity):
        # SQLite numbers its primary keys without one, so it never has the one of the model.
        is_known = column.context.migration_context.dialect.supports_identity_columns
        return PriorityDispatchResult.CONTINUE if is_known else PriorityDispatchResult.STOP
    if isinstance(old, sa.Computed) and isinstance(new, sa.Computed):
        # Alembic compares spellings, and PostgreSQL spells expressions in its own way. A test of
        # migrator.testing compares what the database makes of both.
        return PriorityDispatchResult.STOP
    if isinstance(column.modelled.type, sa.JSON) or is_text(column) or is_retyped(column):
        # Alembic asks the database. PostgreSQL has no equality for JSON, and where the type changes
        # as well, it may take neither value for one of the other type. And Alembic quotes no text.
        column.operation.existing_server_default = old
        is_json = isinstance(column.modelled.type, sa.JSON)
        if not is_same_default(old, new, is_json=is_json):
            column.operation.modify_server_default = new
        return PriorityDispatchResult.STOP
    return PriorityDispatchResult.CONTINUE


def is_text(column: ColumnPlace) -> bool:
    """Return whether the default of a column is a text before and after, and not an expression."""
    defaults = column.migrated.server_default, column.modelled.server_default
    is_there = all(isinstance(it, sa.DefaultClause) for it in defaults)
    new = getattr(defaults[1], "arg", None)
    is_string = isinstance(column.modelled.type, sa.String)
    return is_there and isinstance(new, str) and (is_string or "'" in new)


def is_same_default(old: object, new: object, *, is_json: bool) -> bool:
    """Return whether two defaults have the same value; JSON may be spelled in another way."""
    if not isinstance(old, sa.DefaultClause) or not isinstance(new, sa.DefaultClause):
        return old is None and new is None
    # What was read from the database is SQL as it stands; a text of the models has escapes.
    before = unquoted(str(getattr(old.arg, "text", old.arg)))
    after = new.arg if isinstance(new.arg, str) else unquoted(str(new.arg))
    if is_json:
        with suppress(ValueError):
            return bool(json.loads(before) == json.loads(after))
    return before == after


def unquoted(sql: str) -> str:
    """Return the text that a default is, or its SQL without the cast that PostgreSQL adds."""
    sql = re.sub(r"::[\w\s.,()\[\]\"]+$", "", sql)
    sql = re.sub(r"^\((.*)\)$", r"\1", sql, flags=re.DOTALL)  # SQLite may need brackets
    if quoted := re.fullmatch(r"(E?)'(.*)'", sql, re.DOTALL):
        value = quoted[2].replace("''", "'")
        return value.replace("\\\\", "\\") if quoted[1] else value
    return sql


def is_retyped(column: ColumnPlace) -> bool:
    """Return whether PostgreSQL has another type for a column than the models."""
    impl = column.context.migration_context.impl
    if impl.__dialect__ != "postgresql":
        return False
    found, wanted = enum_type(column.migrated), enum_type(column.modelled)
    return shape(found) != shape(wanted) or impl.compare_type(column.migrated, column.modelled)


@of_column
def compare_enum(column: ColumnPlace) -> PriorityDispatchResult:
    """Compare enums. Of those on PostgreSQL, Alembic compares the name, on SQLite the length."""
    is_postgresql = column.context.migration_context.dialect.name == "postgresql"
    old = column.migrated if is_postgresql else column.said
    if old is None:
        return PriorityDispatchResult.CONTINUE
    found, wanted = enum_type(old), enum_type(column.modelled)
    is_by_hand = wanted is not None and not wanted.create_type
    if not is_by_hand and shape(found) != shape(wanted):
        column.operation.existing_type = column.migrated.type
        column.operation.modify_type = column.modelled.type
        return PriorityDispatchResult.STOP
    return PriorityDispatchResult.CONTINUE


@of_column
def compare_type(column: ColumnPlace) -> PriorityDispatchResult:
    """Compare types with the revisions: each database takes some for one that the other does not.

    One that a revision changed in SQL is compared with the database only.
    """
    said, impl = column.said, column.context.migration_context.impl
    is_known = said is not None and not impl.compare_type(column.migrated, said)
    if said is not None and is_known and is_other_type(said, column.modelled):
        column.operation.existing_type = column.migrated.type
        column.operation.modify_type = column.modelled.type
        return PriorityDispatchResult.STOP
    return PriorityDispatchResult.CONTINUE


def shape(enum: postgresql.ENUM | None) -> tuple[str | None, list[str]] | None:
    """Return what an enum is made of."""
    return None if enum is None else (enum.name, enum.enums)


@of_column
def compare_comment(column: ColumnPlace) -> PriorityDispatchResult:
    """Compare the comment of a column with the revisions, because SQLite keeps none."""
    if (said := column.said) is not None:
        column.operation.existing_comment = said.comment
        if column.modelled.comment != said.comment:
            column.operation.modify_comment = column.modelled.comment
    return PriorityDispatchResult.CONTINUE


@of_table
def compare_table_comment(table: TablePlace) -> PriorityDispatchResult:
    """Compare the comment of a table with the revisions, because SQLite keeps none."""
    said, modelled = table.said, table.modelled
    if said is None or table.migrated is None or modelled is None:
        return PriorityDispatchResult.CONTINUE
    if modelled.comment != said.comment:
        table.operations.ops.append(
            CreateTableCommentOp(table.name, modelled.comment, existing_comment=said.comment)
            if modelled.comment
            else DropTableCommentOp(table.name, existing_comment=said.comment)
        )
    return PriorityDispatchResult.CONTINUE


@of_table
def compare_checks(table: TablePlace) -> PriorityDispatchResult:
    """Compare the CHECKs of a table with the revisions; the database spells them in its own way."""
    said, modelled = table.said, table.modelled
    if said is not None and table.migrated is not None and modelled is not None:
        for check in modelled.constraints:
            old = said.checks.get(str(check.name)) if check.name else None
            if (
                isinstance(check, sa.CheckConstraint)
                and old is not None
                and spell_check(old) != spell_check(check)
            ):
                table.operations.ops += [
                    DropConstraintOp.from_constraint(old),
                    # As text: Alembic would add an expression to the models once more.
                    CreateCheckConstraintOp(check.name, table.name, escape(spell_check(check))),
                ]
    return PriorityDispatchResult.CONTINUE


@of_table
def skip_checks(table: TablePlace) -> PriorityDispatchResult:
    """Leave out CHECKs that only seem to be missing or left over.

    A database has none of a type that it knows, such as the booleans of PostgreSQL. And PostgreSQL
    gives names to those of the models that have none.
    """
    dialect = table.context.migration_context.dialect
    constraints = table.modelled.constraints if table.modelled is not None else ()
    checks = [it for it in constraints if isinstance(it, sa.CheckConstraint)]
    needless = {it.name for it in checks if not is_created(it, dialect)}
    has_unnamed = any(not isinstance(it.name, str) for it in checks)
    given = re.compile(rf"{re.escape(table.name)}_(\w+_)?check\d*")

    def is_meant(step: MigrateOperation) -> bool:
        if isinstance(step, CreateCheckConstraintOp):
            return step.constraint_name not in needless
        if isinstance(step, DropConstraintOp) and step.constraint_type == "check":
            return not (has_unnamed and given.fullmatch(str(step.constraint_name)))
        return True

    table.operations.ops = [step for step in table.operations.ops if is_meant(step)]
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
plugin.add_autogenerate_comparator(
    skip_checks, "table", "checkconstraints", priority=DispatchPriority.LAST
)
plugin.add_autogenerate_comparator(compare_indexes, "table", "expressions", qualifier="sqlite")
# Alembic compares the rest first.
plugin.add_autogenerate_comparator(
    compare_options, "table", "indexes", priority=DispatchPriority.LAST
)
plugin.add_autogenerate_comparator(compare_enum, "column", "types", priority=DispatchPriority.FIRST)
plugin.add_autogenerate_comparator(compare_type, "column", "types", priority=DispatchPriority.FIRST)
plugin.add_autogenerate_comparator(compare_comment, "column", "comments", qualifier="sqlite")
plugin.add_autogenerate_comparator(compare_table_comment, "table", "comments", qualifier="sqlite")
