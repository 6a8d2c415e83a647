"""The marks by which a PostgreSQL database knows what a test changed, and puts it back.

In a template, every table has a trigger that calls `nextval` on a sequence of its own: sequences
take no lock, and a rollback does not take the mark back. After a test, a function reads the marks
and gives the marked tables their first rows. An event trigger marks changes of the schema: then the
function drops what is new. If any row of the catalogue is not what it was, or if the role may not
make event triggers, or triggers and rules of the migrations always fire, another copy of the
template is needed.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from ..difference import BUILT_IN, OWN_SCHEMA
from ..signature import COMMENT

# No one else should be connected when a database is put back.
LOCK_TIMEOUT = "500ms"

# Whatever role a test works in, it may set marks, and forget what it left in its session.
MARKING = "LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog"
FUNCTIONS = f"""
CREATE SCHEMA {OWN_SCHEMA};
COMMENT ON SCHEMA {OWN_SCHEMA} IS '{COMMENT}';
GRANT USAGE ON SCHEMA {OWN_SCHEMA} TO PUBLIC;
CREATE SEQUENCE {OWN_SCHEMA}.ddl;
CREATE SEQUENCE {OWN_SCHEMA}.canary;
CREATE FUNCTION {OWN_SCHEMA}.mark_table() RETURNS trigger {MARKING} AS
  $$ BEGIN PERFORM nextval(TG_ARGV[0]::regclass); RETURN NULL; END $$;
CREATE FUNCTION {OWN_SCHEMA}.mark_schema() RETURNS event_trigger {MARKING} AS
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
GRANT EXECUTE ON FUNCTION {OWN_SCHEMA}.forget() TO PUBLIC;
"""

# Returns what was needed: nothing, rows, schema, or if that is not enough, a copy. It works as a
# replica applies changes: no foreign keys and no triggers but the marks, which it takes back. The
# connection stays one, as PostgreSQL forgets all plans with each change of that setting.
RESET = f"""
CREATE FUNCTION {OWN_SCHEMA}.reset() RETURNS text LANGUAGE plpgsql AS $reset$
DECLARE needed text := 'nothing'; schema text;
BEGIN
  IF current_setting('session_replication_role') <> 'replica' THEN
    SET session_replication_role = replica;
    SET lock_timeout = '{LOCK_TIMEOUT}';
  END IF;
  IF {OWN_SCHEMA}.outside() <> 'OUTSIDE' THEN RETURN 'copy'; END IF;
  IF (SELECT is_called FROM {OWN_SCHEMA}.ddl) THEN
    schema := 'schema';
    IF NOT {OWN_SCHEMA}.drop_new() THEN RETURN 'copy'; END IF;
  END IF;
  UNDO
  RETURN coalesce(schema, needed);
END $reset$;
"""

# What a test can change, and no trigger sees: event triggers, large objects, the comment, settings
# and rights of the database, and locks that a connection holds which is not of the engine's pool.
# Who has given a right is left out: in a copy, that is its owner.
OUTSIDE = f"""
CREATE FUNCTION {OWN_SCHEMA}.outside() RETURNS text LANGUAGE plpgsql AS $$
DECLARE own pg_database;
BEGIN
  SELECT * INTO own FROM pg_database WHERE datname = current_database();
  RETURN concat_ws(' ',
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = own.oid),
    (SELECT count(*) FROM pg_shdescription WHERE objoid = own.oid
      AND classoid = 'pg_database'::regclass AND description LIKE '{COMMENT}%'),
    (SELECT md5(string_agg(setrole || setconfig::text, ' ' ORDER BY setrole))
      FROM pg_db_role_setting WHERE setdatabase = own.oid),
    (SELECT md5(string_agg(concat_ws(' ', grantee, privilege_type, is_grantable), ' '
      ORDER BY grantee, privilege_type)) FROM aclexplode(own.datacl)),
    (SELECT md5(string_agg(t::text, ' ' ORDER BY oid)) FROM pg_event_trigger t),
    (SELECT md5(string_agg(m::text, ' ' ORDER BY oid)) FROM pg_largeobject_metadata m),
    (SELECT md5(string_agg(md5(data) || o.loid || ':' || o.pageno, ' ' ORDER BY loid, pageno))
      FROM pg_largeobject o));
END $$;
"""

# The number of rows in each table of the catalogue, and another number if one was written `since`:
# a change leaves a row of a later transaction, or one less. Left out is what says nothing about the
# schema, and the namespaces of temporary tables, which stay.
CATALOGUE = f"""
CREATE TABLE {OWN_SCHEMA}.first (since xid, newest oid, catalogue bigint[]);
DO $do$ BEGIN EXECUTE (
  SELECT 'CREATE FUNCTION {OWN_SCHEMA}.catalogue(since xid) RETURNS bigint[] LANGUAGE plpgsql AS '
    || quote_literal('BEGIN RETURN ARRAY[' || string_agg(
      '(SELECT count(*) - 1000000 * count(*) FILTER (WHERE age(xmin) < age(since)) FROM '
        || oid::regclass || CASE relname WHEN 'pg_namespace'
        THEN ' WHERE nspname !~ ''^pg_(toast_)?temp_'')' ELSE ')' END, ', ') || ']; END')
  FROM pg_class
  WHERE relkind = 'r' AND relnamespace = 'pg_catalog'::regnamespace AND NOT relisshared
    AND relname NOT IN
      ('pg_largeobject', 'pg_largeobject_metadata', 'pg_statistic', 'pg_statistic_ext_data'));
END $do$;
"""

# Drops schemas, tables, views, sequences and types that are newer than the template.
DROP_NEW = f"""
CREATE FUNCTION {OWN_SCHEMA}.drop_new() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE first {OWN_SCHEMA}.first; statement text;
BEGIN
  SELECT * INTO first FROM {OWN_SCHEMA}.first;
  IF {OWN_SCHEMA}.catalogue(first.since) <> first.catalogue THEN
    FOR statement IN
      SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', nspname)
      FROM pg_namespace WHERE oid > first.newest AND nspname !~ '^pg_'
      UNION ALL SELECT format('DROP %s IF EXISTS %I.%I CASCADE',
        CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
          WHEN 'S' THEN 'SEQUENCE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, nspname, relname)
      FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
      WHERE pg_class.oid > first.newest AND relkind IN ('r', 'p', 'v', 'm', 'S', 'c')
        AND relpersistence <> 't'
      UNION ALL SELECT format('DROP TYPE IF EXISTS %I.%I CASCADE', nspname, typname)
      FROM pg_type JOIN pg_namespace n ON n.oid = typnamespace
      WHERE pg_type.oid > first.newest AND typtype IN ('d', 'e', 'r')
    LOOP EXECUTE statement; END LOOP;
    IF {OWN_SCHEMA}.catalogue(first.since) <> first.catalogue THEN RETURN false; END IF;
  END IF;
  PERFORM setval('{OWN_SCHEMA}.ddl', 1, false);
  RETURN true;
END $$;
"""

# In a transaction behind that of all that is there.
NOTE_FIRST = f"""
SELECT setval('{OWN_SCHEMA}.ddl', 1, false);
INSERT INTO {OWN_SCHEMA}.first SELECT since,
  greatest((SELECT max(oid) FROM pg_class), (SELECT max(oid) FROM pg_type),
    (SELECT max(oid) FROM pg_namespace)),
  {OWN_SCHEMA}.catalogue(since)
FROM CAST(CAST(pg_current_xact_id() AS text) AS xid) AS since
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

# What does more than a replica does when rows are put back. Asked before there are marks.
ALWAYS = text(
    "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgenabled IN ('A', 'R'))"
    " OR EXISTS (SELECT FROM pg_event_trigger WHERE evtenabled IN ('A', 'R'))"
    " OR EXISTS (SELECT FROM pg_rewrite WHERE ev_enabled IN ('A', 'R'))"
)

# Their numbers and names.
SEQUENCES = text(
    "SELECT CAST(c.oid AS bigint), format('%I.%I', nspname, relname)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
    f" WHERE relkind = 'S' AND relpersistence <> 't' AND nspname <> '{OWN_SCHEMA}'"
)

IS_SUPERUSER = text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")

# Whether the schema is one that testdb made, of the template that this one is a copy of.
IS_OWN = text(
    "SELECT EXISTS (SELECT FROM pg_namespace"
    f" WHERE nspname = '{OWN_SCHEMA}' AND obj_description(oid, 'pg_namespace') = '{COMMENT}')"
)

# For a role that may neither watch the schema nor leave foreign keys aside, and for triggers and
# rules that cannot be left aside.
NO_RESET = f"CREATE FUNCTION {OWN_SCHEMA}.reset() RETURNS text LANGUAGE sql AS $$ SELECT 'copy' $$"

SCHEMA_TRIGGERS = f"""
CREATE EVENT TRIGGER testdb_ddl ON ddl_command_end EXECUTE FUNCTION {OWN_SCHEMA}.mark_schema();
CREATE EVENT TRIGGER testdb_drop ON sql_drop EXECUTE FUNCTION {OWN_SCHEMA}.mark_schema();
ALTER EVENT TRIGGER testdb_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER testdb_drop ENABLE ALWAYS;
"""


def install_marks(connection: Connection) -> None:
    """Add what notices changes and undoes them, and keep a copy of the rows that are there."""
    is_superuser = connection.scalar(IS_SUPERUSER)
    if is_superuser:
        # The event triggers of migrations do not record what is testdb's own.
        run(connection, "SET LOCAL session_replication_role = replica")
    if connection.scalar(IS_OWN):
        run(connection, f"DROP SCHEMA {OWN_SCHEMA} CASCADE")
    is_alone = not connection.scalar(ALWAYS)
    run(connection, FUNCTIONS)
    tables = connection.execute(TABLES).all()
    undo = [install_mark(connection, *table) for table in tables]
    if is_alone and is_superuser:
        sequences = connection.execute(SEQUENCES).all()
        undo.extend(put_back_sequence(connection, *sequence) for sequence in sequences)
        run(connection, OUTSIDE)
        run(connection, CATALOGUE)
        run(connection, DROP_NEW)
        run(connection, SCHEMA_TRIGGERS)
        outside = connection.scalar(text(f"SELECT {OWN_SCHEMA}.outside()"))
        reset = RESET.replace("OUTSIDE", str(outside)).replace("UNDO", "\n  ".join(undo))
        run(connection, reset)
        connection.commit()
        run(connection, NOTE_FIRST)
    else:
        run(connection, NO_RESET)
    connection.commit()


def put_back_sequence(connection: Connection, oid: int, sequence: str) -> str:
    """Return what gives a sequence its first value.

    It is asked itself: the server's list has no value of one that is set and not used yet.
    """
    query = f"SELECT last_value, is_called FROM {sequence}".replace("%", "%%")
    first = connection.exec_driver_sql(query).one()
    return f"PERFORM setval({oid}, {first.last_value}, {first.is_called});"


def install_mark(connection: Connection, table: str, oid: int, above: Sequence[int]) -> str:
    """Add what notices changes of a table, and return what undoes them.

    What belongs to a table is named after its number: PostgreSQL cuts long names. `above` are the
    numbers of the tables by which this one can be changed, itself included.
    """
    mark, rows = f'{OWN_SCHEMA}."{oid}"', f'{OWN_SCHEMA}."rows {oid}"'
    run(
        connection,
        f"CREATE SEQUENCE {mark}; CREATE TABLE {rows} AS SELECT * FROM ONLY {table};"
        " CREATE TRIGGER testdb_mark AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE"
        f" ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {OWN_SCHEMA}.mark_table('{mark}');"
        f" ALTER TABLE {table} ENABLE ALWAYS TRIGGER testdb_mark",
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
