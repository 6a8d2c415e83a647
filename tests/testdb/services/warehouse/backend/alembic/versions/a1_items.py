"""Items."""

from alembic import op

revision = "a1"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE TABLE items (id serial PRIMARY KEY, tags text[] NOT NULL, data jsonb)")
