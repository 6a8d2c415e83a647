"""What a ClickHouse server says of statements that it does not execute: `EXPLAIN` refuses some.

It analyses queries and INSERTs. Of other statements it shows the syntax tree, whose table, types
and engine can be looked up; whether the server would accept such a statement stays unknown.
"""

import re
from collections.abc import Iterable, Iterator

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from migrator.tabletext import mentions

# Trees of what EXPLAIN analyses. A literal below the root is a file, which would be written.
QUERY = re.compile(r"(?:Insert|SelectWithUnion)Query\b(?!(?:.*\n)+ Literal )")
# Statements that fail without their table.
ON_TABLE = re.compile(
    r"(?:ALTER TABLE|DELETE FROM|TRUNCATE TABLE|UPDATE) (?!IF EXISTS\b)", re.IGNORECASE
)
# Syntax trees: the database, which may be empty, and the table; then what a statement may change.
NAME = r"(.+?)(?: \(children \d+\))?$"
TABLE = re.compile(rf"^\w+ (\S*) {NAME}", re.MULTILINE)
CHANGED = re.compile(f"^ (?: *Table)?Identifier {NAME}", re.MULTILINE)
# What else a tree names, and where the server lists such names.
NAMED = (
    ("type", re.compile(f"^ +DataType {NAME}", re.MULTILINE), "data_type_families"),
    (
        "table engine",
        re.compile(f"^ +Storage definition.*\n +Function {NAME}", re.MULTILINE),
        "table_engines",
    ),
)
IS_LISTED = """
    SELECT count() FROM system.{table:Identifier}
    WHERE name = {name:String} OR {any_case:Bool} AND lower(name) = lower({name:String})
"""
# The server has not judged the statement: it timed out, ran out of memory, or denied the answer.
UNANSWERED = {None, 159, 209, 210, 241, 497}
SHOWN = 70


def ask(client: Client, statements: Iterable[str]) -> Iterator[str]:
    """Yield for each statement whether it is accepted, refused or not known, and why."""
    changed: set[str] = set()
    for statement in statements:
        plain = " ".join(re.sub(r"^\s*--.*$", "", statement, flags=re.MULTILINE).split())
        short = plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}…"
        yield f"{judge(client, statement, plain, changed)}: {short}"


def judge(client: Client, statement: str, plain: str, changed: set[str]) -> str:
    """Return the verdict on a statement, and add what it may change to `changed`."""
    if ";" in statement:
        # The embedded ClickHouse would execute what follows.
        changed.update(re.findall(r"\w+", plain))
        return "not known (it has a semicolon)"
    verdict = "not known (only its syntax, which is right)"
    try:
        tree = explain(client, "AST", statement)
        is_query = QUERY.match(tree)
        for kind, pattern, table in NAMED:
            for name in pattern.findall(tree):
                if not is_listed(client, table, name):
                    return f"refused (unknown {kind} {name})"
        if earlier := sorted(name for name in changed if mentions(plain, name)):
            verdict = f"not known (it depends on an earlier statement: {', '.join(earlier)})"
        elif is_query:
            explain(client, "PIPELINE", statement)
            verdict = "accepted"
        elif ON_TABLE.match(plain) and (found := TABLE.match(tree)) and not exists(client, found):
            return f"refused (no table {found[2]})"
    except DatabaseError as error:
        is_refused = getattr(error, "code", None) not in UNANSWERED
        return f"{'refused' if is_refused else 'not known'} ({first_sentence(error)})"
    if not is_query:
        changed.update(CHANGED.findall(tree))
    return verdict


def explain(client: Client, kind: str, statement: str) -> str:
    """Return what the server explains. `query` would add a format, which not all bear."""
    return client.raw_query(f"EXPLAIN {kind} {statement}").decode()


def is_listed(client: Client, table: str, name: str) -> bool:
    """Return whether a table of the server has a name; types may have any case."""
    values = {"table": table, "name": name, "any_case": table == "data_type_families"}
    [[count]] = client.query(IS_LISTED, values).result_rows
    return bool(count)


def exists(client: Client, found: re.Match[str]) -> bool:
    """Return whether there is the table of a syntax tree."""
    quoted = ".".join(f"`{name}`" for name in found.groups() if name)
    return client.raw_query(f"EXISTS TABLE {quoted}").strip() == b"1"


def first_sentence(error: DatabaseError) -> str:
    """Return what the server said, without codes, a position that counts EXPLAIN, and a list."""
    text = re.sub(r"^.*?DB::Exception: ", "", str(error).partition("\n")[0])
    text = re.sub(r" position \d+( \(.+?\))?(?: \(line \d+, col \d+\))?", r"\1", text)
    return text.partition(" Expected one of")[0].partition(". (")[0].rstrip(".")
