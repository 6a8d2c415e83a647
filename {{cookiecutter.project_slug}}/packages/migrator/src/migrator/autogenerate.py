"""Options for autogenerate, so that a revision runs on both databases wherever it was written."""

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


def compare_json_default(
    autogen_context: AutogenContext,
    alter_column_op: AlterColumnOp,
    schema: str | None,
    table: str,
    column: str,
    existing: sa.Column[Any],
    wanted: sa.Column[Any],
) -> PriorityDispatchResult:
    """Compare defaults of JSON columns as text, because PostgreSQL cannot compare JSON values."""
    defaults = existing.server_default, wanted.server_default
    if not isinstance(wanted.type, sa.JSON) or not all(
        isinstance(default, sa.DefaultClause) for default in defaults
    ):
        return PriorityDispatchResult.CONTINUE
    before, after = (str(getattr(default, "arg", "")) for default in defaults)
    alter_column_op.existing_server_default = existing.server_default
    if before.partition("::")[0].strip("'") != after.partition("::")[0].strip("'"):
        alter_column_op.modify_server_default = wanted.server_default
    return PriorityDispatchResult.STOP


# A callable `compare_server_default` would do as well, but Alembic fails to call it for computed
# and identity columns.
Plugin("migrator.defaults").add_autogenerate_comparator(
    compare_json_default,
    "column",
    "server_default",
    priority=DispatchPriority.FIRST,
)
