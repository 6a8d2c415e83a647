"""The marks by which a PostgreSQL database knows what a test changed, and puts it back.

In a template, every table has a trigger that calls `nextval` on a sequence of its own: sequences
take no lock, and a rollback does not take the mark back. After a test, a function reads the marks
and gives the marked tables their first rows. An event trigger marks changes of the schema; a role
that may not make event triggers gets another copy of the template instead.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from ..difference import BUILT_IN, OWN_SCHEMA

# No one else should be connected when a database is put back.
LOCK_TIMEOUT = "500ms"

FUNCTIONS = f"""
CREATE SCHEMA {OWN_SCHEMA};
CREATE SEQUENCE {OWN_SCHEMA}.ddl;
CREATE SEQUENCE {OWN_SCHEMA}.canary;
CREATE FUNCTION {OWN_SCHEMA}.mark_table() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM nextval(TG_ARGV[0]::regclass); RETURN NULL; END $$;
CREATE FUNCTION {OWN_SCHEMA}.mark_schema() RETURNS event_trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM nextval('{OWN_SCHEMA}.ddl'); END $$;
CREATE FUNCTION {OWN_SCHEMA}.forget() RETURNS void LANGUAGE plpgsql AS $$
DECLARE prepared text;
BEGIN
  PERFORM pg_advisory_unlock_all();
  -- Not those of a driver, which it would still use.
  FOR prepared IN SELECT name FROM pg_prepared_statements WHERE from_sql LOOP
    EXECUTE format('DEALLOCATE %I', prepared);
  END LOOP;
END $$;
"""

# Returns what was needed: nothing, rows, or if that is not enough, a copy. It works as a replica
# applies changes: no foreign keys and no triggers but the marks, which it takes back.
RESET = f"""
CREATE FUNCTION {OWN_SCHEMA}.reset() RETURNS text LANGUAGE plpgsql
  SET session_replication_role = replica SET lock_timeout = '{LOCK_TIMEOUT}' AS $reset$
DECLARE needed text := 'nothing';
BEGIN
  IF (SELECT is_called FROM {OWN_SCHEMA}.ddl) OR {OWN_SCHEMA}.outside() <> 'OUTSIDE'
    THEN RETURN 'copy'; END IF;
  UNDO
  RETURN needed;
END $reset$;
"""

# What a test can change, and no trigger sees: large objects, settings of the database, and locks
# that a connection holds which is not of the engine's pool.
OUTSIDE = f"""
CREATE FUNCTION {OWN_SCHEMA}.outside() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
      WHERE locktype = 'advisory' AND datname = current_database())
    || coalesce((SELECT string_agg(s::text, ' ') FROM pg_db_role_setting s
      JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()), '')
    || coalesce((SELECT md5(string_agg(m::text, ' ' ORDER BY oid))
      FROM pg_largeobject_metadata m), '')
    || coalesce((SELECT md5(string_agg(md5(data) || o.loid || ':' || o.pageno, ' '
      ORDER BY loid, pageno)) FROM pg_largeobject o), '');
END $$;
"""

# Tables, each behind all that inherit from it or are its partitions: a statement on a table marks
# that table alone, and changes those as well.
TABLES = text(f"""
WITH RECURSIVE ancestors (oid, ancestor, depth) AS (
  SELECT oid, oid, 0 FROM pg_class WHERE relkind IN ('r', 'p')
  UNION SELECT a.oid, inhparent, depth + 1
  FROM ancestors a JOIN pg_inherits ON inhrelid = ancestor
)
SELECT format('%I.%I', nspname, relname), CAST(c.oid AS bigint),
  array_agg(DISTINCT CAST(ancestor AS bigint))
FROM ancestors JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname NOT IN {BUILT_IN} AND nspname NOT LIKE 'pg\\_%'
GROUP BY c.oid, nspname, relname ORDER BY max(depth) DESC, c.oid
""")

# PostgreSQL computes generated columns by itself, and refuses to be given them.
STORED_COLUMNS = text(
    "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute"
    " WHERE attrelid = :table AND attnum > 0"
    " AND NOT attisdropped AND attgenerated = ''"
)

# For a role that may neither watch the schema nor leave foreign keys aside.
NO_RESET = f"CREATE FUNCTION {OWN_SCHEMA}.reset() RETURNS text LANGUAGE sql AS $$ SELECT 'copy' $$"

SCHEMA_TRIGGERS = f"""
CREATE EVENT TRIGGER isolation_ddl ON ddl_command_end EXECUTE FUNCTION {OWN_SCHEMA}.mark_schema();
CREATE EVENT TRIGGER isolation_drop ON sql_drop EXECUTE FUNCTION {OWN_SCHEMA}.mark_schema();
ALTER EVENT TRIGGER isolation_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER isolation_drop ENABLE ALWAYS;
"""


def install_marks(connection: Connection) -> None:
    """Add what notices changes and undoes them, and keep a copy of the rows that are there."""
    connection.execute(text(f"DROP SCHEMA IF EXISTS {OWN_SCHEMA} CASCADE"))
    run(connection, FUNCTIONS)
    tables = connection.execute(TABLES).all()
    undo = [install_mark(connection, *table) for table in tables]
    sequences = text(
        "SELECT format('PERFORM setval(%L, %s, %L);', format('%I.%I', schemaname, sequencename),"
        " coalesce(last_value, start_value), last_value IS NOT NULL)"
        f" FROM pg_sequences WHERE schemaname <> '{OWN_SCHEMA}'"
    )
    undo.extend(connection.scalars(sequences))
    if connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")):
        run(connection, OUTSIDE)
        outside = connection.scalar(text(f"SELECT {OWN_SCHEMA}.outside()"))
        reset = RESET.replace("OUTSIDE", str(outside)).replace("UNDO", "\n  ".join(undo))
        run(connection, reset)
        run(connection, SCHEMA_TRIGGERS)
    else:
        run(connection, NO_RESET)
    connection.commit()


def install_mark(connection: Connection, table: str, oid: int, above: Sequence[int]) -> str:
    """Add what notices changes of a table, and return what undoes them.

    What belongs to a table is named after its number: PostgreSQL cuts long names. `above` are the
    numbers of the tables by which this one can be changed, itself included.
    """
    mark, rows = f'{OWN_SCHEMA}."{oid}"', f'{OWN_SCHEMA}."rows {oid}"'
    run(
        connection,
        f"CREATE SEQUENCE {mark}; CREATE TABLE {rows} AS SELECT * FROM ONLY {table};"
        " CREATE TRIGGER isolation_mark AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE"
        f" ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {OWN_SCHEMA}.mark_table('{mark}');"
        f" ALTER TABLE {table} ENABLE ALWAYS TRIGGER isolation_mark",
    )
    insert = ""
    if connection.scalar(text(f"SELECT EXISTS (TABLE {rows})")):
        columns = connection.scalar(STORED_COLUMNS, {"table": oid})
        insert = (
            f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {rows};"
        )
    marked = " OR ".join(f'(SELECT is_called FROM {OWN_SCHEMA}."{other}")' for other in above)
    return (
        f"IF {marked} THEN needed := 'rows'; DELETE FROM ONLY {table};"
        f" {insert} PERFORM setval('{mark}', 1, false); END IF;"
    )


def run(connection: Connection, statements: str) -> None:
    """Run statements as they are: a name in them may hold what SQLAlchemy or the driver expands."""
    connection.exec_driver_sql(statements.replace("%", "%%"))
