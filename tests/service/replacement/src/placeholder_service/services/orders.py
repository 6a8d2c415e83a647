"""Takes, finds and changes orders."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from placeholder_service.models import Account, Order, OrderLine
from placeholder_service.schemas.orders import OrderCreate, OrderUpdate
from placeholder_service.services.errors import NotFoundError


async def create(session: AsyncSession, data: OrderCreate) -> Order:
    """Take an order.

    Raises:
        NotFoundError: The account does not exist.
    """
    if await session.get(Account, data.account_id) is None:
        raise NotFoundError("account", data.account_id)
    lines = [OrderLine(**line.model_dump()) for line in data.lines]
    order = Order(account_id=data.account_id, note=data.note, lines=lines)
    session.add(order)
    await session.flush()
    return order


async def get(session: AsyncSession, order_id: UUID) -> Order:
    """Return an order with its lines.

    Raises:
        NotFoundError: It does not exist.
    """
    query = select(Order).where(Order.id == order_id).options(selectinload(Order.lines))
    order = await session.scalar(query)
    if order is None:
        raise NotFoundError("order", order_id)
    return order


async def update(session: AsyncSession, order_id: UUID, data: OrderUpdate) -> Order:
    """Change the fields that were sent, and no others.

    Raises:
        NotFoundError: The order does not exist.
    """
    order = await get(session, order_id)
    for name, value in data.changes().items():
        setattr(order, name, value)
    await session.flush()
    return order
