"""Connections to ClickHouse: to a server, or to the one that chdb embeds in this process."""

from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import URL, Engine, NullPool, create_engine


class UnreachableError(Exception):
    """ClickHouse cannot be reached. The message says where, and what to do."""


def open_client(url: URL) -> Client:
    """Return a client for `Settings.clickhouse`. It may be used from several threads.

    Raises:
        UnreachableError: Nobody answers, or another process has the embedded one's folder.
    """
    try:
        return clickhouse_connect.get_client(**connect_arguments(url))
    except ClickHouseError as error:
        reason = str(error).partition("\n")[0]
        problem = f"{where(url)} cannot be reached: {reason}"
        raise UnreachableError(f"{problem}. {advice(url)}") from error


def make_engine(url: URL) -> Engine:
    """Return SQLAlchemy's way to the same database, which its migrations take."""
    return create_engine(
        "clickhousedb+connect://",
        poolclass=NullPool,
        connect_args=connect_arguments(url),
    )


def connect_arguments(url: URL) -> dict[str, Any]:
    """Return a URL as clickhouse-connect takes it."""
    if url.drivername == "chdb":
        return {"interface": "chdb", "path": url.database, "database": "default"}
    return {
        "host": url.host,
        "port": url.port,
        "username": url.username or "default",
        "password": url.password or "",
        "database": url.database,
    }


def where(url: URL) -> str:
    """Return what a URL leads to, without the password."""
    if url.drivername == "chdb":
        return f"the embedded ClickHouse in {url.database}"
    return f"ClickHouse at {url.host}:{url.port}"


def advice(url: URL) -> str:
    """Return what to do where nobody answers."""
    if url.drivername == "chdb":
        return "Next: stop the process that uses the folder, such as `make run`; it serves one"
    return "Next: see to the server and CLICKHOUSE_URL"
