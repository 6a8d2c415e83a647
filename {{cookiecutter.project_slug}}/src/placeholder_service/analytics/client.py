"""Connections to ClickHouse: to a server, or to the one that chdb embeds in this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from migrator.clickhouse import connections
from migrator.clickhouse.connections import describe, is_embedded
from sqlalchemy import URL

from placeholder_service.redaction import redact

# ClickHouse's codes for a table, and for a database, that is not there.
UNKNOWN = {60, 81}

OF_A_SERVER = {
    # In a session, queries would have to wait for each other.
    "autogenerate_session_id": False,
    # Ids by the thousand are too long for an address.
    "form_encode_query_params": True,
}


class UnavailableError(Exception):
    """ClickHouse cannot do its work now. The message says why, and what to do."""


class UnreachableError(UnavailableError):
    """The server does not answer, or another process uses the folder of the embedded one."""


class NotMigratedError(UnavailableError):
    """A table is missing."""


def open_client(url: URL) -> Client:
    """Return a client for `Settings.clickhouse`. It may be used from several threads.

    Raises:
        UnreachableError: The server does not answer, or another process uses the folder.
        NotMigratedError: The server does not have the database.
    """
    try:
        return clickhouse_connect.get_client(**connect_arguments(url))
    except ImportError as error:
        raise UnreachableError(
            f"{describe(url)} needs chdb, which only development has."
            " Next: name a server in CLICKHOUSE_URL"
        ) from error
    except ClickHouseError as error:
        place = describe(url)
        if is_unknown(error):
            message = f"{place} has no database {url.database}. Next: scripts/migrate.sh"
            raise NotMigratedError(message) from error
        message = f"{place} cannot be reached: {reason(error)}. {advice(url)}"
        raise UnreachableError(message) from error


@contextmanager
def explained() -> Iterator[None]:
    """Turn what ClickHouse raises into what a person can act upon.

    Raises:
        UnavailableError: In place of clickhouse-connect's own errors.
    """
    try:
        yield
    except ClickHouseError as error:
        if is_unknown(error):
            message = "ClickHouse is not migrated. Next: scripts/migrate.sh"
            raise NotMigratedError(message) from error
        raise UnreachableError(f"ClickHouse failed: {reason(error)}") from error


def is_unknown(error: ClickHouseError) -> bool:
    """Tell whether ClickHouse says that a table or database is missing."""
    return getattr(error, "code", None) in UNKNOWN


def reason(error: ClickHouseError) -> str:
    """Return an error's first line, without secrets."""
    return redact(str(error).partition("\n")[0].rstrip("."))


def connect_arguments(url: URL) -> dict[str, Any]:
    """Return a URL as clickhouse-connect takes it, for a client that several threads share."""
    options = {} if is_embedded(url) else OF_A_SERVER
    return connections.connect_arguments(url) | options


def advice(url: URL) -> str:
    """Return what to do if the server does not answer."""
    if is_embedded(url):
        return "Next: stop the process that uses the folder, such as `make run`; it serves one"
    return "Next: check the server and CLICKHOUSE_URL"


class LazyClient:
    """A client that several threads share: the given one, or one opened when first asked for."""

    def __init__(self, url: URL, given: Client | None = None) -> None:
        """Note where to connect to, if that is needed at all."""
        self.url = url
        self.given = given
        self.opened: Client | None = None
        self.lock = threading.Lock()

    def get(self) -> Client:
        """Return the client.

        Raises:
            UnavailableError: It cannot be opened. The next call tries again.
        """
        if self.given is not None:
            return self.given
        with self.lock:
            if self.opened is None:
                self.opened = open_client(self.url)
            return self.opened

    def close(self) -> None:
        """Close the client that was opened here, if one was."""
        with self.lock:
            if self.opened is not None:
                self.opened.close()
                self.opened = None
