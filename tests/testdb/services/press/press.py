"""Asynchronous, with a function that makes the app for a session factory."""

import os

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine


def make_sessions(engine):
    return async_sessionmaker(engine, expire_on_commit=False)


def create_app(sessions=None) -> FastAPI:
    app = FastAPI()
    sessions = sessions or make_sessions(create_async_engine(os.environ["DATABASE_URL"]))

    @app.post("/articles/{title}")
    async def add_article(title: str) -> None:
        async with sessions() as session:
            await session.execute(text("INSERT INTO articles VALUES (:title)"), {"title": title})
            await session.commit()

    return app
