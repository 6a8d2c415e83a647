"""Asynchronous, on asyncpg, with a module-level engine and settings in parts."""
