"""Initial schema: the eight tables of the service.

Revision ID: 0001
Revises: nothing
Create Date: 2026-11-21 00:00:00+00:00
"""

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables, parents first."""
    create_table(
        "users",
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.UniqueConstraint("email", name="uq_users_email"),
        check("users", "email_lower_case", "email = lower(email)"),
        check("users", "email_length", "length(email) BETWEEN 3 AND 255"),
        check("users", "name_length", "length(name) BETWEEN 1 AND 100"),
    )
    create_table(
        "contexts",
        *reference("contexts", "user_id", "users", "CASCADE"),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("description", sa.String(500), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.UniqueConstraint("user_id", "name", name="uq_contexts_user_id_name"),
        check("contexts", "name_length", "length(name) BETWEEN 1 AND 100"),
        check("contexts", "description_length", "length(description) BETWEEN 0 AND 500"),
    )
    create_table(
        "thoughts",
        *reference("thoughts", "user_id", "users", "CASCADE"),
        *reference("thoughts", "context_id", "contexts", "SET NULL"),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("status", sa.String(20), server_default="active", nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        check("thoughts", "content_length", "length(content) BETWEEN 1 AND 5000"),
        check("thoughts", "status", "status IN ('active', 'archived', 'completed')"),
        check("thoughts", "tags_count", "json_array_length(tags) <= 5"),
        check(
            "thoughts",
            "tags_length",
            "coalesce(length(tags ->> 0), 1) BETWEEN 1 AND 50"
            " AND coalesce(length(tags ->> 1), 1) BETWEEN 1 AND 50"
            " AND coalesce(length(tags ->> 2), 1) BETWEEN 1 AND 50"
            " AND coalesce(length(tags ->> 3), 1) BETWEEN 1 AND 50"
            " AND coalesce(length(tags ->> 4), 1) BETWEEN 1 AND 50",
        ),
    )
    op.create_index("ix_thoughts_user_id_created_at", "thoughts", ["user_id", "created_at"])
    op.create_index("ix_thoughts_context_id", "thoughts", ["context_id"])
    create_table(
        "thought_relationships",
        *reference("thought_relationships", "source_id", "thoughts", "CASCADE"),
        *reference("thought_relationships", "target_id", "thoughts", "CASCADE"),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("strength", sa.Double(), nullable=False),
        sa.UniqueConstraint(
            "source_id",
            "target_id",
            "kind",
            name="uq_thought_relationships_source_id_target_id_kind",
        ),
        check(
            "thought_relationships",
            "kind",
            "kind IN ('relates_to', 'supports', 'contradicts', 'follows')",
        ),
        check("thought_relationships", "strength_range", "strength BETWEEN 0 AND 1"),
        check("thought_relationships", "not_to_itself", "source_id <> target_id"),
    )
    op.create_index("ix_thought_relationships_target_id", "thought_relationships", ["target_id"])
    create_table(
        "tasks",
        *reference("tasks", "user_id", "users", "CASCADE"),
        *reference("tasks", "thought_id", "thoughts", "SET NULL"),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.String(20), server_default="pending", nullable=False),
        sa.Column("priority", sa.String(20), server_default="medium", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        check("tasks", "title_length", "length(title) BETWEEN 1 AND 200"),
        check("tasks", "description_length", "length(description) BETWEEN 0 AND 5000"),
        check("tasks", "status", "status IN ('pending', 'in_progress', 'done', 'cancelled')"),
        check("tasks", "priority", "priority IN ('low', 'medium', 'high', 'urgent')"),
        check(
            "tasks",
            "completed_when_done",
            "(status = 'done' AND completed_at IS NOT NULL)"
            " OR (status <> 'done' AND completed_at IS NULL)",
        ),
    )
    op.create_index("ix_tasks_user_id", "tasks", ["user_id"])
    op.create_index("ix_tasks_thought_id", "tasks", ["thought_id"])
    create_table(
        "claude_analysis_results",
        *reference("claude_analysis_results", "thought_id", "thoughts", "CASCADE"),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("themes", sa.JSON(), nullable=False),
        # lint: allow prefer-bigint-over-int because one answer has no two billion tokens
        sa.Column("input_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("output_tokens", sa.Integer(), server_default=sa.text("0"), nullable=False),
        check("claude_analysis_results", "model_length", "length(model) BETWEEN 1 AND 100"),
        check("claude_analysis_results", "input_tokens_not_negative", "input_tokens >= 0"),
        check("claude_analysis_results", "output_tokens_not_negative", "output_tokens >= 0"),
    )
    op.create_index(
        "ix_claude_analysis_results_thought_id", "claude_analysis_results", ["thought_id"]
    )
    create_table(
        "api_keys",
        *reference("api_keys", "user_id", "users", "CASCADE"),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("prefix", sa.String(12), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        check("api_keys", "name_length", "length(name) BETWEEN 1 AND 100"),
        check("api_keys", "prefix_length", "length(prefix) BETWEEN 1 AND 12"),
        check("api_keys", "key_hash_length", "length(key_hash) = 64"),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        time("occurred_at"),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("entity_type", sa.String(100), nullable=False),
        sa.Column("entity_id", sa.Uuid(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
        check("audit_log", "action", "action IN ('create', 'update', 'delete')"),
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


def create_table(name: str, *parts: sa.schema.SchemaItem) -> None:
    """Create a table whose rows have a UUID key, and the times of their creation and last change."""
    op.create_table(
        name,
        sa.Column("id", sa.Uuid(), nullable=False),
        *parts,
        time("created_at"),
        time("updated_at"),
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
    )


def time(name: str) -> sa.Column[datetime]:
    """Return a column for a time, now by default."""
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    """Return a CHECK, named like all of them."""
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def reference(
    table: str, column: str, parent: str, ondelete: str
) -> Iterator[sa.schema.SchemaItem]:
    """Yield a column with the id of a parent, and its foreign key, named like all of them."""
    yield sa.Column(column, sa.Uuid(), nullable=ondelete == "SET NULL")
    name = f"fk_{table}_{column}_{parent}"
    yield sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=name, ondelete=ondelete)
