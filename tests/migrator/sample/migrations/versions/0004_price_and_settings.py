"""Prices of books, settings of authors."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Rebuild authors on SQLite, which its books must survive."""
    op.add_column("books", sa.Column("price", sa.Numeric(10, 2), nullable=True))
    with op.batch_alter_table("authors", recreate="auto") as authors:
        authors.add_column(
            sa.Column("settings", sa.JSON(), server_default=sa.text("'{}'"), nullable=False)
        )


def downgrade() -> None:
    """Drop the columns."""
    with op.batch_alter_table("authors") as authors:
        authors.drop_column("settings")
    with op.batch_alter_table("books") as books:
        books.drop_column("price")
