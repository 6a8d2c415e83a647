"""Orders."""

from uuid import UUID

from fastapi import APIRouter

from placeholder_service.api.bodies import JsonRoute
from placeholder_service.api.dependencies import SessionDep
from placeholder_service.schemas.orders import OrderCreate, OrderResponse, OrderUpdate
from placeholder_service.services import orders

router = APIRouter(prefix="/orders", tags=["orders"], route_class=JsonRoute)


@router.post("", status_code=201)
async def create_order(data: OrderCreate, session: SessionDep) -> OrderResponse:
    """Take an order."""
    return OrderResponse.model_validate(await orders.create(session, data))


@router.get("/{order_id}")
async def get_order(order_id: UUID, session: SessionDep) -> OrderResponse:
    """Read one order."""
    return OrderResponse.model_validate(await orders.get(session, order_id))


@router.patch("/{order_id}")
async def update_order(order_id: UUID, data: OrderUpdate, session: SessionDep) -> OrderResponse:
    """Change the fields you send, and no others."""
    return OrderResponse.model_validate(await orders.update(session, order_id, data))
