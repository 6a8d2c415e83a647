"""The contents of a database, read from its own catalogue.

A comparison of metadata misses what models do not know: types, sequences, triggers. The catalogue
has them all, and reading it needs no pg_dump of the server's version.
"""

import re

import sqlalchemy as sa
from sqlalchemy import Connection, text

from migrator.engine import expected_warnings

# The tables of the migrations themselves, and whatever belongs to them.
INFRASTRUCTURE = "%(alembic_version|migration_history)%"

QUERIES = {
    "sqlite": """
        SELECT type, name, sql FROM sqlite_master
        WHERE name NOT LIKE 'sqlite_%' AND name NOT IN ('alembic_version', 'migration_history')
    """,
    "clickhousedb": """
        SELECT 'table', name, create_table_query FROM system.tables
        WHERE database = currentDatabase() AND name NOT IN ('alembic_version', 'migration_history')
    """,
    "postgresql": f"""
        WITH ours AS (
            SELECT oid FROM pg_namespace
            WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
        ), found (kind, name, definition) AS (
            SELECT 'schema', nspname::text, '' FROM pg_namespace JOIN ours USING (oid)
            WHERE nspname <> 'public'
            UNION ALL
            SELECT 'relation ' || c.relkind::text, c.relname::text,
                   CASE c.relkind
                   WHEN 'i' THEN pg_get_indexdef(c.oid)
                   WHEN 'v' THEN pg_get_viewdef(c.oid) WHEN 'm' THEN pg_get_viewdef(c.oid)
                   WHEN 'S' THEN (SELECT row(seqtypid::regtype, seqstart, seqincrement, seqmax,
                                             seqmin, seqcycle)::text
                                  FROM pg_sequence WHERE seqrelid = c.oid)
                   ELSE row(c.relpersistence::text, c.reloptions, c.relrowsecurity)::text END
            FROM pg_class c JOIN ours ON ours.oid = c.relnamespace
            UNION ALL
            -- A revoked grant leaves the defaults spelled out in place of NULL.
            SELECT 'grant', c.relname::text, acl::text
            FROM pg_class c JOIN ours ON ours.oid = c.relnamespace,
                 unnest(coalesce(c.relacl, acldefault(
                     (CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", c.relowner))) acl
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
            UNION ALL
            SELECT 'column', c.relname || '.' || a.attname,
                   format_type(a.atttypid, a.atttypmod) || a.attidentity::text
                   || a.attgenerated::text
                   || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
                   || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
            FROM pg_attribute a
            JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
            JOIN ours ON ours.oid = c.relnamespace
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attnum > 0 AND NOT a.attisdropped
            UNION ALL
            SELECT 'constraint', k.conname::text,
                   pg_get_constraintdef(k.oid) || k.convalidated::text
            FROM pg_constraint k JOIN ours ON ours.oid = k.connamespace
            UNION ALL
            SELECT 'type ' || t.typtype::text, t.typname::text,
                   coalesce((SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder)
                             FROM pg_enum WHERE enumtypid = t.oid), '')
            FROM pg_type t JOIN ours ON ours.oid = t.typnamespace
            UNION ALL
            SELECT 'trigger', g.tgname::text, pg_get_triggerdef(g.oid)
            FROM pg_trigger g WHERE NOT g.tgisinternal
            UNION ALL
            SELECT 'event trigger', evtname::text, evtevent::text FROM pg_event_trigger
            UNION ALL
            SELECT 'function', p.proname::text,
                   CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) ELSE '' END
            FROM pg_proc p JOIN ours ON ours.oid = p.pronamespace
            UNION ALL
            SELECT 'policy', policyname::text, row(tablename::text, cmd, qual, with_check)::text
            FROM pg_policies
            UNION ALL
            SELECT 'extension', extname::text, extversion::text FROM pg_extension
            WHERE extname <> 'plpgsql'
            UNION ALL
            SELECT 'comment', objoid::regclass || '.' || coalesce(attname, ''), description
            FROM pg_description
            LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid
            JOIN pg_class c ON c.oid = objoid AND classoid = 'pg_class'::regclass
            JOIN ours ON ours.oid = c.relnamespace
        )
        SELECT kind, name, definition FROM found WHERE name NOT SIMILAR TO '{INFRASTRUCTURE}'
    """,
}

Catalogue = set[tuple[str, str, str]]


def read_catalogue(connection: Connection) -> Catalogue:
    """Return kind, name and definition of everything in the database but the migrations' own."""
    rows = connection.execute(text(QUERIES[connection.dialect.name])).all()
    connection.rollback()
    return {(kind, name, normalise(definition)) for kind, name, definition in rows}


def normalise(definition: str) -> str:
    """Return a definition with its parts sorted, without quotes and redundant brackets.

    SQLite keeps the text of CREATE TABLE. Where Alembic rebuilds a table, names get quotes,
    defaults get brackets, constraints come in any order, a different one in each run, and a column
    that a downgrade brings back comes last.
    """
    definition = definition.replace('"', "")
    if not definition.startswith("CREATE TABLE"):
        return definition
    definition = re.sub(r"DEFAULT \(([^()]*)\)", r"DEFAULT \1", definition)
    head, _, rest = definition.partition("(")
    body, _, tail = rest.rpartition(")")
    parts, depth, is_text = [""], 0, False
    for sign in body:
        is_text ^= sign == "'"
        depth += 0 if is_text else (sign == "(") - (sign == ")")
        if sign == "," and not depth and not is_text:
            parts.append("")
        else:
            parts[-1] += sign
    lines = sorted(" ".join(part.split()) for part in parts)
    return "\n".join([f"{head.strip()} (", *lines, f"){tail}"])


def count_rows(connection: Connection) -> dict[str, int]:
    """Return how many rows each table has, without those of the migrations themselves."""
    names = set(sa.inspect(connection).get_table_names())
    tables = [sa.table(name) for name in sorted(names - {"alembic_version", "migration_history"})]
    counts = {
        it.name: connection.scalar(sa.select(sa.func.count()).select_from(it)) or 0 for it in tables
    }
    connection.rollback()
    return counts


def read_constraints(connection: Connection, tables: set[str]) -> Catalogue:
    """Return kind, `table.name` and definition of constraints and generated columns of tables.

    Unlike the catalogue of SQLite, this does not depend on how a table was created.
    """
    inspector = sa.inspect(connection)
    found = set()
    with expected_warnings():
        for table in tables & set(inspector.get_table_names()):
            key = inspector.get_pk_constraint(table)
            found.add(("primary key", f"{table}.{key['name']}", str(key["constrained_columns"])))
            for check in inspector.get_check_constraints(table):
                found.add(("check", f"{table}.{check['name']}", check["sqltext"]))
            for column in inspector.get_columns(table):
                if computed := column.get("computed"):
                    found.add(("generated", f"{table}.{column['name']}", computed["sqltext"]))
            for unique in inspector.get_unique_constraints(table):
                found.add(("unique", f"{table}.{unique['name']}", str(unique["column_names"])))
            for foreign in inspector.get_foreign_keys(table):
                definition = (
                    f"{foreign['constrained_columns']} → {foreign['referred_table']}"
                    f" {foreign['referred_columns']} {sorted(foreign.get('options', {}).items())}"
                )
                found.add(("foreign key", f"{table}.{foreign['name']}", definition))
    connection.rollback()
    return found
