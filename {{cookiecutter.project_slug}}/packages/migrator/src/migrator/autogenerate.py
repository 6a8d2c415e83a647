"""Options for autogenerate, so that a revision runs on both databases wherever it was written."""

import re
from collections.abc import MutableMapping
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _repr_type
from alembic.operations.ops import AlterColumnOp
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy.sql.elements import False_, True_
from sqlalchemy.sql.functions import now

from migrator.history import HISTORY

PLUGINS = ["alembic.autogenerate.*", "migrator.defaults"]


def include_name(name: str | None, kind: str, parents: MutableMapping[Any, Any]) -> bool:
    """Hide the history of migrations, which is not a table of the models."""
    return (kind, name) != ("table", HISTORY.name)


def render_item(kind: str, item: Any, autogen_context: AutogenContext) -> str | Literal[False]:
    """Render types and defaults portably; False leaves an item to Alembic.

    A `TypeDecorator` becomes the type that it decorates, because a revision must not import the
    application. Alembic would render defaults as the current database spells them: SQLite's
    `DEFAULT 1` for a boolean fails on PostgreSQL, and PostgreSQL's `now()` fails on SQLite.
    """
    if kind == "type" and isinstance(item, sa.types.TypeDecorator):
        return _repr_type(item.impl_instance, autogen_context)
    if kind == "server_default" and isinstance(item, sa.DefaultClause):
        match item.arg:
            case True_():
                return "sa.true()"
            case False_():
                return "sa.false()"
            case now():
                return "sa.func.now()"
    return False


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
    if isinstance(modelled.type, sa.JSON):
        # Alembic asks the database, and PostgreSQL has no equality for JSON.
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
    return re.sub(r"::jsonb?$", "", text).strip("'")


# A plugin, because Alembic fails on generated columns if `compare_server_default` is a function.
Plugin("migrator.defaults").add_autogenerate_comparator(
    compare_default, "column", "server_default", priority=DispatchPriority.FIRST
)
