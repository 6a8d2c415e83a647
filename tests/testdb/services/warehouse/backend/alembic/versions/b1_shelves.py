"""Shelves, on a branch of their own."""

from alembic import op

revision = "b1"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE TYPE size AS ENUM ('small', 'large')")
    op.execute("CREATE TABLE shelves (id serial PRIMARY KEY, size size NOT NULL)")
