"""What a database holds, read from its own catalogue.

A comparison of models or of metadata overlooks what they do not know: types, sequences,
triggers. The catalogue has it all.
"""

from sqlalchemy import Connection, text

QUERIES = {
    "sqlite": """
        SELECT type, name, sql FROM sqlite_master
        WHERE name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'
    """,
    "postgresql": """
        WITH ours AS (
            SELECT oid FROM pg_namespace
            WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
        )
        SELECT 'relation ' || c.relkind::text, c.relname::text,
               CASE WHEN c.relkind = 'i' THEN pg_get_indexdef(c.oid) ELSE '' END
        FROM pg_class c JOIN ours ON ours.oid = c.relnamespace
        WHERE c.relname NOT LIKE 'alembic\\_version%'
        UNION ALL
        SELECT 'column', c.relname || '.' || a.attname,
               format_type(a.atttypid, a.atttypmod)
               || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
               || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
        FROM pg_attribute a
        JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
        JOIN ours ON ours.oid = c.relnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relname <> 'alembic_version'
        UNION ALL
        SELECT 'constraint', k.conname::text, pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN ours ON ours.oid = k.connamespace
        WHERE k.conname NOT LIKE 'alembic\\_version%'
        UNION ALL
        SELECT 'type ' || t.typtype::text, t.typname::text, ''
        FROM pg_type t JOIN ours ON ours.oid = t.typnamespace
        WHERE t.typname NOT LIKE '%alembic\\_version'
        UNION ALL
        SELECT 'trigger', g.tgname::text, pg_get_triggerdef(g.oid)
        FROM pg_trigger g WHERE NOT g.tgisinternal
        UNION ALL
        SELECT 'function', p.proname::text, pg_get_functiondef(p.oid)
        FROM pg_proc p JOIN ours ON ours.oid = p.pronamespace
    """,
}


def catalogue(connection: Connection) -> set[tuple[str, str, str]]:
    """Return kind, name and definition of everything in the database but Alembic's table."""
    query = text(QUERIES[connection.dialect.name])
    return {(kind, name, definition) for kind, name, definition in connection.execute(query)}
