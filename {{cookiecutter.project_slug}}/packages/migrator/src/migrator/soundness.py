"""Checks of the database after a run: nothing is invalid, orphaned or left over."""

from sqlalchemy import Connection, text

# What an interrupted run, or a revision that says IF NOT EXISTS, leaves: a name and a remark.
UNSOUND = {
    "sqlite": """
        SELECT 'table ' || name, 'is left over from an interrupted run; next: drop it'
        FROM sqlite_master WHERE type = 'table' AND name LIKE '\\_alembic\\_tmp\\_%' ESCAPE '\\'
        UNION ALL
        SELECT 'table ' || "table", 'has ' || count(*) || ' rows that refer to missing ones'
        FROM pragma_foreign_key_check GROUP BY 1
    """,
    "postgresql": """
        SELECT 'index ' || indexrelid::regclass,
               'is not valid; next: DROP INDEX CONCURRENTLY ' || indexrelid::regclass
               || ', then create it again'
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid AND relkind = 'i'
        WHERE NOT indisvalid AND pg_table_is_visible(indrelid) AND NOT EXISTS (
            SELECT FROM pg_stat_progress_create_index WHERE index_relid = indexrelid
        )
        UNION ALL
        SELECT 'constraint ' || conname || ' of ' || conrelid::regclass,
               'is not validated; next: a revision with ALTER TABLE ' || conrelid::regclass
               || ' VALIDATE CONSTRAINT ' || quote_ident(conname)
        FROM pg_constraint
        WHERE NOT convalidated AND pg_table_is_visible(conrelid)
        UNION ALL
        SELECT 'table ' || oid::regclass, 'is left over from an interrupted run; next: drop it'
        FROM pg_class
        WHERE relkind = 'r' AND relname LIKE '\\_alembic\\_tmp\\_%' AND pg_table_is_visible(oid)
    """,
}


def find_faults(connection: Connection) -> list[str]:
    """Return what is wrong with a database after a run, each with the remedy."""
    rows = connection.execute(text(UNSOUND[connection.dialect.name]))
    return [f"{name} {remark}" for name, remark in rows]


def check_foreign_keys(connection: Connection) -> None:
    """Make sure that no row of a SQLite database refers to a missing one, before the commit.

    Raises:
        RuntimeError: Some rows do. The run is rolled back; the message names the tables.
    """
    if connection.dialect.name != "sqlite":
        return
    orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
    if orphans:
        pairs = sorted({f"{child} → {parent}" for child, _, parent, _ in orphans})
        raise RuntimeError(f"{len(orphans)} rows refer to missing ones ({', '.join(pairs)})")
