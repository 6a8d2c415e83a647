"""Events, and what is counted of them."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.execute("""
        CREATE TABLE events (
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
        CREATE TABLE metrics (name LowCardinality(String), bucket DateTime('UTC'), value Float64)
        ENGINE = ReplacingMergeTree
        ORDER BY (name, bucket)
    """)
