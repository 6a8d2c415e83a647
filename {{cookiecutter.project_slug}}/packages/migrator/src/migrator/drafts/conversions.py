"""Changes the type of a column on PostgreSQL where the server alone would refuse.

It casts values by itself only where nothing can go wrong, a default never, and it compares an enum
with nothing else: CHECKs and indexes that do have to be away while the type changes.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic.util.sqla_compat import is_expression_index
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, DropIndex

# Its statements are texts of revisions: the style of other drivers doubles each `%`.
DIALECT: sa.Dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]


class Part(NamedTuple):
    """A constraint, or an index that has more than columns, with the statements that make it."""

    table: str
    create: str
    drop: str


class Schema(NamedTuple):
    """What a conversion has to know of a schema."""

    columns: list[sa.Column[Any]]
    parts: list[Part]  # what may use them in an expression
    keys: list[Part]  # the foreign keys

    def using(self, columns: Iterable[sa.Column[Any]]) -> list[Part]:
        """Return the parts that name one of these columns."""
        return naming(columns, self.parts)

    def keys_on(self, columns: Iterable[sa.Column[Any]]) -> list[Part]:
        """Return the foreign keys of these columns."""
        return naming(columns, self.keys)

    def converting(self, old: sa.Column[Any], new: sa.Column[Any], via: str) -> list[str]:
        """Return the statements that change a column of this schema into another of its name."""
        change = convert(new, via, has_default=old.server_default is not None)
        return without(self.using([old]), [change])


def is_created(check: sa.CheckConstraint, dialect: sa.Dialect) -> bool:
    """Return whether a database has a CHECK; that of a type only where it lacks the type."""
    rule: Any = check._create_rule
    return rule is None or bool(rule(dialect.statement_compiler(dialect, None)))


def naming(columns: Iterable[sa.Column[Any]], parts: Iterable[Part]) -> list[Part]:
    """Return the parts that name one of these columns of their table."""
    wanted = [(it.table.name, rf"\b{re.escape(it.name)}\b") for it in columns]
    return [
        part
        for part in parts
        if any(part.table == table and re.search(name, part.create) for table, name in wanted)
    ]


def enum_type(column: sa.Column[Any]) -> postgresql.ENUM | None:
    """Return the type of a column on PostgreSQL if it is an enum, or that of an array of enums."""
    found = column.type.dialect_impl(DIALECT)
    if isinstance(found, sa.types.TypeDecorator):
        found = found.impl_instance.dialect_impl(DIALECT)
    if isinstance(found, sa.ARRAY):
        found = found.item_type.dialect_impl(DIALECT)
    return found if isinstance(found, postgresql.ENUM) else None


def way(old: sa.Column[Any], new: sa.Column[Any]) -> str:
    """Return the type by which values of one column become those of another.

    It is empty where PostgreSQL casts by itself, or not at all.
    """
    before, after = (it.type.compile(dialect=DIALECT) for it in (old, new))
    kinds = [it.type.dialect_impl(DIALECT)._type_affinity for it in (old, new)]
    if before == after:
        return ""
    is_text = [it is sa.String for it in kinds]
    if enum_type(old) or enum_type(new) or is_text == [True, False]:
        return "text"
    if is_text == [False, True] and old.server_default is not None:
        return "text"
    is_number = {sa.Integer, sa.Numeric, sa.Float} & {*kinds}
    return "integer" if sa.Boolean in kinds and is_number else ""


def default_of(column: sa.Column[Any]) -> str | None:
    """Return the default of a column as PostgreSQL has it."""
    compiler = DIALECT.ddl_compiler(DIALECT, None)  # type: ignore[arg-type]
    return compiler.get_column_default_string(column)


def parts_of(checks: Iterable[sa.Constraint], indexes: Iterable[sa.Index]) -> Iterator[Part]:
    """Yield those that are no matter of their columns alone; the type of one has its own CHECK."""
    for check in checks:
        is_check = isinstance(check, sa.CheckConstraint) and not check._type_bound
        if is_check and isinstance(check.name, str):
            yield part_of(check)
    for index in indexes:
        has_condition = index.dialect_options["postgresql"]["where"] is not None
        if index.table is not None and (has_condition or is_expression_index(index)):
            yield Part(index.table.name, spell(CreateIndex(index)), spell(DropIndex(index)))


def keys_of(constraints: Iterable[sa.Constraint]) -> Iterator[Part]:
    """Yield the foreign keys that have a name."""
    for key in constraints:
        if isinstance(key, sa.ForeignKeyConstraint) and isinstance(key.name, str):
            yield part_of(key)


def part_of(constraint: sa.Constraint) -> Part:
    """Return a constraint with the statements that make it."""
    quote = DIALECT.identifier_preparer
    definition = DIALECT.ddl_compiler(DIALECT, None).process(constraint)  # type: ignore[arg-type]
    alter = f"ALTER TABLE {quote.format_table(constraint.table)}"
    drop = f"{alter} DROP CONSTRAINT {quote.format_constraint(constraint)}"
    return Part(constraint.table.name, f"{alter} ADD {definition}", drop)


def without(parts: Iterable[Part], statements: Iterable[str]) -> list[str]:
    """Return statements that run while parts are away."""
    parts = list(parts)
    return [*(it.drop for it in parts), *statements, *(it.create for it in parts)]


def spell(statement: CreateIndex | DropIndex) -> str:
    """Return a statement as PostgreSQL has it in a transaction."""
    return re.sub(r"(?<=INDEX )CONCURRENTLY ", "", str(statement.compile(dialect=DIALECT)), count=1)


def convert(column: sa.Column[Any], via: str = "text", *, has_default: bool = False) -> str:
    """Return the statement that gives a column its type and default; rows that do not fit fail.

    Args:
        column: The column as it will be.
        via: The type between the old one and the new one.
        has_default: Whether it has a default so far.
    """
    quote = DIALECT.identifier_preparer
    name, kind = quote.format_column(column), column.type.compile(dialect=DIALECT)
    via = f"{via}[]" if kind.endswith("[]") else via
    alter = f"ALTER COLUMN {name}"
    changes = [f"{alter} TYPE {kind} USING {name}::{via}::{kind}"]
    if has_default:
        changes.insert(0, f"{alter} DROP DEFAULT")
    if (default := default_of(column)) is not None:
        changes.append(f"{alter} SET DEFAULT {default}")
    return f"ALTER TABLE {quote.format_table(column.table)} {', '.join(changes)}"
