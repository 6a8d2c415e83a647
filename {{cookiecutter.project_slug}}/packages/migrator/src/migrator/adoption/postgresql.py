"""Adoption on PostgreSQL: every property of every object, and the statements that make it."""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError

from migrator.adoption import Dialect, Differences, Item, Key, Objects, Statements
from migrator.adoption.comparison import compare_parts
from migrator.adoption.definitions import simplify
from migrator.adoption.parts import OWNER, WITHOUT_ROWS, read_parts
from migrator.catalogue import read_rows as read_properties
from migrator.database import Database
from migrator.errors import RefusedError, first_line
from migrator.scratch import scratch_beside, set_search_path

# What depends on the server and its roles, and not on the revisions. Counts of other objects.
LEFT_OUT = re.compile(r"\w*(owner|acl|dba|role|tablespace|checks): ")
KINDS_LEFT_OUT = {"pg_database", "pg_db_role_setting", "pg_default_acl"}
# An extension is there or not: its version and its members are the server's.
MEMBER = "deptype: e"
# PostgreSQL 18 also lists NOT NULL as a constraint, with a name that tells how it was added.
NOT_NULL = "contype: n"
# The table in the identity of an object: `public.t`, `public.t.c`, `pk on public.t`, `public.t[]`.
IDENT = r'(?:"(?:[^"]|"")+"|[\w$]+)'
TABLE = re.compile(rf"(?:^|\s)({IDENT}\.{IDENT})(?:$|[.\[])")
LABELS = {"r": "table", "p": "table", "f": "table", "v": "view", "m": "view"}
OTHER_LABELS = {"pg_proc": "function", "pg_namespace": "schema", "pg_extension": "extension"}
# Of an extension, name and schema; where objects are created, and where they are looked for.
EXTENSIONS = """
    SELECT extname AS name, quote_ident(extname) AS quoted,
           extnamespace::regnamespace::text AS place
    FROM pg_extension WHERE oid >= 16384
"""
PLACE = """
    SELECT quote_ident(coalesce(current_schema(), 'public')), current_setting('search_path'),
           quote_ident(current_user)
"""


class PostgreSQL(Dialect):
    """What an adoption needs to know about PostgreSQL."""

    @contextmanager
    def scratch(self) -> Iterator[Connection]:
        """Yield a connection to an empty database on the same server.

        It gets the schema and the extensions that the revisions expect to be there. An extension
        that this role may not create matters only if a revision then fails.
        """
        url, sources = self.database.url, read_sources(self.database)
        with self.database.reading() as connection:
            extensions = connection.exec_driver_sql(EXTENSIONS).all()
            [(schema, path, role)] = connection.exec_driver_sql(PLACE).all()
        beside = scratch_beside(url, self.database.name, self.database.wait_seconds)
        with creating(role, beside) as scratch:
            engine = self.database.at(scratch).engine()
            missing = []
            with engine.connect() as connection, connection.begin():
                for extension, name, place in extensions:
                    if re.search(
                        rf"CREATE\s+EXTENSION\b[^;]*\b{extension}\b", sources, re.IGNORECASE
                    ):
                        continue
                    try:
                        with connection.begin_nested():
                            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {place}")
                            sql = f"CREATE EXTENSION IF NOT EXISTS {name} SCHEMA {place} CASCADE"
                            connection.exec_driver_sql(sql)
                    except DBAPIError as error:
                        missing.append(f"{extension} ({first_line(error)})")
                connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
                set_search_path(connection, path)
            self.remark = f"; it lacks the extension {', '.join(missing)}" if missing else ""
            with engine.connect() as connection:
                yield connection

    def read(self, connection: Connection) -> Objects:
        """Return every object with its properties."""
        properties: dict[Key, set[str]] = defaultdict(set)
        for kind, name, value in read_properties(connection):
            if kind not in KINDS_LEFT_OUT and not LEFT_OUT.match(value):
                is_code = kind == "pg_proc" or not value.startswith("definition: ")
                properties[kind, name].add(value if is_code else simplify(value))
        tables = {
            name: value.removeprefix("indrelid: ")
            for (kind, name), values in properties.items()
            for value in values
            if kind == "pg_index" and value.startswith("indrelid: ")
        }
        found = {}
        for (kind, name), values in properties.items():
            if MEMBER in values or NOT_NULL in values:
                continue
            place = TABLE.search(name)
            table = tables.get(place[1], place[1]) if place else ""
            label = OTHER_LABELS.get(kind) or next(
                (LABELS.get(it[-1], "") for it in values if it.startswith("relkind: ")), ""
            )
            is_whole = kind == "pg_extension"
            definition = frozenset() if is_whole else frozenset(values)
            found[kind, name] = Item(table, definition, label and f"{label} {name}")
        return found

    def differences(self, found: Connection, wanted: Connection, others: set[Key]) -> Differences:
        """Return in what two databases differ. Of properties without a statement, no SQL."""
        hidden = {name for _, name in others}
        old = {
            key: part
            for key, part in read_parts(found).items()
            if part.name not in hidden and part.parent not in hidden
        }
        result, explained = compare_parts(old, read_parts(wanted))
        before, after = self.read(found), self.read(wanted)
        for key in sorted((before.keys() | after.keys()) - others):
            one, other = (
                side[key].definition if key in side else set() for side in (before, after)
            )
            if one != other and not explained.search(key[1]):
                result.lines.append(
                    f"different: {key[0]} {key[1]}: {', '.join(sorted(one - other)) or 'missing'}"
                    f" → {', '.join(sorted(other - one)) or 'missing'}"
                )
        return result

    def statements(self, connection: Connection) -> Statements:
        """Return the statements that make everything in a database, and those that remove it."""
        parts = read_parts(connection)
        made, _ = compare_parts({}, parts)
        owned = {it.name.removesuffix(OWNER) for it in parts.values() if it.name.endswith(OWNER)}
        drops = [
            it
            for it in parts.values()
            if it.kind in ("foreign key", "trigger") or (not it.parent and it.name not in owned)
        ]
        # Defaults and generated columns refer to functions.
        drops.sort(key=lambda it: -WITHOUT_ROWS if it.kind == "table" else -it.rank)
        [schema] = connection.execute(text("SELECT quote_ident(current_schema())")).scalars()
        qualifier = re.compile(rf'(?<![\w"]){re.escape(schema)}\.')
        # Where a table is created is left to the search path, as the revisions do.
        up = [it if "$function$" in it else qualifier.sub("", it) for it in made.sql]
        return Statements(up, [qualifier.sub("", it.drop) for it in drops])


def read_sources(database: Database) -> str:
    """Return the text of all revisions."""
    scripts = database.scripts().walk_revisions()
    return "\n".join(Path(it.path).read_text(encoding="utf-8") for it in scripts)


@contextmanager
def creating(role: str, database: AbstractContextManager[URL]) -> Iterator[URL]:
    """Enter a context that creates a database.

    Raises:
        RefusedError: The server does not create it.
    """
    with ExitStack() as stack:
        try:
            url = stack.enter_context(database)
        except DBAPIError as error:
            raise RefusedError(
                "the revisions are compared on a scratch database, which cannot be created:"
                f" {first_line(error)}. Next: run it as a role that may create databases, such as"
                f" after ALTER ROLE {role} CREATEDB"
            ) from error
        yield url
