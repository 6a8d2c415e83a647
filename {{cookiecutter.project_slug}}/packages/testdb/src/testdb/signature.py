"""How a database itself says that tests made it. Only such a database is emptied or dropped."""

import os
import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from uuid import uuid4

# The name of a database on a server begins with this, and its comment with that.
PREFIX = "test_"
COMMENT = "test database"

# SQLite's field for it: https://www.sqlite.org/fileformat.html, bytes 68 to 71 of the file.
APPLICATION_ID = int.from_bytes(b"test")

# Queries for the name of the mark and what a database has there, which is none of testdb's.
UNMARKED = {
    "sqlite": f"""
        SELECT 'application_id', application_id FROM pragma_application_id
        WHERE application_id <> {APPLICATION_ID}""",
    "postgresql": f"""
        SELECT 'comment', shobj_description(oid, 'pg_database') FROM pg_database
        WHERE datname = current_database()
        AND shobj_description(oid, 'pg_database') LIKE '{COMMENT}%' IS NOT TRUE""",
}

MEMORY = Path("/dev/shm")  # noqa: S108  # a folder in memory, where the system has one
ROOM = 2**29  # bytes; a container has an eighth of that there


def is_marked(header: bytes) -> bool:
    """Tell whether the first bytes of a SQLite file say that tests made it."""
    return header[68:72] == APPLICATION_ID.to_bytes(4)


def require_marked(name: str, marked: Collection[str]) -> None:
    """Raise `RuntimeError` unless a database has both the name and the mark of a test database."""
    if not name.startswith(PREFIX) or name not in marked:
        raise RuntimeError(f"{name!r} is not a test database and was not dropped")


def memory_folder() -> Path:
    """Return a folder in memory with room for databases, else the one for temporary files."""
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).total >= ROOM:
        return MEMORY
    return Path(tempfile.gettempdir())


def identify(name: str) -> str:
    """Return a name for what belongs to a test."""
    return f"{re.sub(r'[^a-z0-9]+', '_', name.lower())[:30]}_{uuid4().hex[:8]}"
