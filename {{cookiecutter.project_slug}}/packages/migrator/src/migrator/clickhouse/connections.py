"""Connections to ClickHouse: to a server, or to the engine that chdb embeds in this process."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.dbapi.connection import Connection as DriverConnection
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.httpclient import HttpClient
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine
from urllib3.util.timeout import Timeout

from migrator.errors import InUseError, UnreachableError

UNKNOWN_DATABASE = 81
CONNECT_SECONDS = 5
# How long a server may take to answer the log-in; and to send something, such as the progress of a
# statement, as the driver asks for.
LOGIN_SECONDS = 10
ANSWER_SECONDS = 300
POLL_SECONDS = 0.1


class MissingDatabaseError(UnreachableError):
    """The server answers, but does not have the database."""


def open_client(url: URL) -> Client:
    """Return a client for a URL that `ClickHouse` describes.

    Raises:
        UnreachableError: The server does not answer; `InUseError` if another process uses the
            folder; `MissingDatabaseError` if the server does not have the database.
    """
    with explaining(url):
        client = clickhouse_connect.get_client(**connect_arguments(url))
    return with_time_to_answer(client)


def wait_for_client(url: URL, wait_seconds: float) -> Client:
    """Return a client once no other process uses the folder of an embedded database.

    Raises:
        UnreachableError: As `open_client` does; `InUseError` after `wait_seconds`.
    """
    end = time.monotonic() + wait_seconds
    while True:
        # Each attempt to open starts the engine, which prints to stderr what it finds locked.
        while is_in_use(Path(str(url.database))):
            if time.monotonic() >= end:
                raise InUseError(
                    f"{describe(url)} is in use by another process, and serves one at a time."
                    " Next: stop the process that uses the folder, such as the service"
                )
            time.sleep(POLL_SECONDS)
        try:
            return open_client(url)
        except InUseError:
            if time.monotonic() >= end:
                raise


def is_in_use(folder: Path) -> bool:
    """Return whether a process has opened the folder; ClickHouse locks its file `status`."""
    try:
        with (folder / "status").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def make_engine(url: URL) -> Engine:
    """Return an engine for the same database. Its connections raise what `open_client` does."""

    def connect() -> DriverConnection:
        with explaining(url):
            connection = DriverConnection(**connect_arguments(url))
        with_time_to_answer(connection.client)
        return connection

    return create_engine("clickhousedb+connect://", poolclass=NullPool, creator=connect)


def with_time_to_answer(client: Client) -> Client:
    """Return a client that has logged in, with the time that statements may take."""
    if isinstance(client, HttpClient):
        client.timeout = Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS)
    return client


def open_or_create(url: URL) -> Connection:
    """Return a connection to the database, which is created if the server does not have it."""
    engine = make_engine(url)
    try:
        return engine.connect()
    except MissingDatabaseError:
        with closing(open_client(in_database(url, "default"))) as client:
            name = {"name": connect_arguments(url)["database"]}
            client.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", name)
        return engine.connect()


@contextmanager
def explaining(url: URL) -> Iterator[None]:
    """Turn the driver's errors into messages that say what to do.

    Raises:
        UnreachableError: In place of the driver's errors.
    """
    try:
        yield
    except ImportError as error:
        raise UnreachableError(f"{describe(url)} needs the package chdb") from error
    except ClickHouseError as error:
        place = describe(url)
        if getattr(error, "code", None) == UNKNOWN_DATABASE:
            raise MissingDatabaseError(f"{place} has no database {url.database}") from error
        reason = str(error).partition("\n")[0].rstrip(".")
        if is_embedded(url) and Path(str(url.database)).is_dir():
            raise InUseError(
                f"{place} cannot be opened: {reason}."
                " Next: stop the process that uses the folder, which serves one at a time"
            ) from error
        raise UnreachableError(
            f"{place} cannot be reached: {reason}. Next: check the server and its URL"
        ) from error


def connect_arguments(url: URL) -> dict[str, Any]:
    """Return a URL as the arguments of clickhouse-connect."""
    if is_embedded(url):
        name = url.query.get("database", "default")
        return {"interface": "chdb", "path": url.database, "database": name}
    return {
        "host": url.host,
        "port": url.port or 8123,
        "username": url.username or "default",
        "password": url.password or "",
        "database": url.database or "default",
        "connect_timeout": CONNECT_SECONDS,
        "send_receive_timeout": LOGIN_SECONDS,
    }


def in_database(url: URL, name: str) -> URL:
    """Return the URL of another database of the same server or folder."""
    if is_embedded(url):
        return url.update_query_dict({"database": name})
    return url.set(database=name)


def is_embedded(url: URL) -> bool:
    """Return whether chdb embeds this database. Its folder serves one process at a time."""
    return url.drivername == "chdb"


def is_missing_folder(url: URL) -> bool:
    """Return whether the embedded database does not exist. Connecting would create it."""
    return is_embedded(url) and not Path(str(url.database)).exists()


def describe(url: URL) -> str:
    """Return what a URL leads to, without the password."""
    if is_embedded(url):
        return f"the embedded ClickHouse in {url.database}"
    return f"ClickHouse at {url.host}:{url.port or 8123}"
