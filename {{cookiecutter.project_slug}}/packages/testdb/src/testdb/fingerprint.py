"""What templates are made from: the folders of migrations, and a hash that notices changes."""

import hashlib
import inspect
import json
import os
import sqlite3
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from .config import Isolation, configuration_files
from .migrations import at_configuration


def folders(isolation: Isolation[Any]) -> list[Path]:
    """Return the folders with everything that migrations are made of."""
    if isinstance(isolation.alembic, Path) and (usual := usual_folders(isolation.alembic)):
        return usual
    with at_configuration(isolation.configuration) as scripts:
        versions = scripts.version_locations or ()
        return [Path(folder).resolve() for folder in (scripts.dir, *versions)]


def usual_folders(ini: Path) -> list[Path]:
    """Return what `folders` does, without Alembic; nothing where only Alembic knows it."""
    parser = ConfigParser(interpolation=None)
    parser.read(ini)
    options = dict(parser["alembic"]) if parser.has_section("alembic") else {}
    place = options.get("script_location", "")
    folder = ini.parent / place.replace("%(here)s", str(ini.parent))
    is_usual = not ("%" in place.replace("%(here)s", "") or ":" in str(folder))
    if place and is_usual and "version_locations" not in options and folder.is_dir():
        return [folder.resolve()]
    return []


def fingerprint(isolation: Isolation[Any], owner: str = "") -> str:
    """Return a hash of what templates come from, this library and SQLite's version included."""
    digest = hashlib.sha256(f"{sqlite3.sqlite_version} {owner}".encode())
    places = folders(isolation)
    migrations = {
        path
        for folder in places
        for path in folder.rglob("*")
        # Without a source, a revision is compiled code that Alembic is told to read.
        if path.is_file() and path.parent.name != "__pycache__"
    }
    # Where a file lies decides whether it is a revision, in every checkout alike.
    for path in [*places, *sorted(migrations)]:
        digest.update(os.path.relpath(path, places[0]).encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    digest.update(settings_of(isolation))
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    if isolation.prepare is not None:
        digest.update(source_of(isolation.prepare))
    return digest.hexdigest()[:32]


def settings_of(isolation: Isolation[Any]) -> bytes:
    """Return what env.py reads besides: Alembic's files, and its attributes if they are plain.

    Of any other attribute, such as an object of the service, this is its type.
    """
    alembic = isolation.alembic
    attributes = dict(isolation.attributes if isinstance(alembic, Path) else alembic.attributes)
    # It is another one each time, and what migrations run on.
    attributes.pop("connection", None)
    plain = json.dumps(
        attributes,
        sort_keys=True,
        default=lambda value: str(value) if isinstance(value, Path) else str(type(value)),
    )
    files = [file.read_bytes() for file in configuration_files(alembic) if file.is_file()]
    return b"".join([*files, plain.encode()])


def source_of(function: Callable[..., object]) -> bytes:
    """Return the text of the module that a function comes from."""
    return Path(inspect.getfile(inspect.unwrap(function))).read_bytes()


def family(isolation: Isolation[Any], owner: str) -> str:
    """Return what all templates of a service and an owner have in common, outdated ones as well."""
    return hashlib.sha256(f"{folders(isolation)[0]} {owner}".encode()).hexdigest()[:16]
