"""Recognises a database that has tables of the migrations, and no revision."""

import ast
import re
from dataclasses import replace
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from migrator.history import OWN_TABLES
from migrator.source import Revision, argument, called, text
from migrator.status import Status

# The name of a table in the SQL of a revision, with its schema.
CREATED = re.compile(
    r"\bTABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:[\"`]?(\w+)[\"`]?\.)?[\"`]?(\w+)", re.IGNORECASE
)
OPERATIONS = {"create_table", "rename_table", "Table"}


def with_unversioned(connection: Connection, found: Status) -> Status:
    """Return the status with the tables of the migrations, if the database has no revision.

    Tables of others are no obstacle to a first upgrade, so only those count that a revision names.
    """
    inspector = inspect(connection)
    if found.revisions or found.unfinished:
        return found
    created = find_created_tables(found.scripts)
    known = set(inspector.get_schema_names())
    tables = {
        f"{schema}.{name}" if schema else name
        for schema in {schema for schema, _ in created if not schema or schema in known}
        for name in inspector.get_table_names(schema or None)
        if name not in OWN_TABLES and {(schema, name), (schema, "")} & created
    }
    return replace(found, unversioned=tuple(sorted(tables)))


def find_created_tables(scripts: ScriptDirectory) -> set[tuple[str, str]]:
    """Return schema and name of the tables that the revisions create, as far as they say it.

    The name is empty if a revision creates those of the models, whatever they are.
    """
    found: set[tuple[str, str]] = set()
    for script in scripts.walk_revisions():
        revision = Revision(Path(script.path).read_text(encoding="utf-8"))
        for node in ast.walk(revision.tree):
            found.update(CREATED.findall(text(node)))
            if isinstance(node, ast.Call) and called(node) in OPERATIONS:
                place = argument(node, "schema")
                schemas = [text(it) for it in revision.strings(place)] if place else [""]
                names = [text(it) for it in revision.strings(*node.args)]
                found.update((schema, name) for schema in schemas for name in names)
            if called(node) == "create_all":
                found.add(("", ""))
    return found
