"""The rules for revisions of ClickHouse, which has no transactions: a killed run is repeated.

So each statement must be one that can be executed a second time.
"""

import ast
import re

from migrator.linter.rules import Rules, application_import
from migrator.source import Found, Revision, argument, called, is_true, text

PARTS = "COLUMN|CONSTRAINT|INDEX|PROJECTION|STATISTICS"
THINGS = "(?:DATABASE|DICTIONARY|FUNCTION|TABLE|(?:MATERIALIZED )?VIEW)"
# Statements that fail, or add rows again, when they are executed a second time.
ONCE = (
    (rf"CREATE {THINGS} (?!IF NOT EXISTS\b)", "write CREATE … IF NOT EXISTS"),
    (rf"DROP {THINGS} (?!IF EXISTS\b)", "write DROP … IF EXISTS"),
    (rf"\bADD (?:{PARTS}) (?!IF NOT EXISTS\b)", "write ADD … IF NOT EXISTS"),
    (rf"\b(?:CLEAR|DROP|RENAME) (?:{PARTS}) (?!IF EXISTS\b)", "write … IF EXISTS"),
    (r"RENAME (?:DICTIONARY|TABLE) (?!IF EXISTS\b)", "write RENAME … IF EXISTS"),
    (r"INSERT INTO\b", "exclude the rows that exist already, and allow it"),
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
    """A run that was killed is repeated, and executes the statement a second time."""
    for node in revision.reached(revision.tree):
        needed = OPERATIONS.get(called(node))
        if needed and isinstance(node, ast.Call) and not is_true(argument(node, needed)):
            yield node, f"{called(node)} cannot be repeated (add {needed}=True)"
        if STATEMENT.match(text(node)):
            statement = " ".join(text(node).split())
            for pattern, remedy in ONCE:
                if re.search(pattern, statement, re.IGNORECASE):
                    yield node, f"the statement cannot be repeated ({remedy})"


RULES: Rules = {"application-import": application_import, "not-repeatable": not_repeatable}
