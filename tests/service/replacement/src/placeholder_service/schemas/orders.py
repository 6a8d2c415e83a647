"""Inputs and outputs about orders."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from placeholder_service.domain import ITEM_MAX, PRICE_MAX, QUANTITY_MAX, OrderStatus
from placeholder_service.schemas.base import LEFT_OUT, Input, Output, PartialUpdate


class LineCreate(Input):
    """One item."""

    item: Annotated[str, StringConstraints(min_length=1, max_length=ITEM_MAX)]
    quantity: Annotated[int, Field(ge=1, le=QUANTITY_MAX)] = 1
    price: Annotated[int, Field(ge=0, le=PRICE_MAX)]


class OrderCreate(Input):
    """A new order."""

    account_id: UUID
    note: str | None = None
    lines: Annotated[list[LineCreate], Field(min_length=1)]


class OrderUpdate(PartialUpdate):
    """A change to an order."""

    status: OrderStatus = LEFT_OUT
    note: str | None = None


class LineResponse(BaseModel):
    """One item as the API shows it."""

    model_config = ConfigDict(from_attributes=True)

    item: str
    quantity: int
    price: int


class OrderResponse(Output):
    """An order as the API shows it."""

    account_id: UUID
    status: OrderStatus
    note: str | None
    lines: list[LineResponse]
