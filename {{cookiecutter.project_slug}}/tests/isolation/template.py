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

from tests.isolation.report import timed
from tests.isolation.sqlite import migrated_image


def load_template(alembic: Config, folder: Path, *, recreate: bool = False) -> bytes:
    """Return the image of a migrated SQLite database, building it if `folder` has none.

    With `recreate`, one that is there is built again.

    Safe for processes that ask at the same time: one builds, the others wait for it.

    Raises:
        Exception: Whatever a failing migration raises. Nothing is kept then.
    """
    path = folder / f"{fingerprint(alembic)}.sqlite"
    if recreate or not path.exists():
        with timed("sqlite template built"), FileLock(folder / "lock"):
            if recreate or not path.exists():
                build(alembic, path)
    with timed("sqlite template read"):
        return path.read_bytes()


def build(alembic: Config, path: Path) -> None:
    """Write the image beside its place and rename it, so that no half of it is ever read."""
    image = migrated_image(alembic)
    for outdated in path.parent.glob("*.sqlite"):
        outdated.unlink()
    scratch = path.with_suffix(".building")
    scratch.write_bytes(image)
    scratch.replace(path)


def fingerprint(alembic: Config, owner: str = "") -> str:
    """Return a hash of what templates come from: migrations, this code, SQLite's version, owner."""
    digest = hashlib.sha256(f"{sqlite3.sqlite_version} {owner}".encode())
    migrations = Path(ScriptDirectory.from_config(alembic).dir)
    files = [path for path in migrations.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in sorted([*files, *Path(__file__).parent.glob("*.py")]):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def family(alembic: Config, owner: str) -> str:
    """Return what all templates of a service and an owner have in common, outdated ones as well."""
    folder = Path(ScriptDirectory.from_config(alembic).dir).resolve()
    return hashlib.sha256(f"{folder} {owner}".encode()).hexdigest()[:16]
