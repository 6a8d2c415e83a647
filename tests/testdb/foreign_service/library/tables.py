"""Tables of its own, without the template's conventions."""

import sqlalchemy as sa

metadata = sa.MetaData()

authors = sa.Table(
    "authors",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
)
books = sa.Table(
    "books",
    metadata,
    sa.Column("isbn", sa.String(13), primary_key=True),
    sa.Column("author_id", sa.ForeignKey("authors.id"), nullable=False),
)
