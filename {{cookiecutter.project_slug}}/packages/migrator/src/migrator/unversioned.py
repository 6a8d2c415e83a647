"""Recognises a database that has tables of the migrations, and no revision."""

import ast
import re
from dataclasses import replace
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from migrator.linter.source import Revision, called, text
from migrator.status import Status

# The name of a table in the SQL of a revision, without its schema.
CREATED = re.compile(
    r"\bTABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:[\"`]?\w+[\"`]?\.)?[\"`]?(\w+)", re.IGNORECASE
)
OPERATIONS = {"create_table", "rename_table", "Table"}


def find_unversioned(connection: Connection, found: Status) -> Status:
    """Return the status with the tables of the migrations, if the database has no revision.

    Tables of others are no obstacle to a first upgrade, so only those count that a revision names.
    """
    if found.revisions or found.unfinished:
        return found
    present = set(inspect(connection).get_table_names())
    # The revisions are read only if there is anything.
    tables = sorted(present & find_created_tables(found.scripts)) if present else ()
    return replace(found, unversioned=tuple(tables))


def find_created_tables(scripts: ScriptDirectory) -> set[str]:
    """Return the names of the tables that the revisions create, as far as their texts say it."""
    found: set[str] = set()
    for script in scripts.walk_revisions():
        revision = Revision(Path(script.path).read_text(encoding="utf-8"))
        for node in ast.walk(revision.tree):
            found.update(CREATED.findall(text(node)))
            if isinstance(node, ast.Call) and called(node) in OPERATIONS:
                found.update(text(name) for name in revision.strings(*node.args))
    return found
