"""Finds the database server that a URL, a driver's options or an address lead to."""

import os
import socket
from collections.abc import Mapping, Sequence
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from ..postgresql.server import named_server

# Host and port. The host can be the folder of a Unix socket.
Endpoint = tuple[str, str]

# Where libpq looks for a server on this machine if no host is given.
LOCAL = ("", "/tmp", "/run/postgresql", "/var/run/postgresql")  # noqa: S108  # nothing is written


def connect_arguments(url: URL) -> tuple[Sequence[str], Mapping[str, Any]]:
    """Return what a driver is called with for a URL: for SQLite a name, otherwise options."""
    driver = "sqlite" if url.get_backend_name() == "sqlite" else "postgresql+psycopg"
    arguments, options = url.set(drivername=driver).get_dialect()().create_connect_args(url)
    return arguments, options


def endpoints(options: Mapping[str, Any]) -> list[Endpoint]:
    """Return every server that a driver would try with these options."""
    host = options.get("hostaddr") or os.environ.get("PGHOSTADDR") or options.get("host")
    hosts = listed(host or os.environ.get("PGHOST", ""))
    ports = listed(options.get("port") or os.environ.get("PGPORT", "5432"))
    return list(zip(hosts, ports if len(ports) == len(hosts) else ports * len(hosts), strict=False))


def listed(value: Any) -> list[str]:
    """Return hosts or ports one by one: drivers take a list, or text with commas."""
    return [str(v) for v in value] if isinstance(value, list) else str(value).split(",")


def database_in(options: Mapping[str, Any]) -> str:
    """Return the database that a driver would open with these options."""
    name = options.get("dbname") or options.get("database") or os.environ.get("PGDATABASE")
    return str(name or options.get("user") or os.environ.get("PGUSER"))


def same_server(one: Endpoint, other: Endpoint) -> bool:
    """Tell whether two pairs of host and port lead to one server."""
    return one[1] == other[1] and not addresses(one[0]).isdisjoint(addresses(other[0]))


@cache
def addresses(host: str) -> frozenset[str]:
    """Return the addresses of a host; of a Unix socket, its folder."""
    if host in LOCAL:
        return frozenset({"localhost"})
    if host.startswith("/"):
        return frozenset({str(Path(host).resolve())})
    try:
        found = {ip_address(str(entry[4][0])) for entry in socket.getaddrinfo(host, None)}
    except (OSError, ValueError):
        return frozenset({host})
    plain = {getattr(ip, "ipv4_mapped", None) or ip for ip in found}
    return frozenset(
        "localhost" if ip.is_loopback or ip.is_unspecified else str(ip) for ip in plain
    )


def servers_for_tests() -> list[Endpoint]:
    """Return the servers on which the environment lets tests make databases."""
    url = named_server()
    return endpoints(connect_arguments(url)[1]) if url else []
