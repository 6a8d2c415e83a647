"""What templates are made from: the folders of migrations, and a hash that notices changes."""

import hashlib
import inspect
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from configparser import ConfigParser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import Isolation, configuration_files
from .migrations import at_configuration

if TYPE_CHECKING:
    from alembic.config import Config


# Options whose values are a place, or a database.
PLACES = ("here", "prepend_sys_path", "script_location", "sqlalchemy.url", "version_locations")


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
    migrations = {path for folder in places for path in files_of(folder, isolation.starts)}
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


def files_of(folder: Path, starts: Sequence[Path]) -> Iterator[Path]:
    """Yield the files in a folder of migrations.

    If that is the project's own folder, as after `alembic init .`, all else lies there as well.
    """
    found = [folder]
    if any(start.resolve().is_relative_to(folder) for start in starts):
        found = [folder / name for name in ("env.py", "script.py.mako", "versions")]
    for place in found:
        for path in (place, *place.rglob("*")):
            parents = path.relative_to(folder).parts[:-1]
            # Without a source, a revision is compiled code that Alembic is told to read.
            is_left_out = any(name == "__pycache__" or name.startswith(".") for name in parents)
            if path.is_file() and not is_left_out:
                yield path


def settings_of(isolation: Isolation[Any]) -> bytes:
    """Return what env.py reads besides: Alembic's files, options and attributes if they are plain.

    Of any other attribute, such as an object of the service, this is its type.
    """
    alembic = isolation.alembic
    attributes = dict(isolation.attributes if isinstance(alembic, Path) else alembic.attributes)
    # It is another one each time, and what migrations run on.
    attributes.pop("connection", None)
    options = {} if isinstance(alembic, Path) else options_of(alembic)
    files = [file.read_bytes() for file in configuration_files(alembic) if file.is_file()]
    return b"".join([*files, plain([attributes, options])])


def plain(value: object) -> bytes:
    """Return a text of values; of an object that has none in JSON, that is its type."""
    made = json.dumps(
        value,
        sort_keys=True,
        default=lambda value: str(value) if isinstance(value, Path) else str(type(value)),
    )
    return made.encode()


def options_of(alembic: "Config") -> dict[str, Any]:
    """Return the options of a configuration, also those that code has set, and its `-x`.

    Without those that name a place, which differs between checkouts, or a database: tests have
    another one.
    """
    parser = alembic.file_config
    found = {
        f"{section}.{name}": value
        for section in parser.sections()
        for name, value in parser.items(section, raw=True)
        if name not in PLACES
    }
    return found | {"cmd_opts": vars(alembic.cmd_opts) if alembic.cmd_opts else {}}


def source_of(function: Callable[..., object]) -> bytes:
    """Return the text of the module that a function comes from, and what is given to it."""
    given = b""
    while isinstance(function, partial):
        given += plain([function.args, function.keywords])
        function = function.func
    function = inspect.unwrap(function)
    # An object that can be called has its code in its class.
    has_code = inspect.isroutine(function) or inspect.isclass(function)
    code = function if has_code else type(function)
    return Path(inspect.getfile(code)).read_bytes() + given


def family(isolation: Isolation[Any], owner: str) -> str:
    """Return what all templates of a service and an owner have in common, outdated ones as well."""
    return hashlib.sha256(f"{folders(isolation)[0]} {owner}".encode()).hexdigest()[:16]
