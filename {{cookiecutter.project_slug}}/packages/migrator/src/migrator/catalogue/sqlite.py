"""The contents of a SQLite database: the texts that made it, part by part.

Where Alembic rebuilds a table, names get quotes, defaults get brackets, constraints come in any
order, and a column that a downgrade brings back comes last. So parts are compared, not texts.
"""

import re
from typing import Any

from sqlalchemy import Connection

from migrator.history import OWN_TABLES
from migrator.tabletext import Column, Constraint, Definition, Words, tokenize, words

MASTER = """
    SELECT type, name, tbl_name, sql FROM sqlite_master
    WHERE sql IS NOT NULL AND substr(name, 1, 7) <> 'sqlite_' ORDER BY rowid
"""
CREATE_TABLE = re.compile(r"CREATE\s+TABLE\b", re.IGNORECASE)


def read_master(connection: Connection) -> list[tuple[str, str, str, str]]:
    """Return kind, name, table and text of everything but the migrations' own tables."""
    rows = connection.exec_driver_sql(MASTER)
    return [(kind, name, on, sql) for kind, name, on, sql in rows if on not in OWN_TABLES]


def read_parts(connection: Connection) -> dict[tuple[str, str], tuple[str, Any]]:
    """Return table and definition of each object and part of a table, by kind and name."""
    found: dict[tuple[str, str], tuple[str, Any]] = {}
    for kind, name, table, sql in read_master(connection):
        if kind != "table" or not CREATE_TABLE.match(sql):
            found[kind, name] = (table, words(tokenize(sql)))
            continue
        definition = Definition(sql)
        found[kind, name] = (name, words(tokenize(definition.options)))
        for part, column in definition.columns.items():
            found["column", f"{name}.{part}"] = (name, describe_column(column))
        for constraint in definition.every_constraint():
            title = constraint.name or " ".join(constraint.body)
            counts_up = ["autoincrement"] * ("autoincrement" in constraint.sql.lower())
            found["constraint", f"{name}.{title}"] = (name, (constraint.body, (*counts_up,)))
    return found


def describe_column(column: Column) -> tuple[Words, ...]:
    """Return the clauses of a column without its constraints. A default may stand in brackets."""
    found = []
    for kind, part in column.parts.items():
        clause = column.words(kind)
        if kind == "default" and clause[1] == "(" and clause[-1] == ")":
            clause = (clause[0], *clause[2:-1])
        if not isinstance(part, Constraint) and kind not in ("name", "null"):
            found.append(clause)
    return (found[0], *sorted(found[1:]))


def flatten(definition: Any) -> str:
    """Return the words of a definition: quoted texts are one word each."""
    if isinstance(definition, tuple):
        return " ".join(filter(None, map(flatten, definition)))
    return str(definition)
