"""Synchronous, on psycopg2, with a container and a DSN under a name of its own."""
