"""A small project with migrations: authors, their books, and events in ClickHouse."""
