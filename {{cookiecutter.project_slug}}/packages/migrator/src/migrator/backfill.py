"""Back-fills: one statement for all rows of a large table, applied in many small transactions.

Each transaction changes the rows of a range of the primary key, and notes in `migration_progress`
where that range ends. So a run that was killed is continued at the next range, and no row is
changed twice. The note goes in the transaction that stores the revision.
"""

import hashlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.runtime.migration import (
    MigrationContext,
    MigrationInfo,
    MigrationStep,
    RevisionStep,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable, DropTable

from migrator.engine import is_deadlock, is_lock_timeout
from migrator.errors import MigrationError
from migrator.history import PROGRESS
from migrator.runs import pauses

log = logging.getLogger(__name__)

HOW_TO = (
    "batched() needs transactions of its own, and this revision runs in one; next: move it to a"
    " revision without other changes, as `with op.get_context().autocommit_block():"
    " batched(STATEMENT)`"
)

# Set on the connection inside the block where it commits nothing.
BLOCK = "inside_autocommit_block"
# The option of Alembic's context that names each call of a revision.
CALLS = "calls_of_batched"
# Set on a connection of a scratch database whose transaction is never committed.
ROLLED_BACK = "rolled_back"

# The columns of the primary key, in its order, with their types.
KEY = sa.text("""
    SELECT quote_ident(attname), format_type(atttypid, atttypmod)
    FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
    WHERE indisprimary AND indrelid = to_regclass(:name)
    -- Columns that the index only includes come after those of the key.
    AND array_position(CAST(indkey AS int2[]), attnum) < indnkeyatts
    ORDER BY array_position(CAST(indkey AS int2[]), attnum)
""")
ESTIMATE = sa.text("SELECT reltuples FROM pg_class WHERE oid = to_regclass(:name)")


def batched(statement: sa.Update | sa.Delete, size: int = 1000) -> None:
    """Apply an UPDATE or DELETE to a large table, `size` rows of the table at a time.

    On PostgreSQL each batch is a transaction, and a later run continues after the last one. On
    SQLite, where a run is one transaction and locks the whole file, it is one statement.

    Args:
        statement: Such as `sa.update(users).values(...).where(...)`. It must not change the primary
            key. Rows that are added meanwhile may be left out.
        size: How many rows of the table, changed or not, a transaction passes.

    Raises:
        MigrationError: It is not inside an `autocommit_block()`, the statement is another one, or
            the table has no primary key.
        sqlalchemy.exc.DBAPIError: A batch failed; those before it stay.
    """
    context = op.get_context()
    if not is_possible(statement, size):
        raise MigrationError(
            "batched() takes sa.update(TABLE) or sa.delete(TABLE), and a size of 1 or more;"
            ' next: name the table with sa.table("users", sa.column("id"), ...)'
        )
    if context.as_sql:
        # Printed SQL has no loops.
        context.impl.static_output(f"-- A run applies this to {size} rows at a time.")
    elif not is_outside_transaction(context):
        raise MigrationError(HOW_TO)
    if context.as_sql or context.dialect.name == "sqlite" or is_rolled_back(context):
        op.execute(statement)
    else:
        Backfill(context, statement, size).run()


def is_possible(statement: object, size: int) -> bool:
    """Return whether a statement can be applied to a part of a table at a time."""
    return isinstance(statement, sa.Update | sa.Delete) and size > 0


def is_outside_transaction(context: MigrationContext) -> bool:
    """Return whether this is inside an `autocommit_block()`."""
    assert context.connection is not None, "it is no --sql"
    options = context.connection.get_execution_options()
    return options.get("isolation_level") == "AUTOCOMMIT" or bool(options.get(BLOCK))


def is_rolled_back(context: MigrationContext) -> bool:
    """Return whether everything that the revisions do on a scratch database is undone."""
    assert context.connection is not None, "it is no --sql"
    return bool(context.connection.get_execution_options().get(ROLLED_BACK))


def stay_in_transaction(context: MigrationContext) -> None:
    """Let an `autocommit_block()` commit nothing, for SQLite and for scratch databases.

    On SQLite nothing needs it, and with the transaction the run would lose the lock on the file.
    """

    @contextmanager
    def block() -> Iterator[None]:
        assert context.connection is not None, "it is no --sql"
        context.connection.execution_options(**{BLOCK: True})
        try:
            yield
        finally:
            context.connection.execution_options(**{BLOCK: False})

    vars(context)["autocommit_block"] = block


def note_steps(context: MigrationContext) -> None:
    """Let `batched()` know which revision calls it, and the number of the call."""
    find_steps = context._migrations_fn
    assert find_steps is not None, "a command runs"

    def steps(heads: tuple[str, ...], _: MigrationContext) -> Iterator[MigrationStep]:
        for step in find_steps(heads, context):
            if isinstance(step, RevisionStep):
                way = "upgrade" if step.is_upgrade else "downgrade"
                context.opts[CALLS] = (f"{step.revision.revision} {way} {it}" for it in count(1))
            yield step

    vars(context)["_migrations_fn"] = steps


def forget_progress(
    *, ctx: MigrationContext, step: MigrationInfo, heads: set[str], **_: Any
) -> None:
    """Remove the notes of back-fills, in the transaction that stores a revision.

    An upgrade leaves those of other revisions, which were interrupted and may come later.
    """
    if ctx.dialect.name != "postgresql" or ctx.as_sql:
        return
    if not heads:
        ctx.execute(DropTable(PROGRESS, if_exists=True))
    elif sa.inspect(ctx.connection).has_table(PROGRESS.name):
        # To drop the table, the run would have to wait for a backup that reads it.
        is_own = PROGRESS.c.statement.startswith(f"{step.up_revision_id} ", autoescape=True)
        ctx.execute(PROGRESS.delete().where(is_own if step.is_upgrade else sa.true()))


class Backfill:
    """A statement on its way through a table of PostgreSQL."""

    def __init__(
        self, context: MigrationContext, statement: sa.Update | sa.Delete, size: int
    ) -> None:
        """Read the primary key."""
        assert context.connection is not None, "it is no --sql"
        self.engine = context.connection.engine
        self.statement = statement
        self.size = size
        assert isinstance(statement.table, sa.TableClause), "it names a table"
        # As the server spells it.
        self.name = context.dialect.identifier_preparer.format_table(statement.table)
        parameters = {"name": self.name}
        # The connection of the run is in no transaction.
        with self.engine.connect() as connection:
            key = connection.execute(KEY, parameters).all()
            self.estimate = int(connection.scalar(ESTIMATE, parameters) or 0)
        if not key:
            raise MigrationError(
                f"{self.name} has no primary key to walk along; next: give it one, or change its"
                " rows in one statement with op.execute()"
            )
        self.columns = [f"{self.name}.{column}" for column, _ in key]
        self.types = [kind for _, kind in key]
        # Without its values: the next run may have others, such as the current time.
        text = str(statement.compile(dialect=context.dialect))
        self.call = f"{next(context.opts[CALLS])} "
        name = self.call + hashlib.sha256(text.encode()).hexdigest()
        # Selects the row with the progress of this statement.
        self.note = PROGRESS.c.statement == name
        self.begin = PROGRESS.insert().values(statement=name, passed=0, last="[]")
        found = context.config and context.config.attributes.get("migrations")
        self.is_on_terminal = bool(getattr(sys.stdout, "isatty", bool)())
        self.tries = (found.lock_tries, found.lock_wait_seconds) if found else (5, 60)

    def run(self) -> None:
        """Apply the statement to all rows that no earlier run has passed."""
        with self.engine.connect() as connection:
            connection.execute(CreateTable(PROGRESS, if_not_exists=True))
            if not connection.scalar(sa.select(sa.func.count()).where(self.note)):
                self.refuse_edited(connection)
                connection.execute(self.begin)
            connection.commit()
            try:
                while self.patiently(lambda: self.apply_batch(connection)):
                    pass
            finally:
                if self.is_on_terminal:
                    print()

    def refuse_edited(self, connection: sa.Connection) -> None:
        """Refuse to go on with another statement than the run before, which changed some rows.

        Raises:
            MigrationError: It was interrupted, and the statement or the form of notes changed.
        """
        is_call = PROGRESS.c.statement.startswith(self.call, autoescape=True)
        # Before 1.0.0, a note did not say which call had written it.
        is_old = ~PROGRESS.c.statement.contains(" ")
        passed = connection.scalar(sa.select(PROGRESS.c.passed).where(is_call | is_old))
        if passed is not None:
            raise MigrationError(
                f"the back-fill of {self.name} was interrupted after about {passed} rows, and its"
                " statement, or the version of migrator, is another one now; next: restore the"
                f" statement, or undo what it did to these rows and empty {PROGRESS.name}"
            )

    def patiently(self, action: Callable[[], bool]) -> bool:
        """Return what an action returns; repeat it while other sessions are in the way."""
        retries = pauses(*self.tries)
        while True:
            try:
                return action()
            except DBAPIError as error:
                if not is_lock_timeout(error) and not is_deadlock(error):
                    raise
                pause = next(retries, None)
                if pause is None:
                    raise
                log.warning("Waiting for rows of %s; trying again in %.1f s.", self.name, pause)
                time.sleep(pause)

    def apply_batch(self, connection: sa.Connection) -> bool:
        """Apply the statement to the next range of the key; return whether rows are left."""
        with connection.begin():
            last, passed = connection.execute(
                sa.select(PROGRESS.c.last, PROGRESS.c.passed).where(self.note)
            ).one()
            if last is None:
                return False
            begin = self.beyond(">", json.loads(last))
            end = connection.execute(self.nth_key(begin)).first()
            statement = self.statement.where(begin)
            if end:
                statement = statement.where(self.beyond("<=", end))
            connection.execute(statement)
            connection.execute(
                PROGRESS.update()
                .where(self.note)
                .values(last=json.dumps([*end]) if end else None, passed=passed + self.size)
            )
        self.show(passed + self.size if end else None)
        return end is not None

    def beyond(self, operator: str, key: Any) -> sa.TextClause:
        """Return the condition that a key is on one side of another, which is given as texts."""
        if not key:
            return sa.text("true")
        # The statement may have parameters of these names for its columns.
        names = [f"batch_{'begin' if operator == '>' else 'end'}_{i}" for i in range(len(key))]
        casts = [f"CAST(:{name} AS {kind})" for name, kind in zip(names, self.types, strict=True)]
        # A colon in a name would begin a parameter.
        columns = ", ".join(self.columns).replace(":", "\\:")
        condition = f"({columns}) {operator} ({', '.join(casts)})"
        return sa.text(condition).bindparams(**dict(zip(names, key, strict=True)))

    def nth_key(self, begin: sa.TextClause) -> sa.Select[Any]:
        """Return the query of the key that ends the next batch, as texts; of none, the last."""
        parts: list[Any] = [sa.literal_column(f"CAST({it} AS text)") for it in self.columns]
        query: sa.Select[Any] = sa.select(*parts).select_from(self.statement.table).where(begin)
        return query.order_by(*map(sa.literal_column, self.columns)).offset(self.size - 1).limit(1)

    def show(self, passed: int | None) -> None:
        """Show on a terminal how many rows were passed; None at the end."""
        if self.is_on_terminal:
            total = f" of about {self.estimate:,}" if self.estimate > 0 else ""
            text = "done" if passed is None else f"{passed:,}{total} rows"
            print(f"\r\033[K  {self.name}: {text}", end="", flush=True)
