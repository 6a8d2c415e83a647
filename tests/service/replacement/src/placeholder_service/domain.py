"""The words and limits of the domain, shared by the tables and the API's inputs."""

from enum import StrEnum
from typing import Final

EMAIL_MAX: Final = 255
NAME_MAX: Final = 100
ITEM_MAX: Final = 200
QUANTITY_MAX: Final = 1000
PRICE_MAX: Final = 10**12


class OrderStatus(StrEnum):
    """How far an order is."""

    OPEN = "open"
    PAID = "paid"
    SENT = "sent"
