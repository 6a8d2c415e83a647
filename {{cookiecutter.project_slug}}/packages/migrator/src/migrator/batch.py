"""Lets SQLite rebuild tables without losing anything; importing this module is enough.

In a batch, Alembic makes a new table, copies the rows, and drops the old table: with its triggers,
its indexes, and all that SQLAlchemy does not read of it. Here, the new table keeps whatever the
batch does not change. What cannot be kept fails the run.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import sqlalchemy as sa
from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations.batch import ApplyBatchImpl
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Index, MetaData, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import NullType, UserDefinedType

from migrator.drafts.autogenerate import ComparingSQLiteImpl, spell
from migrator.parameters import parameters, refusing_unbound
from migrator.stored_values import Convert, convert_unless_null, find_conversion
from migrator.tabletext import (
    Words,
    merge,
    quote,
    rename_columns,
    rename_referred,
    tokenize,
    word,
    words,
)

# What Alembic and SQLAlchemy say of parts that they do not see. A rebuild keeps them.
UNSEEN = ("Unnamed CHECK constraint on reflected table", "Skipped unsupported reflection of expr")
CREATE = re.compile(
    r"\s*CREATE\s+(?:UNIQUE\s+)?(TRIGGER|INDEX)\s+(?:IF\s+NOT\s+EXISTS\s+)?(\S+)",
    re.IGNORECASE,
)


def rename_in_index(sql: str, names: Mapping[str, str]) -> str:
    """Return the text of an index with other names for columns."""
    start = sql.index("(")
    return sql[:start] + rename_columns(sql[start:], names, 0)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Leave out warnings of losses that do not happen."""
    with warnings.catch_warnings():
        for message in UNSEEN:
            warnings.filterwarnings("ignore", message)
        yield


class NoType(UserDefinedType[Any]):
    """The type of a column without one."""

    def get_col_spec(self, **_: Any) -> str:
        """Return how it is written."""
        return ""


class Rebuild:
    """The rebuild of one table: what it has before, and what of it the new table gets."""

    def __init__(
        self, impl: SQLiteImpl, batch: ApplyBatchImpl, table: Table, collated: frozenset[str]
    ) -> None:
        """Read the table; nothing is changed yet.

        Args:
            impl: The database.
            batch: What Alembic does.
            table: The table as it is.
            collated: The columns that lose their type with its collation.

        Raises:
            RuntimeError: It is a virtual table, of which the rebuild would make a plain one.
        """
        assert impl.connection is not None, "it is no --sql"
        self.connection: Connection = impl.connection
        self.batch = batch  # what Alembic does
        self.name = str(table.name)
        rows = self.connection.exec_driver_sql(
            "SELECT type, name, sql FROM sqlite_master"
            " WHERE tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL ORDER BY rowid",
            (self.name,),
        ).all()
        old = next((sql for kind, _, sql in rows if kind == "table"), "")
        # SQLAlchemy takes colons in defaults and CHECKs that it reads for parameters.
        self.texts = parameters(old)
        if words(tokenize(old))[:2] == ("create", "virtual"):
            raise RuntimeError(f"{self.name} is a virtual table, which no batch can change")
        renamed = {
            key.lower(): str(column.name)
            for key, column in batch.columns.items()
            if key != column.name
        }
        read = self.as_read(impl)
        dropped = {str(name).lower() for name in read.columns} - {
            key.lower() for key in batch.columns
        }
        self.definition = self.sql(batch.new_table)  # the text that creates the new table
        if batch.reflected:
            # A table may refer to itself.
            own = rename_referred(old, self.name, renamed)
            self.definition = merge(
                own, self.sql(read.new_table), self.definition, renamed, collated
            )
        # The text of each other table whose keys lead to a renamed column, by its name.
        self.referring = self.find_referring(renamed)
        unseen_or_kept = read.indexes.keys() - batch.indexes.keys()
        # The text of each index that stays, by its name.
        self.indexes = {
            name: rename_in_index(sql, renamed)
            for kind, name, sql in rows
            if kind == "index"
            and name not in unseen_or_kept
            and not dropped & {word(token) for token in tokenize(sql[sql.index("(") :])}
        }
        # The text of each, by its name.
        self.triggers = {name: sql for kind, name, sql in rows if kind == "trigger"}
        self.sequence = self.read_sequence()

    def as_read(self, impl: SQLiteImpl) -> ApplyBatchImpl:
        """Return a batch that changes nothing."""
        listeners = [("column_reflect", impl.autogen_column_reflect)]
        with without_warnings():
            table = Table(
                self.name,
                MetaData(),
                autoload_with=self.connection,
                listeners=listeners,
            )
            batch = ApplyBatchImpl(impl, table, (), {}, reflected=True)
        batch._transfer_elements_to_new_table()
        return batch

    def sql(self, table: Table | None) -> str:
        """Return how SQLAlchemy creates a table."""
        assert table is not None
        for column in table.columns:
            if isinstance(column.type, NullType):
                column.type = NoType()
        dialect = self.connection.dialect
        with refusing_unbound(dialect, self.texts):
            return str(CreateTable(table).compile(dialect=dialect)).strip()

    def find_referring(self, renamed: Mapping[str, str]) -> dict[str, str]:
        """Return the new texts of tables whose keys name a renamed column of this one."""
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL"
        tables = self.connection.exec_driver_sql(query).all() if renamed else ()
        changed = {name: (sql, rename_referred(sql, self.name, renamed)) for name, sql in tables}
        return {
            name: new
            for name, (old, new) in changed.items()
            if new != old and name.lower() != self.name.lower()
        }

    def read_sequence(self) -> int | None:
        """Return the last number that AUTOINCREMENT gave; None without it."""
        if not re.search(r"\bAUTOINCREMENT\b", self.definition, re.IGNORECASE):
            return None
        query = "SELECT seq FROM sqlite_sequence WHERE name = ?"
        return self.connection.exec_driver_sql(query, (self.name,)).scalar()

    def finish(self) -> None:
        """Create indexes and triggers again, and check that all triggers and views still work."""
        run = self.connection.exec_driver_sql
        if self.sequence is not None:
            run("DELETE FROM sqlite_sequence WHERE name = ?", (self.name,))
            values = (self.name, self.sequence)
            run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", values)
        for sql in [*self.indexes.values(), *self.triggers.values()]:
            run(sql)
        if self.referring:
            # SQLite itself changes them so where it renames a column without a rebuild.
            run("PRAGMA writable_schema = ON")
            for name, sql in self.referring.items():
                run(
                    "UPDATE sqlite_master SET sql = ? WHERE type = 'table' AND name = ?",
                    (sql, name),
                )
            run("PRAGMA writable_schema = RESET")
        # SQLite looks at all views when it renames a column, and at most of each trigger.
        column = quote(str(next(iter(self.batch.columns.values())).name))
        self.attempt(f"ALTER TABLE {quote(self.name)} RENAME COLUMN {column} TO {column}")
        query = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'"
        for name, table, sql in run(query).all():
            used = words(tokenize(sql))
            if self.name.lower() in used:
                self.check_trigger(name, table, used[3:])

    def check_trigger(self, name: str, table: str, used: Words) -> None:
        """Make sure that a trigger finds its columns; `used` is its text behind its name."""
        event = next(it for it in used if it in ("insert", "update", "delete"))
        query = "SELECT name FROM pragma_table_xinfo(?) WHERE NOT hidden"
        columns = self.connection.exec_driver_sql(query, (table,)).scalars().all()
        # SQLite itself does not look at the columns of UPDATE OF.
        named = set(used[used.index(event) + 1 : used.index("on")]) - {"of", ","}
        for gone in sorted(named - {it.lower() for it in columns}):
            raise RuntimeError(self.broken(f"trigger {name}: no such column: {gone}"))
        target = sa.table(table, *(sa.column(it) for it in columns))
        statements: dict[str, sa.UpdateBase] = {
            "insert": sa.insert(sa.table(table)),
            "update": sa.update(target).values({it: it for it in target.columns}),
            "delete": sa.delete(target),
        }
        statement = statements[event].compile(dialect=self.connection.dialect)
        self.attempt(f"EXPLAIN {statement}", f"trigger {name}: ")

    def broken(self, message: str) -> str:
        """Return a message about what the batch would break."""
        return (
            f"{message}, after the batch on {self.name}. Drop it before the batch, and create it"
            " again after it"
        )

    def attempt(self, statement: str, prefix: str = "") -> None:
        """Run a statement and undo it; raise `RuntimeError` if it fails."""
        run = self.connection.exec_driver_sql
        run("SAVEPOINT rebuilt")
        try:
            run(statement)
        except DBAPIError as error:
            raise RuntimeError(self.broken(f"{prefix}{error.orig}")) from error
        run("ROLLBACK TO rebuilt")
        run("RELEASE rebuilt")


class RebuildingSQLiteImpl(ComparingSQLiteImpl):
    """Alembic's SQLite, whose batches keep what they do not change."""

    # Alembic uses the last class that has this name.
    __dialect__ = "sqlite"

    # The rebuild that is going on, and the indexes and triggers that the last one of the revision
    # has kept.
    rebuild: Rebuild | None = None
    kept: frozenset[str] = frozenset()
    # The columns of a batch whose old type has a collation, which goes with it.
    collated: frozenset[str] = frozenset()

    def cast_for_batch_migrate(
        self, existing: Any, existing_transfer: dict[str, Any], new_type: Any
    ) -> None:
        """Convert the values of a column whose type changes, as PostgreSQL does.

        Raises:
            RuntimeError: PostgreSQL would not convert a value either.
        """
        column = existing_transfer["expr"]
        old = existing.type
        if isinstance(column, sa.Column):
            # SQLite has no type for UUIDs, for instance; a revision knows what they are.
            said = self.said_types.get((column.table.name, column.name))
            if said and getattr(said.dialect_impl(self.dialect), "collation", None):
                self.collated |= {column.name.lower()}
            if said and spell(said, self.dialect) == spell(old, self.dialect):
                old = said
        found = find_conversion(old, new_type, self.dialect)
        if found is None:
            super().cast_for_batch_migrate(existing, existing_transfer, new_type)
            return
        name, convert = found
        if self.connection is None or not isinstance(column, sa.Column):
            raise RuntimeError(f"{existing.name}: only a run can convert values by {name}")
        self.require_convertible(column, new_type, convert)
        driver: Any = self.connection.connection.driver_connection
        convert_value = partial(convert_unless_null, convert)
        driver.create_function(name, 1, convert_value, deterministic=True)
        existing_transfer["expr"] = sa.Function(name, column)

    def require_convertible(self, column: sa.Column[Any], new_type: Any, convert: Convert) -> None:
        """Raise `RuntimeError` if a value of a column cannot be converted."""
        assert self.connection is not None
        name = quote(column.name)
        query = f"SELECT DISTINCT {name} FROM {quote(column.table.name)} WHERE {name} IS NOT NULL"  # noqa: S608
        for value in self.connection.exec_driver_sql(query).scalars():
            try:
                convert(str(value))
            except (ArithmeticError, LookupError, ValueError) as error:
                kind = spell(new_type, self.dialect)
                raise RuntimeError(
                    f"{column}: {value!r} cannot become {kind}. Change such values in a revision"
                    " before this one"
                ) from error

    def prep_table_for_batch(self, batch_impl: ApplyBatchImpl, table: Table) -> None:
        """Leave generated columns, which SQLite computes, out of the copy; read the old table."""
        super().prep_table_for_batch(batch_impl, table)
        new: Table | None = batch_impl.new_table
        for column in new.columns if new is not None else ():
            if column.computed is not None:
                transfer: dict[str, Any] = batch_impl.column_transfers[column.name]
                transfer.pop("expr", None)
        if not self.as_sql and table.schema is None:
            self.rebuild = Rebuild(self, batch_impl, table, self.collated)
        self.collated = frozenset()

    def create_table(self, table: Table, **options: Any) -> None:
        """Create a table; one that replaces another with all that the other has."""
        if self.rebuild and table is self.rebuild.batch.new_table:
            self.rebuild.connection.exec_driver_sql(self.rebuild.definition)
        else:
            super().create_table(table, **options)

    def rename_table(self, old_table_name: str, new_table_name: Any, schema: Any = None) -> None:
        """Rename a table; after the new table of a batch, its indexes and triggers follow."""
        rebuild = self.rebuild
        if rebuild is None or old_table_name != rebuild.batch.temp_table_name:
            super().rename_table(old_table_name, new_table_name, schema)
            return
        # Otherwise SQLite refuses, because views and triggers refer to the table that was dropped.
        run = rebuild.connection.exec_driver_sql
        before = run("PRAGMA legacy_alter_table").scalar()
        run("PRAGMA legacy_alter_table = ON")
        try:
            super().rename_table(old_table_name, new_table_name, schema)
        finally:
            run(f"PRAGMA legacy_alter_table = {before}")
        rebuild.finish()
        self.kept = frozenset(map(word, [*rebuild.indexes, *rebuild.triggers]))

    def create_index(self, index: Index, **options: Any) -> None:
        """Create an index, unless it is one that the new table of a batch has already."""
        if self.rebuild and index.table is self.rebuild.batch.new_table:
            if index.name in self.rebuild.indexes:
                return
        elif word(str(index.name)) in self.kept:
            self.drop_kept("INDEX", str(index.name))
        super().create_index(index, **options)

    def execute(self, sql: Any, execution_options: dict[str, Any] | None = None) -> None:
        """Execute a statement of a revision."""
        if (created := CREATE.match(str(sql))) and (name := word(created[2])) in self.kept:
            self.drop_kept(created[1], name)
        super().execute(sql, execution_options)

    def forget(self) -> None:
        """Forget what a revision has done: the next one knows what is there."""
        self.kept = frozenset()
        self.said_types.clear()

    def drop_kept(self, kind: str, name: str) -> None:
        """Let a revision create what a batch has kept: it knows of batches that keep nothing."""
        assert self.connection is not None
        self.connection.exec_driver_sql(f"DROP {kind} IF EXISTS {quote(name)}")


def forget_batches(ctx: MigrationContext, **_: object) -> None:
    """Forget the batches of a revision, as a callback for `on_version_apply`."""
    if isinstance(ctx.impl, RebuildingSQLiteImpl):
        ctx.impl.forget()
