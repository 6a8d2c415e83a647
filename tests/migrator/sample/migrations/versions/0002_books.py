"""Books, and a trigger that keeps titles tidy on PostgreSQL."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

KIND = sa.Enum("novel", "essay", name="kind")
TIDY = """
CREATE FUNCTION tidy_title() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.title = trim(NEW.title); RETURN NEW; END $$
"""
TRIGGER = """
CREATE TRIGGER tidy_title BEFORE INSERT ON books FOR EACH ROW EXECUTE FUNCTION tidy_title()
"""


def upgrade() -> None:
    """Create the table, its index and the trigger."""
    op.create_table(
        "books",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("kind", KIND, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_books"),
        sa.ForeignKeyConstraint(
            ["author_id"], ["authors.id"], name="fk_books_author_id_authors", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_books_author_id", "books", ["author_id"])
    if op.get_context().dialect.name == "postgresql":
        op.execute(TIDY)
        op.execute(TRIGGER)


def downgrade() -> None:
    """Drop everything again; PostgreSQL would keep the type and the function."""
    op.drop_table("books")
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION tidy_title()")
        op.execute("DROP TYPE kind")
