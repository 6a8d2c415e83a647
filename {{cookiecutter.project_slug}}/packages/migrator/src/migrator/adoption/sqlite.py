"""Adoption on SQLite: the texts of the catalogue, compared part by part, in any order."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, make_url

from migrator.adoption import Dialect, Differences, Item, Key, Objects, Statements
from migrator.catalogue.sqlite import flatten, read_master, read_parts
from migrator.engine import make_sqlite_migration_engine
from migrator.tabletext import Definition, quote

WHOLE = ("table", "view")
# What only a rebuild of the table changes.
OF_TABLE = {"table", "column", "constraint"}


class SQLite(Dialect):
    """What an adoption needs to know about SQLite."""

    @contextmanager
    def scratch(self) -> Iterator[Connection]:
        """Yield a connection to an empty database in memory."""
        engine = make_sqlite_migration_engine(make_url("sqlite://"), 0)
        with engine.connect() as connection:
            yield connection

    def read(self, connection: Connection) -> Objects:
        """Return tables, columns, constraints, indexes, triggers and views."""
        return {
            (kind, name): Item(table, definition, f"{kind} {name}" if kind in WHOLE else "")
            for (kind, name), (table, definition) in read_parts(connection).items()
        }

    def differences(self, found: Connection, wanted: Connection, others: set[Key]) -> Differences:
        """Return in what two databases differ. The SQL rebuilds tables, as SQLite cannot alter."""
        old = {key: it for key, it in self.read(found).items() if key not in others}
        new = self.read(wanted)
        differing = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
        rebuilt = set[str]()
        changed = {(old.get(key) or new[key]).table for key in differing if key[0] in OF_TABLE}
        result = Differences([], [])
        for kind, name in sorted(differing, key=lambda key: (key[0] == "view", key)):
            before, after = old.get((kind, name)), new.get((kind, name))
            table = (before or new[kind, name]).table
            if kind != "table" and (("table", table) in old) != (("table", table) in new):
                continue  # it comes and goes with its table
            if table in changed and kind in OF_TABLE:
                # The first difference of a table brings its statements, and those of what is on it.
                changed.remove(table)
                rebuilt.add(table)
                result.sql.extend(rebuild(table, found, wanted))
            elif table not in changed | rebuilt:
                result.sql.extend([f"DROP {kind.upper()} {quote(name)}"] if before else [])
                result.sql.extend(
                    sql for *key, _, sql in read_master(wanted) if key == [kind, name]
                )
            word = "missing" if not before else "different" if after else "unexpected"
            result.lines.append(f"{word}: {kind} {name}{describe(before, after)}")
        if rebuilt:
            result.sql[:0] = ["PRAGMA foreign_keys = OFF", "PRAGMA legacy_alter_table = ON"]
        return result

    def statements(self, connection: Connection) -> Statements:
        """Return the statements that make everything in a database, and those that remove it."""
        rows = read_master(connection)
        drops = [f"DROP {kind.upper()} {quote(it)}" for kind, it, *_ in rows if kind in WHOLE]
        return Statements([sql for *_, sql in rows], drops[::-1])


def describe(before: Item | None, after: Item | None) -> str:
    """Return what was found and what should be, as far as it is short."""
    texts = [flatten(it.definition) for it in (before, after) if it]
    return ": " + " → ".join(texts) if all(0 < len(it) < 80 for it in texts) else ""


def rebuild(table: str, found: Connection, wanted: Connection) -> list[str]:
    """Return the statements that make a table like the one of another database, with its rows.

    They lose no rows in a shell that goes on after an error: if a row does not fit, the transaction
    is rolled back, and there is no old table to drop.
    """
    [old] = [sql for *key, _, sql in read_master(found) if key == ["table", table]] or [""]
    there = [(kind, sql) for kind, _, on, sql in read_master(wanted) if on == table]
    new = next((sql for kind, sql in there if kind == "table"), "")
    name, old_name = quote(table), quote(f"_old_{table}")
    others = [sql for kind, sql in there if kind != "table"]
    if not old or not new:
        return [new, *others] if new else [f"DROP TABLE {name}"]
    columns, before = Definition(new).columns, Definition(old).columns
    both = ", ".join(
        quote(it)
        for it, column in columns.items()
        if it in before and not column.words("generated")
    )
    return [
        "BEGIN",
        f"ALTER TABLE {name} RENAME TO {old_name}",
        f"CREATE TABLE {name} {new[new.index('(') :]}",
        f"INSERT OR ROLLBACK INTO {name} ({both}) SELECT {both} FROM {old_name}",  # noqa: S608
        f"DROP TABLE {old_name}",
        *others,
        "COMMIT",
    ]
