"""Finds the real databases in the settings, and replaces them in the environment.

They are replaced, never deleted: a variable that is missing is what a settings file decides on.
"""

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

from dotenv import dotenv_values
from sqlalchemy import URL, make_url

from .guard import rules
from .guard.processes import LIBPQ, REMEMBERED, TOLD_OF, pieces
from .guard.urls import (
    IN_FOLDERS,
    NO_HOST,
    NO_PORT,
    is_in_memory,
    read_url,
    refuse_url,
    unreachable_text,
    without_secrets,
)

# Servers for tests are named by such variables.
FOR_TESTS = "TEST_"

# The variables that have been replaced. A process has one environment.
replaced: set[str] = set()


def replace_settings(*files: Path | str, parts: Sequence[Mapping[str, str]] = ()) -> list[URL]:
    """Replace every real database that the environment or a settings file names, and return all.

    Each variable whose value is a database URL, and each one in `parts`, names a place where
    nothing is, with the same driver. A variable that only a file has is set in the environment,
    which settings prefer. Call it before the service is imported, because many services read their
    settings then. Variables that begin with `TEST_` name servers for tests and stay.

    Args:
        files: Settings files, such as `.env`; one that is not there has no settings.
        parts: For each database that is named in parts, the names of its variables, by the names
            of `URL.create`, and the driver itself: `{"drivername": "postgresql+asyncpg",
            "host": "POSTGRES_HOST", "port": "POSTGRES_PORT", "database": "POSTGRES_DB"}`.

    Raises:
        ValueError: A part lacks its driver, or the variable of its host or port.

    Returns:
        The databases, without their passwords. Workers of a parallel run, and processes that tests
        start, find the environment replaced; they learn them from `PROTECTED_DATABASE_URL`.
    """
    found: dict[URL, None] = {}
    # The environment comes last, as it does for settings.
    sources: list[Mapping[str, str | None]] = [*map(dotenv_values, files), dict(os.environ)]
    starts = {Path.cwd(): None, **{Path(file).resolve().parent: None for file in files}}
    for name, value in (setting for source in sources for setting in source.items()):
        if name in TOLD_OF or name.upper().startswith(FOR_TESTS):
            continue
        real = {piece: url for piece in pieces(value or "") if (url := read_url(piece))}
        for url in real.values():
            found.update(dict.fromkeys(places(without_secrets(url), starts)))
        if real:
            replace(name, without(value or "", real))
    # Settings may take their names in any case.
    settings = {its.upper(): value for source in sources for its, value in source.items() if value}
    for part in parts:
        if url := assembled(part, settings):
            found[url] = None
            replace(part["host"], NO_HOST)
            replace(part["port"], NO_PORT)
    remember(found)
    # Its own come first: another service's may have another driver.
    return list(dict.fromkeys([*found, *remembered()]))


def places(url: URL, starts: Iterable[Path]) -> Iterable[URL]:
    """Yield what a URL can mean: a relative path can start here, or where settings files are."""
    name = url.database or ""
    # Of a URI, the path in it.
    path = rules.meanings(name)[-1] if (is_uri := name.startswith("file:")) else name
    is_path = url.get_backend_name() in IN_FOLDERS
    if not is_path or is_in_memory(url) or Path(path).is_absolute():
        yield url
    else:
        for start in starts:
            place = str(start / path)
            yield url.set(database=f"file:{quote(place)}" if is_uri else place)


def assembled(part: Mapping[str, str], settings: Mapping[str, str]) -> URL | None:
    """Return the URL that settings in parts make; None if they lead nowhere or name no host."""
    if missing := {"drivername", "host", "port"} - part.keys():
        raise ValueError(f"replace_settings: {dict(part)} lacks {', '.join(sorted(missing))}")
    values = {key: settings[name.upper()] for key, name in part.items() if name.upper() in settings}
    port = values.get("port", "")
    # Where none is named, the service has one in its code.
    host = values.get("host", "localhost")
    if not values or (host, port) == (NO_HOST, str(NO_PORT)):
        return None
    if not port.isdecimal() and port:
        raise ValueError(f"replace_settings: {part['port']} is {port!r}, which is not a number")
    url = URL.create(
        part["drivername"],
        username=values.get("username"),
        port=int(port) if port else None,
        database=values.get("database"),
    )
    # The folder of a socket would be read as a path when the URL comes back from a text.
    return url.set(query={"host": host}) if host.startswith("/") else url.set(host=host)


def without(text: str, urls: Container[str]) -> str:
    """Return a text in whose pieces these URLs lead nowhere."""
    return "".join(unreachable_text(it) if it in urls else it for it in pieces(text))


def replace(name: str, value: object) -> None:
    """Set a variable to what leads nowhere. Child processes get it whatever they start with."""
    spellings = {its for its in os.environ if its.upper() == name.upper()}
    os.environ.update(dict.fromkeys({name, *spellings}, str(value)))
    replaced.add(name)


def remembered() -> list[URL]:
    """Return the databases that the process above this one protects."""
    return [make_url(line) for line in os.environ.get(REMEMBERED, "").splitlines()]


def remember(urls: Iterable[URL]) -> None:
    """Tell the processes below this one what is protected; no secrets."""
    known = dict.fromkeys([*remembered(), *map(without_secrets, urls)])
    os.environ[REMEMBERED] = "\n".join(map(str, known))


def replace_protected() -> None:
    """Replace what still leads to a protected database: processes with it would not start."""
    # What libpq takes from the environment. No settings file stands behind it.
    is_libpq_told = any(os.environ.get(name) for name in LIBPQ)
    # Whether that leads to a protected database.
    leads_there = partial(rules.is_refused, rules.refuse_server, "environment", {})
    if is_libpq_told:
        # First, because these count whatever a URL says.
        os.environ.pop("PGSERVICE", None)
        if leads_there():
            os.environ.pop("PGHOSTADDR", None)
    for name, value in list(os.environ.items()):
        real = [it for it in pieces(value) if rules.is_refused(refuse_url, it, Path.cwd())]
        if real and name not in TOLD_OF:
            replace(name, without(value, real))
    # Last, because these stand for what a URL leaves out.
    for nowhere in ({"PGDATABASE": "nowhere"}, {"PGHOST": NO_HOST, "PGPORT": str(NO_PORT)}):
        if is_libpq_told and leads_there():
            os.environ.update(nowhere)
