"""The migrated database that every test starts from, built once and kept between runs.

Its name is a hash of what it is made from. So it is rebuilt exactly when a migration changes,
and with many revisions a run starts as fast as with one.
"""

import hashlib
import sqlite3
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from filelock import FileLock

from tests.isolation.sqlite import migrated_image


def load_template(alembic: Config, folder: Path) -> bytes:
    """Return the image of a migrated SQLite database, building it if `folder` has none.

    Safe for processes that ask at the same time: one builds, the others wait for it.

    Raises:
        Exception: Whatever a failing migration raises. Nothing is kept then.
    """
    path = folder / f"{fingerprint(alembic)}.sqlite"
    if not path.exists():
        with FileLock(folder / "lock"):
            if not path.exists():
                build(alembic, path)
    return path.read_bytes()


def build(alembic: Config, path: Path) -> None:
    """Write the image beside its place and rename it, so that no half of it is ever read."""
    image = migrated_image(alembic)
    for outdated in path.parent.glob("*.sqlite"):
        outdated.unlink()
    scratch = path.with_suffix(".building")
    scratch.write_bytes(image)
    scratch.replace(path)


def fingerprint(alembic: Config) -> str:
    """Return a hash of the migrations' source and of SQLite's version."""
    digest = hashlib.sha256(sqlite3.sqlite_version.encode())
    folder = Path(ScriptDirectory.from_config(alembic).dir)
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]
