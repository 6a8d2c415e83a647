"""Comments, a log, and a first entry in it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables, one of them with a row."""
    op.create_table(
        "comments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.String(80), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_comments_task_id", "comments", ["task_id"])
    log = op.create_table(
        "log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.bulk_insert(log, [{"action": "made"}])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("log")
    op.drop_table("comments")
