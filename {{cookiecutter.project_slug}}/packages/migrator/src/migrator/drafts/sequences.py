"""The sequences that new columns of the models count with, which SQLite has none of."""

import sqlalchemy as sa
from sqlalchemy.schema import CreateSequence, DropSequence

from migrator.drafts.conversions import DIALECT, Schema
from migrator.drafts.enums import PostgreSQLOp


def create(before: Schema, after: Schema, connection: sa.Connection | None) -> list[PostgreSQLOp]:
    """Return what creates the sequences of new columns, unless they are there.

    Those of dropped columns stay: the revisions do not say which sequence a column has.
    """
    old = {(it.table.name, it.name) for it in before.columns}
    found = {
        DIALECT.identifier_preparer.format_sequence(it.default): (it.default, key in old)
        for it in sorted(after.columns, key=lambda it: (it.table.name, it.name) in old)
        for key in [(it.table.name, it.name)]
        if isinstance(it.default, sa.Sequence) and not it.default.optional
    }
    is_known = connection is not None and connection.dialect.supports_sequences
    there = sa.inspect(connection).get_sequence_names() if connection and is_known else []
    return [
        PostgreSQLOp(
            [str(CreateSequence(sequence).compile(dialect=DIALECT))],
            [str(DropSequence(sequence).compile(dialect=DIALECT))],
        )
        for name, (sequence, is_old) in sorted(found.items())
        if not is_old and sequence.name not in there
    ]
