"""Remove the spaces around the names of authors."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
loses = "the spaces around names"

TRIM = sa.text("UPDATE authors SET name = trim(name) WHERE name <> trim(name)")


def upgrade() -> None:
    """Change the rows."""
    op.execute(TRIM)


def downgrade() -> None:
    """Leave the names as they are."""
