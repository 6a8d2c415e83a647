"""Whether a database is sound: its connection, schema, data, performance and isolation."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar, get_args

from sqlalchemy import Connection, column, exists, func, inspect, select, table, text
from sqlalchemy.exc import SQLAlchemyError

from .signature import UNMARKED

Category = Literal["connection", "schema", "data", "performance", "isolation"]
Status = Literal["pass", "warn", "fail"]
# Queries for what must not be: each row is a name and a remark.
Queries = Mapping[tuple[Category, str, Status], str]

# Figures above these are worth a warning.
SLOW = 100  # milliseconds for a trivial query
LARGE = 2**30  # bytes

VERSION = {"sqlite": "SELECT sqlite_version()", "postgresql": "SHOW server_version"}
SIZE = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    "postgresql": "SELECT pg_database_size(current_database())",
}
PROBLEMS: dict[str, Queries] = {
    "sqlite": {
        ("schema", "foreign keys have an index", "warn"): """
            SELECT t.name || '.' || group_concat(k."from", ', '), 'no index begins with it'
            FROM sqlite_schema t, pragma_foreign_key_list(t.name) k GROUP BY t.name, k.id
            HAVING NOT max(k."from" IN (
                SELECT c.name FROM pragma_index_list(t.name) i, pragma_index_info(i.name) c
                WHERE c.seqno = 0 AND NOT i.partial
                UNION SELECT name FROM pragma_table_info(t.name) WHERE pk = 1))""",
        ("data", "file is intact", "fail"): """
            SELECT 'problem ' || row_number() OVER (), integrity_check
            FROM pragma_integrity_check WHERE integrity_check <> 'ok'""",
        ("isolation", "carries the mark", "fail"): UNMARKED["sqlite"],
    },
    "postgresql": {
        ("schema", "foreign keys have an index", "warn"): """
            SELECT conrelid::regclass || '.' || conname, 'no index begins with its columns'
            FROM pg_constraint WHERE contype = 'f' AND NOT EXISTS (SELECT FROM pg_index
                WHERE indrelid = conrelid AND indpred IS NULL AND indkey[0] = ANY (conkey))""",
        ("schema", "indexes are valid", "fail"): """
            SELECT indexrelid::regclass::text, 'of ' || indrelid::regclass
            FROM pg_index WHERE NOT indisvalid""",
        ("schema", "constraints are validated", "fail"): """
            SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
            FROM pg_constraint WHERE NOT convalidated""",
        ("isolation", "carries the mark", "fail"): UNMARKED["postgresql"],
        ("isolation", "no other open transaction", "fail"): """
            SELECT 'process ' || pid, query FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND state LIKE 'idle in transaction%'""",
    },
}

# Alembic's own name for its table, unless env.py has another.
ALEMBIC = "alembic_version"


@dataclass(frozen=True)
class Finding:
    """What a check found: a status, a line that says it, and what is behind that line."""

    status: Status
    summary: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


# How a check is called, by category and name, and what answers it: for SQLAlchemy, of a connection.
Source = TypeVar("Source")
Check = tuple[Category, str, Callable[[Source], Finding]]


@dataclass(frozen=True)
class Report:
    """What all checks found, by category and name; `str(report)` is for people."""

    findings: Mapping[tuple[Category, str], Finding]

    @property
    def status(self) -> Status:
        """The worst status of all."""
        return max((it.status for it in self.findings.values()), key=get_args(Status).index)

    def __str__(self) -> str:
        width = max(len(name) for _, name in self.findings)
        lines = [f"database validation: {self.status}"]
        for (category, name), found in self.findings.items():
            lines.append(f"{found.status}  {category:11}  {name:{width}}  {found.summary}".rstrip())
            if found.status != "pass":
                lines += [f"      {key}: {value}" for key, value in found.details.items()]
        return "\n".join(lines)


def in_order(findings: Mapping[tuple[Category, str], Finding]) -> Report:
    """Return a report of findings in the order of their categories."""
    order = get_args(Category).index
    return Report(dict(sorted(findings.items(), key=lambda item: order(item[0][0]))))


def validate(
    connection: Connection, *, heads: Collection[str], checks: Iterable[Check[Connection]] = ()
) -> Report:
    """Return what all checks find; whatever they write is rolled back.

    `heads` are the revisions that should be applied. Of `checks`, one with the name of another
    replaces it.
    """
    dialect = connection.dialect.name
    asked: list[Check[Connection]] = [
        ("connection", "answers", lambda it: Finding("pass", f"{dialect} {version(it)}")),
        ("schema", "migrations are applied", lambda it: at_heads(it, heads, version_table(it))),
        ("schema", "no table is left over", no_table_is_left_over),
        ("data", "foreign keys hold", foreign_keys_hold),
        ("data", "rows", lambda it: total(rows_by_table(it))),
        ("performance", "trivial query", lambda it: trivial_query(it.exec_driver_sql)),
        ("performance", "size", lambda it: at_most(LARGE, size(it), "bytes")),
        *checks_of(PROBLEMS[dialect], rows_of),
        *checks,
    ]
    in_transaction = connection.in_transaction()
    findings = {(category, name): answer(ask, connection) for category, name, ask in asked}
    if not in_transaction:
        connection.rollback()
    return in_order(findings)


def answer(ask: Callable[[Connection], Finding], connection: Connection) -> Finding:
    """Run a check and undo what it wrote; what the database refuses is a failure."""
    try:
        with connection.begin_nested() as savepoint:
            finding = ask(connection)
            savepoint.rollback()
    except SQLAlchemyError as error:
        return Finding("fail", str(error).partition("\n")[0])
    return finding


def none_of(problems: Mapping[str, object], status: Status = "fail") -> Finding:
    """Return a pass if there are no problems, else the given status."""
    return Finding(status, f"{len(problems)} found", problems) if problems else Finding("pass")


def checks_of(
    queries: Queries, rows: Callable[[Source, str], Iterable[Any]]
) -> Iterator[Check[Source]]:
    """Yield a check for each query, which finds nothing where nothing is wrong."""

    def ask(query: str, status: Status, source: Source) -> Finding:
        return none_of({str(name): remark for name, remark in rows(source, query)}, status)

    for (category, name, status), query in queries.items():
        yield category, name, partial(ask, query, status)


def rows_of(connection: Connection, query: str) -> Iterable[Any]:
    """Return what a query finds."""
    return connection.execute(text(query))


def version(connection: Connection) -> str:
    """Return the version of the database's software."""
    return str(connection.scalar(text(VERSION[connection.dialect.name])))


def size(connection: Connection) -> int:
    """Return how many bytes the database takes."""
    return connection.scalar(text(SIZE[connection.dialect.name])) or 0


def trivial_query(run: Callable[[str], object]) -> Finding:
    """Measure how long the database takes to answer."""
    started = time.perf_counter()
    run("SELECT 1")
    return at_most(SLOW, round(1000 * (time.perf_counter() - started), 3), "ms")


def at_heads(connection: Connection, heads: Collection[str], recorded: str = ALEMBIC) -> Finding:
    """Compare the revisions of the database with those it should be at."""
    # Here: tests that validate nothing have no use for Alembic.
    from alembic.runtime.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"version_table": recorded})
    current = set(context.get_current_heads())
    wrong = {name: "expected" if name in heads else "applied" for name in current ^ set(heads)}
    return none_of(wrong) if wrong else Finding("pass", ", ".join(current))


def version_table(connection: Connection) -> str:
    """Return the name of Alembic's table. Whatever env.py calls it, it has one column."""
    known = inspect(connection)
    names = known.get_table_names()
    for name in () if ALEMBIC in names else names:
        if [column["name"] for column in known.get_columns(name)] == ["version_num"]:
            return name
    return ALEMBIC


def no_table_is_left_over(connection: Connection) -> Finding:
    """Find the temporary tables of migrations that did not finish."""
    names = inspect(connection).get_table_names()
    return none_of({name: "of a migration" for name in names if name.startswith("_alembic_tmp_")})


def foreign_keys_hold(connection: Connection) -> Finding:
    """Count the rows without a parent: they got in while nothing enforced the keys."""
    orphans = {}
    for (_, name), keys in inspect(connection).get_multi_foreign_keys().items():
        for key in keys:
            columns, referred = key["constrained_columns"], key["referred_columns"]
            child = table(name, *map(column, columns))
            place = {"schema": key["referred_schema"]}
            parent = table(key["referred_table"], *map(column, referred), **place).alias()
            same = (there == here for here, there in zip(child.c, parent.c, strict=True))
            orphaned = (~exists().where(*same), *(here.is_not(None) for here in child.c))
            if count := connection.scalar(select(func.count()).select_from(child).where(*orphaned)):
                orphans[f"{name}.{', '.join(columns)}"] = f"{count} rows without a parent"
    return none_of(orphans)


def total(counts: Mapping[str, int]) -> Finding:
    """Return how many rows there are, in all tables and in each."""
    return Finding("pass", f"{sum(counts.values())} in {len(counts)} tables", counts)


def rows_by_table(connection: Connection) -> dict[str, int]:
    """Return how many rows each table has."""
    return {
        name: connection.scalar(select(func.count()).select_from(table(name))) or 0
        for name in inspect(connection).get_table_names()
    }


def at_most(limit: float, figure: float, unit: str) -> Finding:
    """Return a warning if a figure is above its limit."""
    status: Status = "warn" if figure > limit else "pass"
    return Finding(status, f"{figure:,} {unit}", {unit: figure, "limit": limit})
