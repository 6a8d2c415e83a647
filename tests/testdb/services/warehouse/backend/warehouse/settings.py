"""Settings in parts, from the .env of the repository around the service."""

import os
from pathlib import Path

from dotenv import load_dotenv
from sqlalchemy import URL as Address

load_dotenv(Path(__file__).parents[2] / ".env")

URL = Address.create(
    "postgresql+asyncpg",
    username="postgres",
    host=os.environ["POSTGRES_HOST"],
    port=int(os.environ["POSTGRES_PORT"]),
    database=os.environ["POSTGRES_DB"],
)
