"""Attacks on the guard of ClickHouse: no way leads to a protected folder or server."""
