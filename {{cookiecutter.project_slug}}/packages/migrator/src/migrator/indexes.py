"""Warns of what works in a model and gets slow with many rows: foreign keys without an index.

    python -m migrator.indexes app.models:Base

Databases index what a key refers to, not the key itself: without an index, each row that is deleted
from the one table costs a scan of the other.
"""

import sys
from collections.abc import Iterator
from pkgutil import resolve_name

import sqlalchemy as sa


def warnings(metadata: sa.MetaData) -> Iterator[str]:
    """Yield a line for each foreign key that no index begins with."""
    for table in sorted(metadata.tables.values(), key=str):
        firsts = {next(iter(index.expressions)) for index in table.indexes if is_whole(index)}
        for constraint in table.constraints:
            if isinstance(constraint, sa.PrimaryKeyConstraint | sa.UniqueConstraint):
                firsts |= set(list(constraint.columns)[:1])
        for key in table.foreign_key_constraints:
            if firsts.isdisjoint(key.columns):
                names = ", ".join(key.column_keys)
                yield (
                    f"warning: {table.fullname}.{names}: a foreign key without an index makes"
                    f" deleting from {key.referred_table.fullname} slow (add index=True)"
                )


def is_whole(index: sa.Index) -> bool:
    """Return whether an index has all rows of its table."""
    options = (index.dialect_options[name] for name in ("postgresql", "sqlite"))
    return all(option["where"] is None for option in options)


if __name__ == "__main__":
    for line in warnings(resolve_name(sys.argv[1]).metadata):
        print(line)
