"""Finds required columns that factories and example rows leave out, once and before any test.

Otherwise, a new column without a default would fail every test that makes such a row.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

# Example rows of tables, by the tables' names.
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def require_values(
    config: pytest.Config,
    factories: Iterable[Any],
    make_rows: Callable[[str], Rows] | None,
    metadata: sa.MetaData,
) -> None:
    """End the run if a row would lack a value. To be called in `pytest_configure`.

    Args:
        config: pytest's configuration. Only the process that starts the run checks.
        factories: The classes of factory_boy's `SQLAlchemyModelFactory` that make rows.
        make_rows: Returns the rows of a scenario; of each table in `minimal`, the first one is
            checked. None where there are no scenarios.
        metadata: The tables.

    Raises:
        pytest.UsageError: Values are missing; it names each column and where to add it.
    """
    if hasattr(config, "workerinput"):
        return

    def place(of: Any) -> Path:
        file = Path(inspect.getfile(of))
        return file.relative_to(config.rootpath) if file.is_relative_to(config.rootpath) else file

    places = [
        f"{table}.{column}: add it to {factory.__name__} in {place(factory)}"
        for factory in factories
        for table, column in left_out_by(factory)
    ]
    if make_rows is not None:
        places += [
            f"{name}.{column}: add it to the rows in {place(make_rows)}"
            for name, rows in make_rows("minimal").items()
            for row in rows[:1]
            for column in required(metadata.tables[name]) - row.keys()
        ]
    if places:
        lines = "\n  ".join(sorted(places))
        raise pytest.UsageError(f"these columns need a value, and nothing gives one:\n  {lines}")


def left_out_by(factory: Any) -> Iterator[tuple[sa.FromClause, str]]:
    """Yield the table and the name of each required column that a factory gives no value."""
    mapper = sa.inspect(factory._meta.model)
    given = factory._meta.declarations.keys()
    keys = {name for name in given if name in mapper.columns}
    # A row that is referred to brings its key.
    for relationship in mapper.relationships:
        if relationship.key in given:
            keys |= {column.key for column in relationship.local_columns}
    for column in required(mapper.local_table) - keys:
        yield mapper.local_table, column


def required(table: sa.FromClause) -> set[str]:
    """Return the columns that every new row needs a value for."""
    return {
        column.key
        for column in table.columns
        if not (column.nullable or column.default)
        and column is not getattr(table, "autoincrement_column", None)
        # SQLite numbers primary keys only.
        and (column.server_default is None or isinstance(column.server_default, sa.Identity))
    }
