"""${message}

Revision ID: ${up_revision}
Revises: ${(down_revision or "nothing") | comma,n}
Create Date: ${create_date}
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Apply the change. A killed run is repeated: say IF NOT EXISTS, or IF EXISTS."""
    # op.execute("ALTER TABLE events ADD COLUMN IF NOT EXISTS source LowCardinality(String)")


def downgrade() -> None:
    """Take the change back."""
    # op.execute("ALTER TABLE events DROP COLUMN IF EXISTS source")
