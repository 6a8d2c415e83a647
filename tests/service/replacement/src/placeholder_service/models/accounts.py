"""Who orders."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from placeholder_service.domain import EMAIL_MAX, NAME_MAX
from placeholder_service.models.base import Entity, length_between


class Account(Entity):
    """A customer."""

    __tablename__ = "accounts"
    __table_args__ = (
        length_between("email", 3, EMAIL_MAX),
        length_between("name", 1, NAME_MAX),
    )

    email: Mapped[str] = mapped_column(sa.String(EMAIL_MAX), unique=True)
    name: Mapped[str] = mapped_column(sa.String(NAME_MAX))
