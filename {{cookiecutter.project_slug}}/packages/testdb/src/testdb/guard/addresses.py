"""Finds the database server that a driver's options, variables or an address lead to."""

import os
import socket
from collections.abc import Mapping
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

# Host and port. The host can be the folder of a Unix socket or, in the place of a port, the socket.
Endpoint = tuple[str, str]
SOCKET = "socket"

# The databases that a URL can name, each with the usual port of its server, if it is one.
PORTS = {
    "chdb": None,
    "clickhouse": 8123,
    "clickhousedb": 8123,
    "cockroachdb": 26257,
    "duckdb": None,
    "mariadb": 3306,
    "mssql": 1433,
    "mysql": 3306,
    "oracle": 1521,
    "postgresql": 5432,
    "redshift": 5439,
    "sqlite": None,
}

# Where libpq looks for a server on this machine if no host is given.
LOCAL = ("", "/tmp", "/run/postgresql", "/var/run/postgresql")  # noqa: S108  # nothing is written


def endpoints(options: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> list[Endpoint]:
    """Return every server that a driver would try with these options and variables."""
    host = options.get("hostaddr") or env.get("PGHOSTADDR") or options.get("host")
    hosts = listed(host or env.get("PGHOST", ""))
    ports = listed(options.get("port") or env.get("PGPORT", "5432"))
    return list(zip(hosts, ports if len(ports) == len(hosts) else ports * len(hosts), strict=False))


def other_endpoint(options: Mapping[str, Any], port: object) -> Endpoint:
    """Return the server of another kind that a driver would open: its socket, or host and port."""
    if path := options.get("unix_socket"):
        return str(path), SOCKET
    return str(options.get("host") or "localhost"), str(options.get("port") or port)


def listed(value: Any) -> list[str]:
    """Return hosts or ports one by one: drivers take a list, or text with commas."""
    return [str(v) for v in value] if isinstance(value, list) else str(value).split(",")


def database_in(options: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> str:
    """Return the database that a driver would open with these options and variables."""
    name = options.get("dbname") or options.get("database") or env.get("PGDATABASE")
    return str(name or options.get("user") or env.get("PGUSER"))


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
    return frozenset("localhost" if is_this_machine(ip) else str(ip) for ip in plain)


def is_this_machine(ip: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is this machine's: a server on 0.0.0.0 is reached by each of them."""
    if ip.is_loopback or ip.is_unspecified:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as own:
            own.bind((str(ip), 0))
    except OSError:
        return False
    return True
