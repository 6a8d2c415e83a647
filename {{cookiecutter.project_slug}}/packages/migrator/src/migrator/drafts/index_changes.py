"""Compares, for autogenerate, what Alembic does not see of an index."""

from typing import Any

import sqlalchemy as sa
from alembic.operations.ops import CreateIndexOp, DropIndexOp
from alembic.util import PriorityDispatchResult
from alembic.util.sqla_compat import is_expression_index

from migrator.drafts.autogenerate import DIALECTS
from migrator.drafts.places import TablePlace, of_table
from migrator.tabletext import tokenize, without_brackets

# How an index is made, and not what it is.
OPTIONS_OF_STATEMENTS = {"concurrently"}
DEFAULTS: tuple[Any, ...] = (None, False, "btree", [], (), {})

# SQLAlchemy does not read the indexes with a column that is an expression.
INDEXES = sa.text("""
    SELECT name, sql, EXISTS (
        SELECT 1 FROM pragma_index_xinfo(sqlite_master.name) WHERE cid = -2
    ) AS is_expression
    FROM sqlite_master WHERE type = 'index' AND tbl_name = :table
""")


@of_table
def compare_indexes(table: TablePlace) -> PriorityDispatchResult:
    """Compare the indexes on expressions of SQLite by name, because SQLAlchemy cannot read them."""
    connection = table.context.connection
    assert connection is not None, "autogenerate compares with a database"
    rows = connection.execute(INDEXES, {"table": table.name})
    found = {} if table.migrated is None else {row.name: row for row in rows}
    wanted = {} if table.modelled is None else {str(it.name): it for it in table.modelled.indexes}
    table.operations.ops += [
        CreateIndexOp.from_index(index)
        for key, index in wanted.items()
        if key not in found and is_expression_index(index)
    ]
    for key, row in found.items():
        is_wanted = key in wanted and is_expression_index(wanted[key])
        if row.is_expression and not is_wanted:
            # A draft writes it back in the words of the revision that made it.
            index = sa.Index(key, sa.text(row.sql), _table=table.migrated)
            table.operations.ops.append(DropIndexOp.from_index(index))
    return PriorityDispatchResult.CONTINUE


@of_table
def compare_options(table: TablePlace) -> PriorityDispatchResult:
    """Compare options of indexes, such as a condition, with what the revisions say.

    On SQLite, also expressions and orders.
    """
    said, modelled, steps = table.said, table.modelled, table.operations.ops
    if said is None or table.migrated is None or modelled is None:
        return PriorityDispatchResult.CONTINUE
    seen = {it.index_name for it in steps if isinstance(it, CreateIndexOp | DropIndexOp)}
    is_sqlite = table.context.migration_context.dialect.name == "sqlite"
    for index in sorted(modelled.indexes, key=lambda it: str(it.name)):
        created = said.indexes.get(str(index.name))
        if created is None or index.name in seen:
            continue
        old = created.to_index()
        is_same = is_alike(options(old), options(index))
        if is_sqlite:
            is_same = is_same and is_alike([*old.expressions], [*index.expressions])
        if not is_same:
            steps += [DropIndexOp.from_index(old), CreateIndexOp.from_index(index)]
    return PriorityDispatchResult.CONTINUE


def options(index: sa.Index) -> dict[str, Any]:
    """Return the options of an index that are no defaults, on each database."""
    return {
        f"{dialect.name}_{key}": value
        for dialect in DIALECTS
        for key, value in index.dialect_options[dialect.name].items()
        if key not in OPTIONS_OF_STATEMENTS
        and (isinstance(value, sa.ClauseElement) or value not in DEFAULTS)
    }


def is_alike(old: Any, new: Any) -> bool:
    """Return whether values say the same in the SQL of one database."""
    return any(spell(old, it) == spell(new, it) for it in DIALECTS)


def spell(value: Any, dialect: sa.Dialect) -> Any:
    """Return a value with SQL in place of its expressions."""
    if isinstance(value, sa.Column):
        return value.name
    if isinstance(value, sa.ClauseElement):
        rules = {"literal_binds": True, "include_table": False}
        sql = str(value.compile(dialect=dialect, compile_kwargs=rules))
        parts = tuple(part for part in tokenize(f"({sql})") if not part.isspace())
        return " ".join(without_brackets(parts))
    if isinstance(value, dict):
        return {spell(key, dialect): spell(it, dialect) for key, it in value.items()}
    if isinstance(value, list | tuple):
        return [spell(it, dialect) for it in value]
    return value
