"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision or "nothing"}
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Apply the change."""


def downgrade() -> None:
    """Undo the change."""
