"""A ClickHouse database of a test's own: what it may do, and that nothing of it is left."""
