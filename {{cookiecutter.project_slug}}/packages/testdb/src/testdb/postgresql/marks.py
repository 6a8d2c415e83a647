"""The marks by which a PostgreSQL database knows what a test changed, and puts it back.

In a template, every table has a trigger that calls `nextval` on a sequence of its own: sequences
take no lock, and a rollback does not take the mark back. After a test, a function reads the marks
and gives the marked tables their first rows. An event trigger marks changes of the schema; a role
that may not make event triggers gets another copy of the template instead.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, inspect, text

from ..difference import OWN_SCHEMA, schemas

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
"""

# Returns what was needed: nothing, rows, or if that is not enough, a copy. It works as a replica
# applies changes: no foreign keys and no triggers but the marks, which it takes back.
RESET = f"""
CREATE FUNCTION {OWN_SCHEMA}.reset() RETURNS text LANGUAGE plpgsql
  SET session_replication_role = replica SET lock_timeout = '{LOCK_TIMEOUT}' AS $reset$
DECLARE needed text := 'nothing';
BEGIN
  IF (SELECT is_called FROM {OWN_SCHEMA}.ddl) THEN RETURN 'copy'; END IF;
  UNDO
  RETURN needed;
END $reset$;
"""

# PostgreSQL computes generated columns by itself, and refuses to be given them.
STORED_COLUMNS = text(
    "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute"
    " WHERE attrelid = CAST(:table AS regclass) AND attnum > 0"
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
    connection.execute(text(FUNCTIONS))
    inspector = inspect(connection)
    undo = [
        install_mark(connection, [schema, name] if schema else [name])
        for schema in schemas(inspector)
        for name in inspector.get_table_names(schema)
    ]
    sequences = text(
        "SELECT format('PERFORM setval(%L, %s, %L);', format('%I.%I', schemaname, sequencename),"
        " coalesce(last_value, start_value), last_value IS NOT NULL)"
        f" FROM pg_sequences WHERE schemaname <> '{OWN_SCHEMA}'"
    )
    undo.extend(connection.scalars(sequences))
    if connection.scalar(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")):
        connection.exec_driver_sql(RESET.replace("UNDO", "\n  ".join(undo)))
        connection.execute(text(SCHEMA_TRIGGERS))
    else:
        connection.exec_driver_sql(NO_RESET)
    connection.commit()


def install_mark(connection: Connection, path: Sequence[str]) -> str:
    """Add what notices changes of a table, and return what undoes them."""
    name, table = ".".join(path), ".".join(f'"{part}"' for part in path)
    mark, rows = f'{OWN_SCHEMA}."{name}"', f'{OWN_SCHEMA}."rows {name}"'
    connection.exec_driver_sql(
        f"CREATE SEQUENCE {mark}; CREATE TABLE {rows} AS TABLE {table};"
        " CREATE TRIGGER isolation_mark AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE"
        f" ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {OWN_SCHEMA}.mark_table('{mark}');"
        f" ALTER TABLE {table} ENABLE ALWAYS TRIGGER isolation_mark"
    )
    insert = ""
    if connection.exec_driver_sql(f"SELECT EXISTS (TABLE {rows})").scalar():
        columns = connection.scalar(STORED_COLUMNS, {"table": table})
        insert = (
            f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {rows};"
        )
    return (
        f"IF (SELECT is_called FROM {mark}) THEN needed := 'rows'; DELETE FROM {table};"
        f" {insert} PERFORM setval('{mark}', 1, false); END IF;"
    )
