"""The shop over HTTP."""

from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import select
from sqlalchemy.orm import Session

from bookshop.database import get_session
from bookshop.models import Book

app = FastAPI()


@app.get("/books")
def books(session: Annotated[Session, Depends(get_session)]) -> list[str]:
    """List the titles."""
    return list(session.scalars(select(Book.title).order_by(Book.title)))
