"""How autogenerate compares server defaults: with three exceptions, as Alembic does.

They are a plugin: Alembic fails on generated columns where `compare_server_default` is a function.
"""

import re
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import AlterColumnOp
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult

PLUGINS = ["alembic.autogenerate.*", "placeholder_service.comparison"]


def compare_default(
    context: AutogenContext,
    operation: AlterColumnOp,
    schema: str | None,
    table: str,
    name: str,
    migrated: sa.Column[Any],
    modelled: sa.Column[Any],
) -> PriorityDispatchResult:
    """Compare what Alembic cannot, and leave the rest to it."""
    old, new = migrated.server_default, modelled.server_default
    if isinstance(new, sa.Identity):
        # SQLite numbers its primary keys without one, so it never has the one of the model.
        is_known = context.dialect is not None and context.dialect.supports_identity_columns
        return PriorityDispatchResult.CONTINUE if is_known else PriorityDispatchResult.STOP
    if isinstance(old, sa.Computed) and isinstance(new, sa.Computed):
        # Alembic compares spellings, and PostgreSQL spells an expression in its own way.
        # tests/migrations/test_revisions.py compares them for certain.
        return PriorityDispatchResult.STOP
    if isinstance(modelled.type, sa.JSON):
        # Alembic asks the database, and PostgreSQL has no equality for JSON.
        operation.existing_server_default = old
        if text_of(old) != text_of(new):
            operation.modify_server_default = new
        return PriorityDispatchResult.STOP
    return PriorityDispatchResult.CONTINUE


def text_of(default: object) -> str:
    """Return the SQL of a default without the cast that PostgreSQL adds; nothing for no default."""
    if not isinstance(default, sa.DefaultClause):
        return ""
    text = default.arg if isinstance(default.arg, str) else str(default.arg)
    return re.sub(r"::jsonb?$", "", text).strip("'")


Plugin("placeholder_service.comparison").add_autogenerate_comparator(
    compare_default, "column", "server_default", priority=DispatchPriority.FIRST
)
