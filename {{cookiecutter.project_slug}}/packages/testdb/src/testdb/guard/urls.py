"""Reads database URLs: what each leads to, and a URL like it that leads nowhere."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from . import rules
from .addresses import (
    PORTS,
    Endpoint,
    database_in,
    endpoints,
    other_endpoint,
    same_server,
)

# The engines that are embedded, those with one file, and the ports of a server that speaks HTTP, as
# ClickHouse does.
IN_FOLDERS = ("chdb", "duckdb", "sqlite")
IN_FILES = ("duckdb", "sqlite")
HTTP = {"http": 80, "https": 443}

# What in the query of a URL says where it leads.
PLACES = {
    *("database", "dbname", "host", "hostaddr", "mode", "port", "service", "unix_socket", "uri"),
    "user",
}

# Other names of these databases, in the URLs of Django, Heroku, Celery and Kombu.
OTHER_NAMES = {
    "cockroach": "cockroachdb",
    "crdb": "cockroachdb",
    "mysql2": "mysql",
    "mysqlgis": "mysql",
    "pgsql": "postgresql",
    "postgis": "postgresql",
    "postgres": "postgresql",
    "psql": "postgresql",
    "spatialite": "sqlite",
    "timescale": "postgresql",
    "timescalegis": "postgresql",
}
BEFORE_NAMES = re.compile(r"^(?:db|sqla)\+")

# Servers with a port each, as libpq and asyncpg take them in a URL, and SQLAlchemy in its query.
SERVERS = re.compile(
    r"(?P<start>[\w+]+://(?:[^/]*@)?)"
    r"(?P<hosts>[^/@?:,]*:\d+(?:,[^/@?:,]*(?::\d+)?)+)(?=[/?]|$)"
)

# Nothing is there. The folder has the open files of a process, by their numbers, and no other file
# can be made in it; a service may make sure that it exists. No service has this port.
NO_FOLDER = Path("/dev/fd")
NO_HOST, NO_PORT = "127.0.0.1", 1


def parse_url(text: str) -> URL | None:
    """Return the database URL that a text is, in SQLAlchemy's own words; None if it is none."""
    text = text.strip()
    if several := SERVERS.match(text):
        text = several["start"] + text[several.end() :]
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        return None
    if several:
        url = url.update_query_dict({"host": several["hosts"].split(",")})
    url = with_usual_name(url)
    return url if url.get_backend_name() in PORTS else None


def with_usual_name(url: URL) -> URL:
    """Return a URL with SQLAlchemy's own name of its database."""
    name, plus, driver = BEFORE_NAMES.sub("", url.drivername).partition("+")
    return url.set(drivername=f"{OTHER_NAMES.get(name, name)}{plus}{driver}")


def read_url(text: str) -> URL | None:
    """Return the database URL that a text is; None if it is none, or one of a database in memory.

    Where it leads nowhere, it is none either.
    """
    url = parse_url(text)
    return None if url is None or leads_nowhere(url) or is_in_memory(url) else url


def is_in_memory(url: URL) -> bool:
    """Tell whether a URL names a database that no other process sees."""
    name = url.database or ""
    is_named = any(mark in name for mark in (":memory:", "mode=memory"))
    return url.get_backend_name() in IN_FILES and (not name or is_named or "memory" in mode(url))


def mode(url: URL) -> Sequence[str]:
    """Return how a SQLite URI is opened."""
    return url.normalized_query.get("mode", ())


def unreachable(url: URL) -> URL:
    """Return a URL of the same driver and names that leads nowhere, and has no secret."""
    url = url.set(query={}, password="tests" if url.password else None)
    if url.get_backend_name() in IN_FOLDERS:
        name = Path(url.database or "").name
        return url.set(database=str(NO_FOLDER / (f"{name}.db" if name.isdecimal() else name)))
    return url.set(host=NO_HOST, port=NO_PORT)


def unreachable_text(text: str) -> str:
    """Return the same for a text that is a URL, with its own name of the database."""
    name = text.strip().partition(":")[0]
    url = unreachable(parse_url(text) or make_url(text.strip()))
    return url.set(drivername=name).render_as_string(hide_password=False)


def leads_nowhere(url: URL) -> bool:
    """Tell whether nothing can be where a URL leads, whoever wrote it."""
    if url.get_backend_name() in IN_FOLDERS:
        return Path(url.database or "").parent == NO_FOLDER
    return (url.host, url.port) == (NO_HOST, NO_PORT)


def describe(url: URL) -> str:
    """Return a URL as people may see it: without secrets, which its query can hold as well."""
    return url.set(query={}).render_as_string()


def without_secrets(url: URL) -> URL:
    """Return a URL that leads to the same place, and opens nothing there."""
    query = {name: value for name, value in url.query.items() if name in PLACES}
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query)


def connect_arguments(url: URL) -> tuple[Sequence[str], Mapping[str, Any]]:
    """Return what a driver is called with for a URL: for SQLite a name, otherwise options."""
    if url.get_backend_name() == "duckdb":
        return (url.database or "",), {}
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite or url.get_backend_name() == "postgresql":
        driver = "sqlite" if is_sqlite else "postgresql+psycopg"
        arguments, options = url.set(drivername=driver).get_dialect()().create_connect_args(url)
        return arguments, options
    host, port = other_endpoint(
        {"host": url.host, "port": url.port, **url.query}, PORTS[url.get_backend_name()]
    )
    return (), {"host": host, "port": port, "database": url.database}


def variables(url: URL) -> Mapping[str, str]:
    """Return the variables that decide where a URL leads. Only libpq has some."""
    return os.environ if url.get_backend_name() in ("cockroachdb", "postgresql") else {}


def protect(url: URL) -> None:
    """Refuse every connection to this database, from now on in this process."""
    if url.get_backend_name() == "chdb":
        rules.protect_path(Path(url.database or ""), rules.folders)
        return
    arguments, options = connect_arguments(url)
    if arguments:
        if not is_in_memory(url):
            rules.protect_path(Path(rules.meanings(arguments[0])[-1]), rules.files)
        return
    for endpoint in endpoints(options, variables(url)):
        shared = any(same_server(endpoint, other) for other in servers_for_tests())
        name = database_in(options, variables(url)) if shared else None
        rules.servers.add((endpoint, name))


def servers_for_tests() -> list[Endpoint]:
    """Return the servers on which the environment lets tests make databases."""
    from ..postgresql.server import named_server

    url = named_server()
    return endpoints(connect_arguments(url)[1]) if url else []


def refuse_url(text: str, *starts: Path) -> None:
    """Refuse the URL of a protected database. A relative path can start in any of `starts`."""
    if text.startswith("http"):
        refuse_http(text)
    url = read_url(text)
    if url is None:
        return
    if url.get_backend_name() == "chdb":
        # Of three slashes, the third begins the path or, in CLICKHOUSE_URL, does not.
        for path in (url.database or "", f"/{url.database}"):
            for start in starts:
                rules.refuse_folder("process", start / path)
    elif url.get_backend_name() in IN_FILES:
        for start in starts:
            rules.refuse_file("process", connect_arguments(url)[0][0], start)
            rules.refuse_file("process", url.database or "", start)
    else:
        rules.refuse_server("process", connect_arguments(url)[1], variables(url))


def refuse_http(text: str) -> None:
    """Refuse the URL of a protected server that speaks HTTP."""
    try:
        url = urlsplit(text)
        port = url.port or HTTP.get(url.scheme)
    except ValueError:
        return
    if url.hostname:
        rules.refuse_endpoint("process", (url.hostname, str(port)), None)
