"""The people who use the service."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from placeholder_service.domain import EMAIL_MAX, NAME_MAX
from placeholder_service.models.base import Entity, length_between


class User(Entity):
    """A person. What they own goes when they go, and the audit log stays."""

    __tablename__ = "users"
    __table_args__ = (
        length_between("email", 3, EMAIL_MAX),
        length_between("name", 1, NAME_MAX),
        sa.CheckConstraint("email = lower(email)", "email_lower_case"),
    )

    email: Mapped[str] = mapped_column(sa.String(EMAIL_MAX), unique=True)
    name: Mapped[str] = mapped_column(sa.String(NAME_MAX))
    is_active: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
