"""Entries, which PostgreSQL alone can keep apart."""

from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE TABLE entries (id serial PRIMARY KEY, code text UNIQUE, during tstzrange)")
