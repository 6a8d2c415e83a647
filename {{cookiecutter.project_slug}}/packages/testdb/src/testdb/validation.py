"""Whether a database is sound: its connection, schema, data, performance and isolation."""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Literal, get_args

from sqlalchemy import Connection, column, exists, func, inspect, select, table, text
from sqlalchemy.exc import SQLAlchemyError

from .signature import UNMARKED

Category = Literal["connection", "schema", "data", "performance", "isolation"]
Status = Literal["pass", "warn", "fail"]

# How a check is called, by category and name, and what answers it.
Check = tuple[Category, str, Callable[[Connection], "Finding"]]

VERSION = {"sqlite": "SELECT sqlite_version()", "postgresql": "SHOW server_version"}
SIZE = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    "postgresql": "SELECT pg_database_size(current_database())",
}
# Queries for what must not be: each row is a name and a remark.
PROBLEMS: dict[str, dict[tuple[Category, str, Status], str]] = {
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


@dataclass(frozen=True)
class Report:
    """What all checks found, by category and name; `str(report)` is for people."""

    findings: Mapping[tuple[Category, str], Finding]

    @property
    def status(self) -> Status:
        """The worst status of all."""
        return worst(self.findings.values())

    def __str__(self) -> str:
        width = max(len(name) for _, name in self.findings)
        lines = [f"database validation: {self.status}"]
        for (category, name), found in self.findings.items():
            lines.append(f"{found.status}  {category:11}  {name:{width}}  {found.summary}".rstrip())
            if found.status != "pass":
                lines += [f"      {key}: {value}" for key, value in found.details.items()]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the same for machines, by category and with all details."""
        categories = {}
        for category in get_args(Category):
            found = {name: it for (place, name), it in self.findings.items() if place == category}
            checks = {name: asdict(finding) for name, finding in found.items()}
            categories[category] = {"status": worst(found.values()), "checks": checks}
        return json.dumps({"status": self.status, "categories": categories}, indent=2, default=str)


def worst(findings: Iterable[Finding]) -> Status:
    """Return the worst status among findings."""
    return max((finding.status for finding in findings), key=get_args(Status).index)


def validate(
    connection: Connection,
    *,
    heads: Collection[str],
    checks: Iterable[Check] = (),
    slow: float = 100,
    large: int = 2**30,
) -> Report:
    """Return what all checks find; whatever they write is rolled back.

    `heads` are the revisions that should be applied. Of `checks`, one with the name of another
    replaces it. More than `slow` ms for a trivial query, or `large` bytes, are a warning.
    """
    dialect = connection.dialect.name
    asked: list[Check] = [
        ("connection", "answers", lambda it: Finding("pass", f"{dialect} {version(it)}")),
        ("schema", "migrations are applied", partial(migrations_are_applied, set(heads))),
        ("schema", "no table is left over", no_table_is_left_over),
        ("data", "foreign keys hold", foreign_keys_hold),
        ("data", "rows", rows),
        ("performance", "trivial query", lambda it: at_most(slow, milliseconds(it), "ms")),
        ("performance", "size", lambda it: at_most(large, size(it), "bytes")),
        *(
            (category, name, partial(finds_nothing, query, status))
            for (category, name, status), query in PROBLEMS[dialect].items()
        ),
        *checks,
    ]
    asked.sort(key=lambda check: get_args(Category).index(check[0]))
    in_transaction = connection.in_transaction()
    findings = {(category, name): answer(ask, connection) for category, name, ask in asked}
    if not in_transaction:
        connection.rollback()
    return Report(findings)


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


def finds_nothing(query: str, status: Status, connection: Connection) -> Finding:
    """Run one of the queries for problems."""
    return none_of({str(name): remark for name, remark in connection.execute(text(query))}, status)


def version(connection: Connection) -> str:
    """Return the version of the database's software."""
    return str(connection.scalar(text(VERSION[connection.dialect.name])))


def size(connection: Connection) -> int:
    """Return how many bytes the database takes."""
    return connection.scalar(text(SIZE[connection.dialect.name])) or 0


def milliseconds(connection: Connection) -> float:
    """Return how long the database takes to answer."""
    started = time.perf_counter()
    connection.execute(text("SELECT 1"))
    return round(1000 * (time.perf_counter() - started), 3)


def migrations_are_applied(heads: set[str], connection: Connection) -> Finding:
    """Compare the revisions of the database with those it should be at."""
    # Here: tests that validate nothing have no use for Alembic.
    from alembic.runtime.migration import MigrationContext

    options = {"version_table": version_table(connection)}
    context = MigrationContext.configure(connection, opts=options)
    current = set(context.get_current_heads())
    wrong = {name: "expected" if name in heads else "applied" for name in current ^ heads}
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


def rows(connection: Connection) -> Finding:
    """Count the rows of each table."""
    counts = rows_by_table(connection)
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
