"""Alembic's env.py for asynchronous services."""

import asyncio

from alembic import context
from sqlalchemy.ext.asyncio import async_engine_from_config


def do_run_migrations(connection) -> None:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def run_async_migrations() -> None:
    section = context.config.get_section(context.config.config_ini_section)
    async with async_engine_from_config(section, prefix="sqlalchemy.").connect() as connection:
        await connection.run_sync(do_run_migrations)


def run_migrations_online() -> None:
    connection = context.config.attributes.get("connection")
    if connection is not None:
        do_run_migrations(connection)
        return
    asyncio.run(run_async_migrations())


run_migrations_online()
