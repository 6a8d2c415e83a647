"""The image of a migrated SQLite database, built once and kept between runs.

Its name is a hash of what it is made from. So it is rebuilt exactly when a migration changes, and
with many revisions a run starts as fast as with one.
"""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Engine, StaticPool, create_engine, event

from ..config import Isolation
from ..difference import Difference, difference
from ..migrations import fingerprint, migrate_and_prepare
from ..report import IsolationReport
from ..signature import APPLICATION_ID


def load_template(
    isolation: Isolation[Any],
    folder: Path,
    report: IsolationReport,
    *,
    recreate: bool = False,
) -> bytes:
    """Return the image of a migrated database, building it if `folder` has none.

    With `recreate`, one that is there is built again. Processes may ask at the same time: one
    builds, the others wait for it.

    Raises:
        Exception: Whatever a failing migration raises. Nothing is kept then.
    """
    path = folder / f"{fingerprint(isolation)}.sqlite"
    if recreate or not path.exists():
        with report.timed("sqlite template built"), FileLock(folder / "lock"):
            if recreate or not path.exists():
                build(isolation, path)
    with report.timed("sqlite template read"):
        return path.read_bytes()


def build(isolation: Isolation[Any], path: Path) -> None:
    """Write the image beside its place and rename it, so that no process reads a part of it."""
    image = migrated_image(isolation)
    for outdated in path.parent.glob("*.sqlite"):
        outdated.unlink()
    scratch = path.with_suffix(".building")
    scratch.write_bytes(image)
    scratch.replace(path)


def migrated_image(isolation: Isolation[Any]) -> bytes:
    """Return the image of a database with all migrations applied."""
    with closing(open_sqlite()) as raw:
        engine = engine_on(raw)
        event.listen(engine, "begin", lambda _: raw.execute("BEGIN"))
        with engine.connect() as connection:
            migrate_and_prepare(isolation, connection)
        raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        return raw.serialize()


def open_sqlite(name: str = ":memory:", **options: Any) -> sqlite3.Connection:
    """Return a connection to a new, empty database in memory, or to a file.

    Threads may take turns on it. The driver never begins or commits by itself: with its own
    transactions, savepoints leak rows.
    """
    options = {**options, "check_same_thread": False, "isolation_level": None}
    connection: sqlite3.Connection = sqlite3.connect(name, **options)
    return connection


def engine_on(raw: sqlite3.Connection) -> Engine:
    """Return an engine that always uses `raw`."""
    return create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)


def compare_images(before: bytes, after: bytes) -> Difference:
    """Return the rows in which two images differ."""
    with closing(open_sqlite()) as old, closing(open_sqlite()) as new:
        old.deserialize(before)
        new.deserialize(after)
        with engine_on(old).connect() as one, engine_on(new).connect() as other:
            return difference(one, other)


def keep_image(image: bytes) -> str:
    """Write an image to a file that outlives the run, and return the command that opens it."""
    path = Path(tempfile.mkdtemp(prefix="kept-")) / "test.db"
    path.write_bytes(image)
    return f"sqlite3 {path}"
