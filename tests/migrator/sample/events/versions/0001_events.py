"""Events, and daily counts of them."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.execute("""
        CREATE TABLE IF NOT EXISTS events (id UUID, at DateTime64(6, 'UTC'), name String)
        ENGINE = MergeTree ORDER BY at
    """)
    op.execute("""
        CREATE TABLE IF NOT EXISTS daily (name String, day Date, count UInt64)
        ENGINE = SummingMergeTree ORDER BY (name, day)
    """)


def downgrade() -> None:
    """Drop the tables."""
    op.execute("DROP TABLE IF EXISTS daily")
    op.execute("DROP TABLE IF EXISTS events")
