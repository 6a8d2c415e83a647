"""One engine and one session factory for the whole service."""

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from .settings import URL

OPTIONS = {"pool_size": 3, "connect_args": {"server_settings": {"application_name": "warehouse"}}}
engine = create_async_engine(URL, **OPTIONS)
SessionLocal = async_sessionmaker(engine, expire_on_commit=False)
