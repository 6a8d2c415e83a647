"""The tables. Importing this package is what fills `Base.metadata`."""

from placeholder_service.models.accounts import Account
from placeholder_service.models.base import Base
from placeholder_service.models.orders import Order, OrderLine

__all__ = ["Account", "Base", "Order", "OrderLine"]
