"""Asynchronous, on aiosqlite, tested with anyio; the session factory is in the app's state."""

import os

from fastapi import FastAPI, Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine


def create_app() -> FastAPI:
    app = FastAPI()
    app.state.sessions = async_sessionmaker(create_async_engine(os.environ["DATABASE_URL"]))

    @app.post("/notes/{note}")
    async def add_note(note: str, request: Request) -> None:
        async with request.app.state.sessions() as session:
            await session.execute(text("INSERT INTO notes VALUES (:note)"), {"note": note})
            await session.commit()

    return app
