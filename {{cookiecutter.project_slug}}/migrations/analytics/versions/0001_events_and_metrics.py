"""Events, and what is counted of them.

Revision ID: 0001
Revises: nothing
Create Date: 2026-11-21 00:00:00+00:00
"""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    # An event that arrives twice replaces itself: the same day, the same id.
    op.execute("""
        CREATE TABLE IF NOT EXISTS events (
            event_id UUID,
            occurred_at DateTime64(6, 'UTC'),
            user_id Nullable(UUID),
            name LowCardinality(String),
            entity_id UUID,
            properties String
        )
        ENGINE = ReplacingMergeTree
        ORDER BY (toDate(occurred_at), event_id)
    """)
    op.execute("""
        CREATE TABLE IF NOT EXISTS metrics (
            name LowCardinality(String),
            bucket DateTime('UTC'),
            value Float64
        )
        ENGINE = ReplacingMergeTree
        ORDER BY (name, bucket)
    """)


def downgrade() -> None:
    """Drop the tables."""
    op.execute("DROP TABLE IF EXISTS metrics")
    op.execute("DROP TABLE IF EXISTS events")
