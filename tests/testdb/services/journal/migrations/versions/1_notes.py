"""Notes."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    op.create_table("notes", sa.Column("text", sa.String, nullable=False))
