"""Options for autogenerate, so that a revision runs on both databases wherever it was written."""

import re
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _repr_type
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations.ops import (
    AlterColumnOp,
    CreateCheckConstraintOp,
    CreateIndexOp,
    CreateTableCommentOp,
    DropConstraintOp,
    DropIndexOp,
    DropTableCommentOp,
    ModifyTableOps,
)
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from alembic.util.sqla_compat import is_expression_index
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import False_, True_
from sqlalchemy.sql.functions import now

from migrator.enums import DIALECT, enum_of
from migrator.history import OWN_TABLES

# The databases that revisions run on.
DIALECTS: tuple[sa.Dialect, ...] = (sqlite.dialect(), DIALECT)

PLUGINS = ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname", "migrator"]


# SQLAlchemy does not read the indexes with a column that is an expression.
INDEXES = sa.text("""
    SELECT name, sql, EXISTS (
        SELECT 1 FROM pragma_index_xinfo(sqlite_master.name) WHERE cid = -2
    ) AS is_expression
    FROM sqlite_master WHERE type = 'index' AND tbl_name = :table
""")


# Tables that the database makes for itself or for an extension: partitions, and what belongs to a
# virtual table or a materialized view. What ClickHouse lists besides tables.
UNMANAGED = {
    "clickhousedb": """
        SELECT name FROM system.tables WHERE database = currentDatabase()
        AND (engine LIKE '%View' OR engine = 'Dictionary' OR startsWith(name, '.inner'))
    """,
    "sqlite": """
        SELECT name FROM pragma_table_list WHERE type IN ('shadow', 'virtual')
    """,
    "postgresql": """
        SELECT relname FROM pg_class WHERE relispartition AND relkind IN ('r', 'p') OR EXISTS (
            SELECT FROM pg_depend
            WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
        )
    """,
}


class TableFilter:
    """Hides tables that are not for the models to have, as an `include_name` of Alembic."""

    def __init__(self, connection: sa.Connection | None) -> None:
        """Read nothing yet: until `context.configure`, nothing may be executed."""
        self.connection = connection

    def __call__(self, name: str | None, kind: str, parents: MutableMapping[Any, Any]) -> bool:
        """Return whether to compare a name. The models decide about what they have."""
        if kind != "table":
            return True
        key = parents["schema_qualified_table_name"]
        return name not in OWN_TABLES and (name not in self.unmanaged or key in modelled_tables())

    @cached_property
    def unmanaged(self) -> set[str]:
        """The names of the tables that the database makes."""
        assert self.connection is not None, "autogenerate compares with a database"
        query = UNMANAGED[self.connection.dialect.name]
        return set(self.connection.execute(sa.text(query)).scalars())


def modelled_tables() -> set[str]:
    """Return the names of all tables of the models."""
    metadata = context.get_context().opts["target_metadata"]
    every = metadata if isinstance(metadata, Sequence) else [metadata]
    return {name for each in every for name in each.tables}


POSTGRESQL = PostgresqlImpl(
    DIALECT,
    connection=None,
    as_sql=False,
    transactional_ddl=None,
    output_buffer=None,
    context_opts={},
)


class ComparingSQLiteImpl(SQLiteImpl):
    """Alembic's SQLite, which knows types of PostgreSQL and leaves expressions to migrator."""

    def render_type(
        self, type_: sa.types.TypeEngine[Any], autogen_context: AutogenContext
    ) -> str | Literal[False]:
        """Render a type of PostgreSQL, which may be the variant of another, as its Alembic does."""
        found = super().render_type(type_, autogen_context)
        return found or POSTGRESQL.render_type(type_, autogen_context)

    def correct_for_autogen_constraints(
        self,
        conn_unique_constraints: set[sa.UniqueConstraint],
        conn_indexes: set[sa.Index],
        metadata_unique_constraints: set[sa.UniqueConstraint],
        metadata_indexes: set[sa.Index],
    ) -> None:
        """Leave indexes on expressions to `compare_indexes`."""
        skipped = {index.name for index in metadata_indexes if is_expression_index(index)}
        for indexes in (conn_indexes, metadata_indexes):
            indexes -= {index for index in indexes if index.name in skipped}


def render_item(kind: str, item: Any, autogen_context: AutogenContext) -> str | Literal[False]:
    """Render types and defaults portably; False leaves an item to Alembic.

    A `TypeDecorator` becomes the type that it decorates, because a revision must not import the
    application. Alembic would render defaults as the current database spells them: SQLite's
    `DEFAULT 1` for a boolean fails on PostgreSQL, and PostgreSQL's `now()` fails on SQLite.
    """
    if kind == "type" and isinstance(item, sa.types.TypeDecorator) and not is_sqlalchemys(item):
        return _repr_type(decorated_type(item), autogen_context)
    if (
        kind == "type"
        and isinstance(item, sa.Enum)
        and item.native_enum
        and autogen_context.opts["record"] is not None
    ):
        # The draft creates the type itself.
        return (
            f"sa.{item!r}" if not item.create_type else f"sa.{item!r}"[:-1] + ", create_type=False)"
        )
    if kind == "server_default" and isinstance(item, sa.DefaultClause):
        match item.arg:
            case True_():
                return "sa.true()"
            case False_():
                return "sa.false()"
            case now():
                return "sa.func.now()"
    return False


def is_sqlalchemys(item: sa.types.TypeEngine[Any]) -> bool:
    """Return whether a type is one of SQLAlchemy's own, such as `sa.Interval`."""
    return type(item).__module__.startswith("sqlalchemy.")


def decorated_type(decorator: sa.types.TypeDecorator[Any]) -> sa.types.TypeEngine[Any]:
    """Return the type that a `TypeDecorator` has in SQL, and variants where databases differ."""
    found: sa.types.TypeEngine[Any] = decorator.impl_instance
    for dialect in DIALECTS:
        own = decorator.load_dialect_impl(dialect)
        if spell(own, dialect) != spell(found, dialect):
            # SQLAlchemy adapts types to a driver, in classes of its own. `as_generic` raises
            # NotImplementedError for a type that has no generic one: the driver's is used then.
            with suppress(NotImplementedError):
                generic = own.as_generic()
                own = generic if spell(generic, dialect) == spell(own, dialect) else own
            found = found.with_variant(own, dialect.name)
    return found


def spell(item: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> str | None:
    """Return a type in the SQL of a database; None if this has no such type."""
    try:
        return item.compile(dialect=dialect)
    except sa.exc.CompileError:
        return None


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


def compare_enum(
    context: AutogenContext,
    operation: AlterColumnOp,
    schema: str | None,
    table: str,
    name: str,
    migrated: sa.Column[Any],
    modelled: sa.Column[Any],
) -> PriorityDispatchResult:
    """Compare the members of an enum, of which Alembic compares the name."""
    wanted = enum_of(modelled)
    if isinstance(migrated.type, postgresql.ENUM) and wanted is not None:
        operation.existing_type = migrated.type
        if migrated.type.name == wanted.name and migrated.type.enums != wanted.enums:
            operation.modify_type = modelled.type
            return PriorityDispatchResult.STOP
    return PriorityDispatchResult.CONTINUE


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
                    CreateCheckConstraintOp(check.name, name, spell_check(check)),
                ]
    return PriorityDispatchResult.CONTINUE


def spell_check(check: sa.CheckConstraint) -> str:
    """Return the condition of a CHECK."""
    return str(
        check.sqltext.compile(compile_kwargs={"literal_binds": True, "include_table": False})
    )


def compare_indexes(
    context: AutogenContext,
    operations: ModifyTableOps,
    schema: str | None,
    name: str,
    migrated: sa.Table | None,
    modelled: sa.Table | None,
) -> PriorityDispatchResult:
    """Compare the indexes on expressions of SQLite by name, because SQLAlchemy cannot read them."""
    assert context.connection is not None, "autogenerate compares with a database"
    rows = context.connection.execute(INDEXES, {"table": name})
    found = {} if migrated is None else {row.name: row for row in rows}
    wanted = {} if modelled is None else {str(it.name): it for it in modelled.indexes}
    operations.ops += [
        CreateIndexOp.from_index(index)
        for key, index in wanted.items()
        if key not in found and is_expression_index(index)
    ]
    for key, row in found.items():
        if key not in wanted and row.is_expression:
            # A draft writes it back in the words of the revision that made it.
            index = sa.Index(key, sa.text(row.sql), _table=migrated)
            operations.ops.append(DropIndexOp.from_index(index))
    return PriorityDispatchResult.CONTINUE


# A plugin, because Alembic fails on generated columns if `compare_server_default` is a function.
plugin = Plugin("migrator")
plugin.add_autogenerate_comparator(
    compare_default, "column", "server_default", priority=DispatchPriority.FIRST
)
plugin.add_autogenerate_comparator(compare_checks, "table", "checks")
plugin.add_autogenerate_comparator(compare_indexes, "table", "expressions", qualifier="sqlite")
plugin.add_autogenerate_comparator(
    compare_enum, "column", "types", qualifier="postgresql", priority=DispatchPriority.FIRST
)
plugin.add_autogenerate_comparator(compare_comment, "column", "comments", qualifier="sqlite")
plugin.add_autogenerate_comparator(compare_table_comment, "table", "comments", qualifier="sqlite")
