"""Options for autogenerate, so that a revision runs on both databases wherever it was written."""

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
from alembic.util.sqla_compat import is_expression_index
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import False_, True_
from sqlalchemy.sql.functions import now

from migrator.drafts.conversions import DIALECT
from migrator.history import OWN_TABLES
from migrator.parameters import escape

# The databases that revisions run on.
DIALECTS: tuple[sa.Dialect, ...] = (sqlite.dialect(), DIALECT)


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


class PortablePostgresqlImpl(PostgresqlImpl):
    """Alembic's PostgreSQL, which writes expressions as a revision has to say them."""

    # Alembic uses the last class that has this name.
    __dialect__ = "postgresql"

    def render_ddl_sql_expr(self, expr: sa.ClauseElement, *arguments: Any, **options: Any) -> str:
        """Return an expression as it is, and not as its driver reads it, which doubles `%`."""
        preparer = self.dialect.identifier_preparer
        doubles, preparer._double_percents = preparer._double_percents, False
        try:
            sql = super().render_ddl_sql_expr(expr, *arguments, **options)
        finally:
            preparer._double_percents = doubles
        # An expression of an index is written as a `literal_column`, where colons mean nothing.
        return sql if options.get("is_index") else escape(sql)

    def _compile_element(self, element: sa.ClauseElement | str) -> str:
        """Return an expression of an index; one that was read has colons, and no parameters."""
        if isinstance(element, sa.TextClause) and element._bindparams:
            element = sa.text(escape(element.text))
        return super()._compile_element(element)


POSTGRESQL = PortablePostgresqlImpl(
    DIALECT,
    connection=None,
    as_sql=False,
    transactional_ddl=None,
    output_buffer=None,
    context_opts={},
)


class ComparingSQLiteImpl(SQLiteImpl):
    """Alembic's SQLite, which knows types of PostgreSQL and leaves expressions to migrator."""

    # What a revision calls the type of a column that it alters, by table and column.
    said_types: dict[tuple[str, str], sa.types.TypeEngine[Any]]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin without types."""
        super().__init__(*arguments, **options)
        self.said_types = {}

    def render_type(
        self, type_: sa.types.TypeEngine[Any], autogen_context: AutogenContext
    ) -> str | Literal[False]:
        """Render a type of PostgreSQL, which may be the variant of another, as its Alembic does."""
        found = super().render_type(type_, autogen_context)
        return found or POSTGRESQL.render_type(type_, autogen_context)

    def render_ddl_sql_expr(self, expr: sa.ClauseElement, *arguments: Any, **options: Any) -> str:
        """Return an expression as the text of a revision, whose colons begin no parameter."""
        if options.get("is_index") and not isinstance(expr, sa.ColumnClause):
            expr = expr.self_group()  # PostgreSQL needs the brackets
        sql = super().render_ddl_sql_expr(expr, *arguments, **options)
        return sql if options.get("is_index") else escape(sql)

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


SQLITE = ComparingSQLiteImpl(
    sqlite.dialect(),
    connection=None,
    as_sql=False,
    transactional_ddl=None,
    output_buffer=None,
    context_opts={},
)


def is_other_type(old: sa.Column[Any], new: sa.Column[Any]) -> bool:
    """Return whether the types of two columns differ on either database."""
    for impl in (SQLITE, POSTGRESQL):
        kinds = [it.type.dialect_impl(impl.dialect) for it in (old, new)]
        if len({getattr(it, "collation", None) for it in kinds}) > 1:
            return True
        # A type of the other database alone is compared there.
        with suppress(sa.exc.CompileError):
            if impl.compare_type(old, new):
                return True
    return False


def render_item(kind: str, item: Any, autogen_context: AutogenContext) -> str | Literal[False]:
    """Render types and defaults portably; False leaves an item to Alembic.

    A `TypeDecorator` becomes the type that it decorates, because a revision must not import the
    application. Alembic would render defaults as the current database spells them: SQLite's
    `DEFAULT 1` for a boolean fails on PostgreSQL, and PostgreSQL's `now()` fails on SQLite.
    """
    if kind == "type" and isinstance(item, sa.types.TypeDecorator) and not is_sqlalchemys(item):
        found = _repr_type(decorated_type(item), autogen_context)
        return found + render_variants(item, autogen_context)
    if (
        kind == "type"
        and isinstance(item, sa.Enum)
        and item.native_enum
        and autogen_context.opts["record"] is not None
    ):
        # The draft creates the type itself.
        created = (
            f"sa.{item!r}"[:-1] + ", create_type=False)" if item.create_type else f"sa.{item!r}"
        )
        return created + render_variants(item, autogen_context)
    if kind == "server_default" and isinstance(item, sa.DefaultClause):
        match item.arg:
            case True_():
                return "sa.true()"
            case False_():
                return "sa.false()"
            case now():
                return "sa.func.now()"
    return False


def copy_with_variants(enum: sa.Enum, **options: Any) -> sa.Enum:
    """Return a copy of an enum; SQLAlchemy's own loses a part, in drafts and within revisions."""
    copied: sa.Enum = sa.types.SchemaType.copy(enum, **options)  # type: ignore[no-untyped-call]
    copied._variant_mapping, copied.create_type = enum._variant_mapping, enum.create_type
    return copied


sa.Enum.copy = copy_with_variants  # type: ignore[assignment,method-assign]


def render_variants(item: sa.types.TypeEngine[Any], autogen_context: AutogenContext) -> str:
    """Return the calls that give a type its variants."""
    return "".join(
        f".with_variant({_repr_type(variant, autogen_context)}, {name!r})"
        for name, variant in sorted(item._variant_mapping.items())
    )


def is_sqlalchemys(item: sa.types.TypeEngine[Any]) -> bool:
    """Return whether a type is one of SQLAlchemy's own, such as `sa.Interval`."""
    return type(item).__module__.startswith("sqlalchemy.")


def decorated_type(decorator: sa.types.TypeDecorator[Any]) -> sa.types.TypeEngine[Any]:
    """Return the type that a `TypeDecorator` has in SQL, and variants where databases differ."""
    found: sa.types.TypeEngine[Any] = decorator.impl_instance
    for dialect in DIALECTS:
        if dialect.name in decorator._variant_mapping:
            continue
        own = decorator.load_dialect_impl(dialect)
        if spell(own, dialect) != spell(found, dialect):
            # SQLAlchemy adapts types to a driver, in classes of its own.
            nearest = generic(own)
            is_same = spell(nearest, dialect) == spell(own, dialect)
            found = found.with_variant(nearest if is_same else own, dialect.name)
    return found


def generic(item: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """Return the generic type that is nearest to one of a database; itself, if there is none."""
    if isinstance(item, postgresql.ENUM):  # SQLAlchemy would leave out its name
        return sa.Enum(*item.enums, name=item.name, schema=item.schema)
    # SQLAlchemy says by this error that a type, such as INET of PostgreSQL, has no generic one.
    with suppress(NotImplementedError):
        return item.as_generic()
    return item


def spell(item: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> str | None:
    """Return a type in the SQL of a database; None if this has no such type."""
    try:
        return item.compile(dialect=dialect)
    except sa.exc.CompileError:
        return None
