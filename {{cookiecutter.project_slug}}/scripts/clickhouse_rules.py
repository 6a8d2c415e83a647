"""The rules for revisions of ClickHouse, which has no transactions: a killed run is repeated.

So each statement has to be one that can be executed again, after itself.
"""

import ast
import re

from scripts.revision_rules import (
    Finding,
    Found,
    Revision,
    application_import,
    argument,
    called,
    is_true,
    text,
)

PARTS = "COLUMN|CONSTRAINT|INDEX|PROJECTION|STATISTICS"
THINGS = "(?:DATABASE|DICTIONARY|FUNCTION|TABLE|(?:MATERIALIZED )?VIEW)"
# Statements that fail, or add rows again, when they are executed a second time.
ONCE = (
    (rf"CREATE {THINGS} (?!IF NOT EXISTS\b)", "write CREATE … IF NOT EXISTS"),
    (rf"DROP {THINGS} (?!IF EXISTS\b)", "write DROP … IF EXISTS"),
    (rf"\bADD (?:{PARTS}) (?!IF NOT EXISTS\b)", "write ADD … IF NOT EXISTS"),
    (rf"\b(?:CLEAR|DROP|RENAME) (?:{PARTS}) (?!IF EXISTS\b)", "write … IF EXISTS"),
    (r"RENAME (?:DICTIONARY|TABLE) (?!IF EXISTS\b)", "write RENAME … IF EXISTS"),
    (r"INSERT INTO\b", "leave out the rows that are there, and allow it"),
)
STATEMENT = re.compile(r"(?:--.*\n|\s)*(ALTER|CREATE|DROP|INSERT|RENAME)\s", re.IGNORECASE)
# The same for the operations of Alembic.
OPERATIONS = {
    "add_column": "if_not_exists",
    "create_table": "if_not_exists",
    "drop_column": "if_exists",
    "drop_table": "if_exists",
}


def not_repeatable(revision: Revision) -> Found:
    """A run that was killed is repeated, and does the statement once more."""
    for node in revision.reached(revision.tree):
        needed = OPERATIONS.get(called(node))
        if needed and isinstance(node, ast.Call) and not is_true(argument(node, needed)):
            yield node, f"{called(node)} cannot be repeated (add {needed}=True)"
        if STATEMENT.match(text(node)):
            statement = " ".join(text(node).split())
            for pattern, remedy in ONCE:
                if re.search(pattern, statement, re.IGNORECASE):
                    yield node, f"the statement cannot be repeated ({remedy})"


RULES = {"application-import": application_import, "not-repeatable": not_repeatable}


def check_source(source: str) -> list[Finding]:
    """Return what the rules find in the source of a revision of ClickHouse.

    Raises:
        SyntaxError: It is not Python.
    """
    revision = Revision(source)
    return sorted(
        Finding(getattr(node, "lineno", 0), name, message)
        for name, rule in RULES.items()
        for node, message in rule(revision)
    )
