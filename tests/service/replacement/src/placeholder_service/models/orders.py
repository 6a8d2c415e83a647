"""What accounts order."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from placeholder_service.domain import ITEM_MAX, QUANTITY_MAX, OrderStatus
from placeholder_service.models.accounts import Account
from placeholder_service.models.base import IDENTITY, Base, Entity, length_between, one_of


class Order(Entity):
    """An order of an account."""

    __tablename__ = "orders"

    account_id: Mapped[UUID] = mapped_column(
        sa.ForeignKey("accounts.id", ondelete="CASCADE"), index=True
    )
    status: Mapped[OrderStatus] = mapped_column(
        one_of(OrderStatus, "status"),
        default=OrderStatus.OPEN,
        server_default=OrderStatus.OPEN.value,
    )
    note: Mapped[str | None] = mapped_column(sa.Text)

    account: Mapped[Account] = relationship(lazy="raise")
    lines: Mapped[list["OrderLine"]] = relationship(
        back_populates="order", lazy="raise", order_by="OrderLine.id", passive_deletes=True
    )


class OrderLine(Base):
    """One item of an order, with a key that the database numbers."""

    __tablename__ = "order_lines"
    __table_args__ = (
        length_between("item", 1, ITEM_MAX),
        sa.CheckConstraint(f"quantity BETWEEN 1 AND {QUANTITY_MAX}", "quantity_range"),
        sa.CheckConstraint("price >= 0", "price_not_negative"),
    )

    id: Mapped[int] = mapped_column(IDENTITY, primary_key=True)
    order_id: Mapped[UUID] = mapped_column(
        sa.ForeignKey("orders.id", ondelete="CASCADE"), index=True
    )
    item: Mapped[str] = mapped_column(sa.String(ITEM_MAX))
    quantity: Mapped[int] = mapped_column(sa.BigInteger)
    # In cents.
    price: Mapped[int] = mapped_column(sa.BigInteger)

    order: Mapped[Order] = relationship(back_populates="lines", lazy="raise")
