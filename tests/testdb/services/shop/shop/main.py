from typing import Annotated

from fastapi import Depends, FastAPI
from sqlmodel import Session, select

from .database import get_session
from .models import Product

app = FastAPI()
Database = Annotated[Session, Depends(get_session)]


@app.post("/products")
def add_product(product: Product, session: Database) -> Product:
    session.add(product)
    session.commit()
    session.refresh(product)
    return product


@app.get("/products")
def list_products(session: Database) -> list[Product]:
    return session.exec(select(Product)).all()
