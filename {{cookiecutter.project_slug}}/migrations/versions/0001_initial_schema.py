"""Initial schema: the eight tables of the service.

Revision ID: 0001
Revises: nothing
Create Date: 2026-11-21 00:00:00+00:00
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, parents first."""
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False),
        *timestamps(),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_users_email_lower_case")),
        sa.CheckConstraint("length(email) BETWEEN 3 AND 255", name=op.f("ck_users_email_length")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 100", name=op.f("ck_users_name_length")),
    )
    op.create_table(
        "contexts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("description", sa.String(500), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        *timestamps(),
        sa.PrimaryKeyConstraint("id", name="pk_contexts"),
        foreign_key("contexts", "user_id", "users", "CASCADE"),
        sa.UniqueConstraint("user_id", "name", name="uq_contexts_user_id_name"),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 100", name=op.f("ck_contexts_name_length")),
        sa.CheckConstraint(
            "length(description) BETWEEN 0 AND 500", name=op.f("ck_contexts_description_length")
        ),
    )
    op.create_table(
        "thoughts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("context_id", sa.Uuid(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("status", sa.String(20), server_default="active", nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        *timestamps(),
        sa.PrimaryKeyConstraint("id", name="pk_thoughts"),
        foreign_key("thoughts", "user_id", "users", "CASCADE"),
        foreign_key("thoughts", "context_id", "contexts", "SET NULL"),
        sa.CheckConstraint(
            "length(content) BETWEEN 1 AND 5000", name=op.f("ck_thoughts_content_length")
        ),
        sa.CheckConstraint(
            "status IN ('active', 'archived', 'completed')", name=op.f("ck_thoughts_status")
        ),
        sa.CheckConstraint("json_array_length(tags) <= 5", name=op.f("ck_thoughts_tags_count")),
        sa.CheckConstraint(
            "coalesce(length(tags ->> 0), 1) BETWEEN 1 AND 50"
            " AND coalesce(length(tags ->> 1), 1) BETWEEN 1 AND 50"
            " AND coalesce(length(tags ->> 2), 1) BETWEEN 1 AND 50"
            " AND coalesce(length(tags ->> 3), 1) BETWEEN 1 AND 50"
            " AND coalesce(length(tags ->> 4), 1) BETWEEN 1 AND 50",
            name=op.f("ck_thoughts_tags_length"),
        ),
    )
    op.create_index("ix_thoughts_user_id_created_at", "thoughts", ["user_id", "created_at"])
    op.create_index("ix_thoughts_context_id", "thoughts", ["context_id"])
    op.create_table(
        "thought_relationships",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("strength", sa.Double(), nullable=False),
        *timestamps(),
        sa.PrimaryKeyConstraint("id", name="pk_thought_relationships"),
        foreign_key("thought_relationships", "source_id", "thoughts", "CASCADE"),
        foreign_key("thought_relationships", "target_id", "thoughts", "CASCADE"),
        sa.UniqueConstraint(
            "source_id",
            "target_id",
            "kind",
            name="uq_thought_relationships_source_id_target_id_kind",
        ),
        sa.CheckConstraint(
            "kind IN ('relates_to', 'supports', 'contradicts', 'follows')",
            name=op.f("ck_thought_relationships_kind"),
        ),
        sa.CheckConstraint(
            "strength BETWEEN 0 AND 1", name=op.f("ck_thought_relationships_strength_range")
        ),
        sa.CheckConstraint(
            "source_id <> target_id", name=op.f("ck_thought_relationships_not_to_itself")
        ),
    )
    op.create_index("ix_thought_relationships_target_id", "thought_relationships", ["target_id"])
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("thought_id", sa.Uuid(), nullable=True),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.String(20), server_default="pending", nullable=False),
        sa.Column("priority", sa.String(20), server_default="medium", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        *timestamps(),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        foreign_key("tasks", "user_id", "users", "CASCADE"),
        foreign_key("tasks", "thought_id", "thoughts", "SET NULL"),
        sa.CheckConstraint("length(title) BETWEEN 1 AND 200", name=op.f("ck_tasks_title_length")),
        sa.CheckConstraint(
            "length(description) BETWEEN 0 AND 5000", name=op.f("ck_tasks_description_length")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'in_progress', 'done', 'cancelled')",
            name=op.f("ck_tasks_status"),
        ),
        sa.CheckConstraint(
            "priority IN ('low', 'medium', 'high', 'urgent')", name=op.f("ck_tasks_priority")
        ),
        sa.CheckConstraint(
            "(status = 'done' AND completed_at IS NOT NULL)"
            " OR (status <> 'done' AND completed_at IS NULL)",
            name=op.f("ck_tasks_completed_when_done"),
        ),
    )
    op.create_index("ix_tasks_user_id", "tasks", ["user_id"])
    op.create_index("ix_tasks_thought_id", "tasks", ["thought_id"])
    op.create_table(
        "claude_analysis_results",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("thought_id", sa.Uuid(), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("themes", sa.JSON(), nullable=False),
        # lint: allow prefer-bigint-over-int because one answer has no two billion tokens
        sa.Column("input_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("output_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
        *timestamps(),
        sa.PrimaryKeyConstraint("id", name="pk_claude_analysis_results"),
        foreign_key("claude_analysis_results", "thought_id", "thoughts", "CASCADE"),
        sa.CheckConstraint(
            "length(model) BETWEEN 1 AND 100", name=op.f("ck_claude_analysis_results_model_length")
        ),
        sa.CheckConstraint(
            "input_tokens >= 0", name=op.f("ck_claude_analysis_results_input_tokens_not_negative")
        ),
        sa.CheckConstraint(
            "output_tokens >= 0", name=op.f("ck_claude_analysis_results_output_tokens_not_negative")
        ),
    )
    op.create_index(
        "ix_claude_analysis_results_thought_id", "claude_analysis_results", ["thought_id"]
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("prefix", sa.String(12), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        *timestamps(),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        foreign_key("api_keys", "user_id", "users", "CASCADE"),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 100", name=op.f("ck_api_keys_name_length")),
        sa.CheckConstraint(
            "length(prefix) BETWEEN 1 AND 12", name=op.f("ck_api_keys_prefix_length")
        ),
        sa.CheckConstraint("length(key_hash) = 64", name=op.f("ck_api_keys_key_hash_length")),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])
    op.create_table(
        "audit_log",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        time("occurred_at"),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("entity_type", sa.String(100), nullable=False),
        sa.Column("entity_id", sa.Uuid(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
        sa.CheckConstraint(
            "action IN ('create', 'update', 'delete')", name=op.f("ck_audit_log_action")
        ),
    )


def downgrade() -> None:
    """Drop the tables, children first. Their indexes go with them."""
    op.drop_table("audit_log")
    op.drop_table("api_keys")
    op.drop_table("claude_analysis_results")
    op.drop_table("tasks")
    op.drop_table("thought_relationships")
    op.drop_table("thoughts")
    op.drop_table("contexts")
    op.drop_table("users")


def timestamps() -> tuple[sa.Column[datetime], sa.Column[datetime]]:
    """Return new columns for when a row was created and last changed."""
    return time("created_at"), time("updated_at")


def time(name: str) -> sa.Column[datetime]:
    """Return a column for a time, now by default."""
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def foreign_key(table: str, column: str, parent: str, ondelete: str) -> sa.ForeignKeyConstraint:
    """Return a foreign key to the id of a parent, named like all of them."""
    name = f"fk_{table}_{column}_{parent}"
    return sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=name, ondelete=ondelete)
