"""How the databases of tests are put back: in the cheapest way that leaves nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import testdb.database
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from service.models import Base
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.orm import sessionmaker
from testdb.difference import OWN_SCHEMA
from testdb.migrations import TemplateError
from testdb.postgresql.database import PostgresqlDatabase
from testdb.postgresql.server import Server, connect_server
from testdb.postgresql.templates import Templates
from testdb.report import IsolationReport
from testdb.run import Run
from testdb.signature import COMMENT, PREFIX

ADD_USER = (
    "INSERT INTO users (id, email, name)"
    " VALUES ('00000000000000000000000000000001', 'one@example.com', 'One')"
)


@pytest.fixture
def postgresql_server(own_run: Run) -> Server:
    """The PostgreSQL server on which tests make databases."""
    return own_run.postgresql.server


@pytest.fixture
def own_database(own_run: Run) -> Iterator[PostgresqlDatabase]:
    """A PostgreSQL database that no other test uses."""
    with own_run.postgresql.isolated() as database:
        yield database


def create_psycopg(url: URL) -> Engine:
    """Return a plain engine."""
    return create_engine(url.set(drivername="postgresql+psycopg"))


@pytest.mark.parametrize("threshold", [None, 5])
def test_connections_that_prepare_nothing_outlive_a_table(
    own_run: Run, own_database: PostgresqlDatabase, threshold: int | None
) -> None:
    def make_engine(url: URL) -> Engine:
        options = {"prepare_threshold": threshold}
        return create_engine(url.set(drivername="postgresql+psycopg"), connect_args=options)

    isolation = replace(own_run.isolation, engine=make_engine, sessions=sessionmaker)
    database = testdb.database.IsolatedDatabase(own_database, isolation, IsolationReport())
    processes = set()
    for kind in ("INTEGER", "TEXT"):
        with database.engine.connect() as connection:
            connection.execute(text(f"CREATE TABLE extra (id {kind})"))
            for _ in range(7):
                assert connection.execute(text("SELECT * FROM extra")).all() == []
            processes.add(connection.scalar(text("SELECT pg_backend_pid()")))
            connection.commit()
        database.renew()
    database.close()

    assert len(processes) == (1 if threshold is None else 2)


def set_time_zone(connection: Any) -> Any:
    """Set something that a rollback and RESET do not know."""
    connection.autocommit = True
    connection.execute("SET TIME ZONE 'Asia/Tokyo'")
    connection.autocommit = False
    return connection


def connect_anew(*_: object, url: URL) -> Any:
    """Return a connection that is set up."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return set_time_zone(psycopg.connect(plain))


def set_encoding(raw: Any) -> None:
    """Choose how texts are sent."""
    if hasattr(raw, "set_client_encoding"):
        raw.set_client_encoding("LATIN1")
    else:
        raw.execute("SET client_encoding TO 'LATIN1'")


def notify(raw: Any) -> None:
    """Receive a notification, and a notice, and leave them there."""
    cursor = raw.cursor()
    cursor.execute("LISTEN left_over")
    raw.commit()
    cursor.execute("NOTIFY left_over, 'one'")
    cursor.execute("DO $$ BEGIN RAISE NOTICE 'left over'; END $$")
    raw.commit()
    cursor.execute("SELECT 1")


def listen_for_notices(raw: Any) -> None:
    """Ask psycopg to be told."""
    if hasattr(raw, "add_notice_handler"):
        raw.add_notice_handler(print)
        raw.add_notify_handler(print)


def kept_by(raw: Any) -> list[object]:
    """Return what a driver keeps for its callers."""
    if hasattr(raw, "notices"):
        return [raw.encoding, *raw.notices, *raw.notifies]
    handlers = len(raw._notice_handlers), len(raw._notify_handlers)  # noqa: SLF001
    return [raw.info.encoding, *handlers, *raw.notifies(timeout=0)]


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("change", [set_encoding, notify, listen_for_notices])
def test_what_a_driver_keeps_for_a_test_is_gone_afterwards(
    own_run: Run,
    own_database: PostgresqlDatabase,
    driver: str,
    change: Callable[[Any], None],
) -> None:
    def make_engine(url: URL) -> Engine:
        return create_engine(url.set(drivername=f"postgresql+{driver}"))

    isolation = replace(own_run.isolation, engine=make_engine, sessions=sessionmaker)
    database = testdb.database.IsolatedDatabase(own_database, isolation, IsolationReport())
    found = []
    for _ in range(2):
        with database.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            found.append(kept_by(raw))
            change(raw)
        database.renew()
    database.close()

    assert found[0] == found[1]


@pytest.mark.slow
def test_pg8000_finds_the_server_by_its_socket(
    own_run: Run, own_database: PostgresqlDatabase
) -> None:
    def make_engine(url: URL) -> Engine:
        return create_engine(url.set(drivername="postgresql+pg8000"))

    isolation = replace(own_run.isolation, engine=make_engine, sessions=sessionmaker)
    database = testdb.database.IsolatedDatabase(own_database, isolation, IsolationReport())

    with database.engine.connect() as connection:
        assert connection.scalar(text("SELECT current_database()")) == own_database.name
    database.close()


# How a service may set up its sessions.
SET_UPS: dict[str, Callable[[URL], Engine]] = {
    "listener": lambda url: listening(url, "connect", lambda it, _: set_time_zone(it) and None),
    "named": lambda url: listening(
        url, "connect", lambda **it: set_time_zone(it["dbapi_connection"]) and None, named=True
    ),
    "do_connect": lambda url: listening(url, "do_connect", partial(connect_anew, url=url)),
    "creator": lambda url: create_engine(url, creator=partial(connect_anew, url=url)),
}


def listening(url: URL, event_name: str, function: Any, **options: Any) -> Engine:
    """Return an engine with a listener."""
    engine = create_engine(url)
    event.listen(engine, event_name, function, **options)
    return engine


@pytest.mark.slow
@pytest.mark.parametrize("way", SET_UPS)
def test_sessions_are_set_up_as_the_service_does_it(
    own_run: Run, own_database: PostgresqlDatabase, way: str
) -> None:
    def make_engine(url: URL) -> Engine:
        return SET_UPS[way](url.set(drivername="postgresql+psycopg"))

    isolation = replace(own_run.isolation, engine=make_engine, sessions=sessionmaker)
    database = testdb.database.IsolatedDatabase(own_database, isolation, IsolationReport())
    found = []
    for _ in range(2):
        with database.engine.connect() as connection:
            found.append(connection.scalar(text("SHOW TIME ZONE")))
        database.renew()
    database.close()

    assert found == ["Asia/Tokyo", "Asia/Tokyo"]


@pytest.mark.slow
def test_the_service_does_not_see_the_schema_of_testdb(
    own_run: Run, own_database: PostgresqlDatabase
) -> None:
    isolation = replace(own_run.isolation, engine=create_psycopg, sessions=sessionmaker)
    database = testdb.database.IsolatedDatabase(own_database, isolation, IsolationReport())

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_schemas": True})
        found = compare_metadata(context, Base.metadata)
        names = inspect(connection).get_schema_names()
    database.close()

    assert found == []
    assert sorted(names) == ["information_schema", "public"]


@pytest.mark.slow
def test_a_database_that_another_process_rebuilt_is_noticed(own_run: Run) -> None:
    postgresql_server, template = own_run.postgresql.server, own_run.postgresql.templates.migrated()
    name = f"{PREFIX}{uuid4().hex}"
    database = PostgresqlDatabase(postgresql_server, name, template)
    postgresql_server.drop(name)
    postgresql_server.create(name, template)

    with pytest.raises(RuntimeError, match="was rebuilt while tests ran on it"):
        database.close()
    postgresql_server.drop(name)


@pytest.mark.slow
def test_a_database_of_a_run_whose_lock_is_elsewhere_stays(postgresql_server: Server) -> None:
    name = f"{PREFIX}{uuid4().hex}"
    postgresql_server.create(name)
    mark = f"{COMMENT} of run {uuid4().hex} by another_database"
    postgresql_server.execute(f"COMMENT ON DATABASE \"{name}\" IS '{mark}'")

    postgresql_server.drop_abandoned()

    assert name in postgresql_server.databases()
    postgresql_server.drop(name)


@pytest.mark.slow
def test_a_database_with_another_comment_is_dropped_where_it_was_made(
    own_run: Run, postgresql_server: Server
) -> None:
    names = text("SELECT datname FROM pg_database")
    with own_run.postgresql.isolated() as database:
        with database.connected() as connection:
            connection.exec_driver_sql(OTHER_COMMENT)
            connection.commit()
        assert database.name in postgresql_server.connection.scalars(names).all()

    assert database.name not in postgresql_server.connection.scalars(names).all()


@pytest.mark.slow
def test_a_database_that_tests_did_not_make_is_never_dropped(postgresql_server: Server) -> None:
    name = f"{PREFIX}{uuid4().hex}"
    postgresql_server.execute(f'CREATE DATABASE "{name}"')

    with pytest.raises(RuntimeError, match="is not a test database"):
        postgresql_server.drop(name)

    postgresql_server.execute(f'DROP DATABASE "{name}"')


# What there is, in words: names, columns, comments and rights.
SCHEMA = """
    SELECT string_agg(it, E'\n' ORDER BY it) FROM (
    SELECT concat_ws(' ', nspname, relname, relacl, obj_description(c.oid, 'pg_class')) AS it
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT concat_ws(' ', attrelid::regclass, attname, atttypid::regtype)
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname !~ '^pg_'
    UNION ALL SELECT typname FROM pg_type UNION ALL SELECT proname FROM pg_proc) AS parts
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "needed"),
    [
        ("SELECT 1", "nothing"),
        (ADD_USER, "rows"),
        (f"SET session_replication_role = replica; {ADD_USER}", "rows"),
        ("CREATE TABLE extra (id UUID REFERENCES users); DROP TABLE extra", "schema"),
        (f"CREATE TABLE extra (id UUID REFERENCES users); {ADD_USER}", "schema"),
        (
            "CREATE SCHEMA extra CREATE TABLE extra (id SERIAL) CREATE VIEW one AS SELECT 1",
            "schema",
        ),
        ("CREATE TYPE extra AS ENUM ('one'); CREATE TABLE more (it extra)", "schema"),
        ("CREATE TEMPORARY TABLE extra (id INTEGER)", "schema"),
        ("ALTER TABLE users ADD extra INTEGER", "spare"),
        ("ALTER TABLE users ADD extra INTEGER; ALTER TABLE users DROP extra", "spare"),
        ("CREATE TABLE extra (id INTEGER); TRUNCATE log", "spare"),
        ("CREATE FUNCTION extra() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'", "spare"),
        ("CREATE INDEX extra ON users (name)", "spare"),
        ("COMMENT ON TABLE users IS 'extra'", "spare"),
        ("GRANT SELECT ON users TO pg_monitor", "spare"),
        ("DROP TABLE log", "spare"),
    ],
)
def test_the_cheapest_way_back_is_taken(
    own_database: PostgresqlDatabase,
    statement: str,
    needed: str,
) -> None:
    with own_database.connected() as connection:
        before = connection.scalar(text(SCHEMA))
        connection.execute(text(statement))
        connection.commit()

    assert own_database.renew() == needed
    with own_database.connected() as connection:
        assert connection.scalar(text(SCHEMA)) == before


# What migrations can make, what a test does to it, and what is there again afterwards.
LONG = "a" * 58
ODD = '"100%s ""of"" :name\'s $$"'
AUDIT = (
    "CREATE SCHEMA audit CREATE TABLE log (id INTEGER,"
    " double INTEGER GENERATED ALWAYS AS (2 * id) STORED,"
    " number INTEGER GENERATED ALWAYS AS IDENTITY)"
)
READ_ONLY = (
    "DO $do$ BEGIN EXECUTE 'ALTER DATABASE ' || quote_ident(current_database())"
    " || ' SET default_transaction_read_only = on'; END $do$"
)
RELATIVES = (
    "CREATE TABLE parent (id INTEGER)",
    "CREATE TABLE child (more INTEGER DEFAULT 7) INHERITS (parent)",
    "CREATE TABLE grandchild () INHERITS (child)",
    "CREATE TABLE measurements (id INTEGER) PARTITION BY RANGE (id)",
    "CREATE TABLE low PARTITION OF measurements FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE high PARTITION OF measurements FOR VALUES FROM (10) TO (99)",
    "INSERT INTO parent VALUES (1)",
    "INSERT INTO child VALUES (2)",
    "INSERT INTO grandchild VALUES (3)",
    "INSERT INTO measurements VALUES (4), (44)",
)
AUDITED = (
    "CREATE TABLE log (id INTEGER)",
    "CREATE TABLE users (id INTEGER)",
    (
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN INSERT INTO log VALUES (1); RETURN NULL; END $$"
    ),
    "CREATE TRIGGER note AFTER INSERT OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION note()",
    "ALTER TABLE users ENABLE ALWAYS TRIGGER note",
)
SET = "EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || ' SET "
SETTINGS = (
    "CREATE SCHEMA app CREATE TABLE log (id INTEGER)",
    f'DO $do$ BEGIN {SET} search_path TO app, "$user", public\'; END $do$',
    f"DO $do$ BEGIN {SET} app.title TO ' || quote_literal('it''s'); END $do$",
)
OTHER_COMMENT = (
    "DO $do$ BEGIN EXECUTE 'COMMENT ON DATABASE ' || quote_ident(current_database())"
    " || ' IS $$mine$$'; END $do$"
)
NO_PATH = f"DO $do$ BEGIN {SET} search_path TO '''''; END $do$"
KEPT = (
    "CREATE TABLE ledger (id INTEGER)",
    "CREATE RULE kept AS ON DELETE TO ledger DO INSTEAD NOTHING",
    "ALTER TABLE ledger ENABLE REPLICA RULE kept",
)
DENY = (
    (
        "CREATE FUNCTION deny() RETURNS event_trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE 'no views here'; END $$"
    ),
    (
        "CREATE EVENT TRIGGER deny ON ddl_command_start WHEN TAG IN ('CREATE VIEW')"
        " EXECUTE FUNCTION deny()"
    ),
)
EVENT_TRIGGERS = (
    "SELECT array(SELECT concat(evtname, evtenabled) FROM pg_event_trigger"
    " WHERE evtname NOT LIKE 'testdb%' ORDER BY 1)"
)
ON_DATABASE = (
    "DO $do$ BEGIN EXECUTE '{} ON DATABASE ' || quote_ident(current_database()) || ' {}'; END $do$"
)
REVOKE = ("REVOKE TEMPORARY", "FROM PUBLIC")
NO_TEMPORARY = ON_DATABASE.format(*REVOKE)
RIGHTS = (
    "SELECT array(SELECT concat_ws(' ', CAST(grantee AS regrole), privilege_type,"
    " CAST(is_grantable AS text))"
    " FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))"
    " WHERE datname = current_database() ORDER BY 1)"
)
EVERYWHERE = (
    "SELECT array(SELECT tableoid::regclass || ' ' || id FROM parent ORDER BY 1)"
    " || array(SELECT tableoid::regclass || ' ' || id FROM measurements ORDER BY 1)"
)
Case = tuple[Sequence[str], Sequence[str], str, str]
MIGRATED: dict[str, Case] = {
    "another schema": (
        (
            AUDIT,
            "INSERT INTO audit.log VALUES (1)",
        ),
        ("INSERT INTO audit.log VALUES (2)",),
        "SELECT array(SELECT log::text FROM audit.log)",
        "rows",
    ),
    "parent changed": (RELATIVES, ("UPDATE parent SET id = id + 10",), EVERYWHERE, "rows"),
    "parent emptied": (RELATIVES, ("DELETE FROM parent",), EVERYWHERE, "rows"),
    "parent truncated": (RELATIVES, ("TRUNCATE parent, measurements",), EVERYWHERE, "rows"),
    "child changed": (RELATIVES, ("INSERT INTO child VALUES (5)",), EVERYWHERE, "rows"),
    "only grandchild changed": (RELATIVES, ("DELETE FROM grandchild",), EVERYWHERE, "rows"),
    "rows moved": (RELATIVES, ("UPDATE measurements SET id = 48 - id",), EVERYWHERE, "rows"),
    "partition changed": (RELATIVES, ("DELETE FROM low",), EVERYWHERE, "rows"),
    "long names": (
        (
            f"CREATE TABLE {LONG}_one (id INTEGER)",
            f"CREATE TABLE {LONG}_two (id INTEGER)",
            f"INSERT INTO {LONG}_two VALUES (1)",
        ),
        (f"INSERT INTO {LONG}_one VALUES (1)", f"DELETE FROM {LONG}_two"),
        f"SELECT array(SELECT 1 FROM {LONG}_one) || array(SELECT id FROM {LONG}_two)",
        "rows",
    ),
    "odd names": (
        (f'CREATE TABLE {ODD} ("%(id)s" INTEGER)', f"INSERT INTO {ODD} VALUES (1)"),
        (f"INSERT INTO {ODD} VALUES (2)",),
        f'SELECT array(SELECT "%(id)s" FROM {ODD})',
        "rows",
    ),
    "trigger that always fires": (
        AUDITED,
        ("INSERT INTO users VALUES (1)",),
        "SELECT array(SELECT id FROM users UNION ALL SELECT id FROM log)",
        "spare",
    ),
    "rule of a replica": (
        KEPT,
        ("INSERT INTO ledger VALUES (1)",),
        "SELECT array(SELECT id FROM ledger)",
        "spare",
    ),
    "large object": (
        ("SELECT lo_from_bytea(4711, 'first')",),
        ("SELECT lo_put(4711, 0, 'other')",),
        "SELECT array(SELECT encode(lo_get(oid), 'escape') FROM pg_largeobject_metadata)",
        "spare",
    ),
    "no large object": (
        (),
        ("SELECT lo_from_bytea(0, 'left over')",),
        "SELECT array(SELECT oid FROM pg_largeobject_metadata)",
        "spare",
    ),
    "settings that migrations made": (
        SETTINGS,
        ("INSERT INTO log VALUES (1)",),
        "SELECT array(SELECT id::text FROM log) || current_setting('app.title')",
        "rows",
    ),
    "no search path": (
        (SETTINGS[0], NO_PATH),
        ("INSERT INTO app.log VALUES (1)",),
        "SELECT array(SELECT id::text FROM app.log) || current_setting('search_path')",
        "rows",
    ),
    "sequences that are set and not used": (
        (
            "CREATE TABLE orders (id SERIAL PRIMARY KEY)",
            "INSERT INTO orders VALUES (1), (2)",
            "ALTER SEQUENCE orders_id_seq RESTART WITH 1000",
            'CREATE SEQUENCE "odd %s"',
            "SELECT setval('\"odd %s\"', 5000, false)",
        ),
        ("INSERT INTO orders VALUES (default)", "SELECT nextval('\"odd %s\"')"),
        'SELECT array[o.last_value, s.last_value] FROM orders_id_seq o, "odd %s" s',
        "rows",
    ),
    "sequences that are used alone": (
        ("CREATE SEQUENCE numbers", "SELECT nextval('numbers')"),
        ("SELECT nextval('numbers')",),
        "SELECT array[last_value] FROM numbers",
        "nothing",
    ),
    "event trigger made": (DENY[:1], DENY[1:], EVENT_TRIGGERS, "spare"),
    "event trigger disabled": (
        DENY,
        ("ALTER EVENT TRIGGER deny DISABLE",),
        EVENT_TRIGGERS,
        "spare",
    ),
    "event trigger dropped": (DENY, ("DROP EVENT TRIGGER deny",), EVENT_TRIGGERS, "spare"),
    "event trigger that logs": (
        (
            "CREATE TABLE changes (tag TEXT)",
            (
                "CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql"
                " AS $$ BEGIN INSERT INTO changes VALUES (tg_tag); END $$"
            ),
            "CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note()",
        ),
        ("CREATE TABLE extra (id INTEGER)",),
        "SELECT array(SELECT tag FROM changes)",
        "schema",
    ),
    "event trigger that always fires": (
        (*DENY, "ALTER EVENT TRIGGER deny ENABLE ALWAYS"),
        ("CREATE TABLE extra (id INTEGER)",),
        "SELECT array[to_regclass('extra')]",
        "spare",
    ),
    "rights that a test took": ((), (NO_TEMPORARY,), RIGHTS, "spare"),
    "comment on the database": (
        (),
        (OTHER_COMMENT,),
        (
            "SELECT array[shobj_description(oid, 'pg_database') LIKE 'test database%']"
            " FROM pg_database WHERE datname = current_database()"
        ),
        "spare",
    ),
    "a schema of a common name": (
        ("CREATE SCHEMA isolation CREATE TABLE wards (id INTEGER)",),
        ("INSERT INTO isolation.wards VALUES (1)",),
        "SELECT array(SELECT id FROM isolation.wards)",
        "rows",
    ),
    "setting of the database": (
        (),
        (READ_ONLY,),
        "SELECT array[current_setting('default_transaction_read_only')]",
        "spare",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", MIGRATED.values(), ids=[*MIGRATED])
def test_whatever_migrations_made_is_put_back(
    own_run: Run, postgresql_server: Server, case: Case
) -> None:
    made, done, query, needed = case

    def execute(connection: Connection, *statements: str) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))

    part = f"_{uuid4().hex[:8]}"
    template = own_run.postgresql.templates.ensure(lambda it: execute(it, *made), part=part)
    name = f"{PREFIX}{uuid4().hex}"
    with closing(PostgresqlDatabase(postgresql_server, name, template)) as database:
        found = []
        for statements in (done, ()):
            with database.connected() as connection:
                found.append(connection.exec_driver_sql(query.replace("%", "%%")).scalar())
                execute(connection, *statements)
                connection.commit()
            if statements:
                found.append(database.renew())
    postgresql_server.drop(template)

    assert found == [found[0], needed, found[0]]


@pytest.mark.slow
def test_a_difference_sees_other_schemas(own_run: Run, postgresql_server: Server) -> None:
    part = f"_{uuid4().hex[:8]}"
    made = text("CREATE SCHEMA audit CREATE TABLE log (id INTEGER)")
    template = own_run.postgresql.templates.ensure(lambda it: it.execute(made), part=part)
    name = f"{PREFIX}{uuid4().hex}"
    with closing(PostgresqlDatabase(postgresql_server, name, template)) as database:
        with database.connected() as connection:
            connection.execute(text("INSERT INTO audit.log VALUES (2)"))
            connection.commit()

        left_over = database.left_over()

    postgresql_server.drop(template)
    assert left_over["audit.log"].added == [(2,)]


@pytest.mark.slow
def test_a_lock_that_a_connection_keeps_does_not_reach_the_next_test(
    own_database: PostgresqlDatabase,
) -> None:
    with own_database.connected() as connection:
        connection.execute(text("SELECT pg_advisory_lock(17)"))
        connection.commit()

        needed = own_database.renew()
        connection.invalidate()

    assert needed == "spare"


@pytest.mark.slow
def test_a_database_that_testdb_cannot_prepare_does_not_blame_the_migrations(
    own_run: Run,
) -> None:
    def take_its_name(connection: Connection) -> None:
        connection.exec_driver_sql(f"CREATE SCHEMA {OWN_SCHEMA}")

    with pytest.raises(TemplateError, match=r"migrations are not at fault.*already exists"):
        own_run.postgresql.templates.ensure(take_its_name, part="_refused")


@pytest.mark.slow
def test_rights_on_the_database_that_migrations_gave_hold(
    own_run: Run, postgresql_server: Server
) -> None:
    def give_rights(connection: Connection) -> None:
        for words in (("GRANT CREATE", "TO pg_monitor WITH GRANT OPTION"), REVOKE):
            connection.exec_driver_sql(ON_DATABASE.format(*words))

    template = own_run.postgresql.templates.ensure(give_rights, part=f"_{uuid4().hex[:8]}")
    name = f"{PREFIX}{uuid4().hex}"
    with closing(PostgresqlDatabase(postgresql_server, name, template)) as database:
        needed = database.renew()
        with database.connected() as connection:
            found = connection.scalars(text(RIGHTS)).one()
    postgresql_server.drop(template)

    assert needed == "nothing"
    assert "pg_monitor CREATE true" in found
    assert "- CONNECT false" in found
    assert "- TEMPORARY false" not in found


@pytest.mark.slow
def test_a_copy_of_a_template_is_a_template_like_any_other(
    own_run: Run, postgresql_server: Server
) -> None:
    base = own_run.postgresql.templates.migrated()
    made = text("CREATE TABLE extra (id INTEGER)")
    part = f"_{uuid4().hex[:8]}"
    template = own_run.postgresql.templates.ensure(
        lambda it: it.execute(made), part=part, base=base
    )
    with closing(
        PostgresqlDatabase(postgresql_server, f"{PREFIX}{uuid4().hex}", template)
    ) as database:
        with database.connected() as connection:
            connection.execute(text("INSERT INTO extra VALUES (1)"))
            connection.commit()

        assert database.renew() == "rows"
        assert database.left_over() == {}
    postgresql_server.drop(template)


# What a test does under a role without rights of its own, and what was needed to undo it.
UNDER_A_ROLE = {
    "granted": ("SET ROLE {role}; INSERT INTO log (action) VALUES ('one')", "rows"),
    "temporary": ("SET ROLE {role}; CREATE TEMPORARY TABLE extra (id INTEGER)", "schema"),
    "definer": ("SELECT note()", "rows"),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", UNDER_A_ROLE)
def test_a_plain_role_may_write_and_what_it_wrote_is_undone(
    own_run: Run, postgresql_server: Server, way: str
) -> None:
    role = f"test_{uuid4().hex}"
    made = (
        f"GRANT INSERT ON log TO {role}; GRANT USAGE ON SEQUENCE log_id_seq TO {role};"
        " CREATE FUNCTION note() RETURNS void LANGUAGE sql SECURITY DEFINER"
        " AS $$ INSERT INTO log (action) VALUES ('noted') $$;"
        f" ALTER FUNCTION note() OWNER TO {role}; ALTER DEFAULT PRIVILEGES"
        " REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"
    )
    statement, needed = UNDER_A_ROLE[way]
    templates = own_run.postgresql.templates
    postgresql_server.execute(f"CREATE ROLE {role}")
    part = f"_{uuid4().hex[:8]}"
    template = templates.ensure(
        lambda it: it.execute(text(made)), part=part, base=templates.migrated()
    )
    with closing(
        PostgresqlDatabase(postgresql_server, f"{PREFIX}{uuid4().hex}", template)
    ) as database:
        with database.connected() as connection:
            connection.execute(text(statement.format(role=role)))
            connection.commit()
            connection.execute(text(f"SELECT {OWN_SCHEMA}.forget()"))
            connection.rollback()

        assert database.renew() == needed
        assert database.left_over() == {}
    postgresql_server.drop(template)
    postgresql_server.execute(f"DROP ROLE {role}")


@pytest.mark.slow
def test_a_lock_of_another_session_does_not_stop_the_reset(
    own_database: PostgresqlDatabase,
) -> None:
    with own_database.connected() as connection:
        connection.execute(text(ADD_USER))
        connection.commit()
        connection.execute(text("LOCK TABLE users"))

        needed = own_database.reset()
        connection.invalidate()

    assert needed == "copy"


@pytest.mark.slow
def test_spare_copies_are_new_and_what_they_replace_is_dropped(
    postgresql_server: Server,
    own_database: PostgresqlDatabase,
) -> None:
    used = {own_database.name}

    for _ in range(3):
        with own_database.connected() as connection:
            assert connection.scalar(text("SELECT count(*) FROM users")) == 0
            connection.execute(text(ADD_USER))
            connection.execute(text("ALTER TABLE users ADD extra INTEGER"))
            connection.commit()
        own_database.renew()
        used.add(own_database.name)
    assert own_database.spare is not None
    own_database.spare.result()
    used.remove(own_database.name)

    assert len(used) == 3
    assert used.isdisjoint(postgresql_server.databases())


@pytest.mark.slow
def test_outdated_templates_go_when_no_run_uses_them(
    own_run: Run,
    postgresql_server: Server,
    tmp_path: Path,
) -> None:
    alembic = Config()
    alembic.set_main_option("script_location", str(tmp_path))
    place = postgresql_server.url, postgresql_server.run

    def build(server: Server, content: str) -> str:
        # Equal migrations share a template, also with a run beside this one.
        (tmp_path / "env.py").write_text(f"{content} of {tmp_path}")
        isolation = replace(own_run.isolation, alembic=alembic)
        return Templates(server, isolation, IsolationReport()).ensure(inspect)

    with connect_server(*place) as first, connect_server(*place) as second:
        used = {build(first, "one"), build(second, "two")}
        while_used = postgresql_server.databases().keys() & used
    with connect_server(*place) as third:
        present = build(third, "three")
        afterwards = postgresql_server.databases().keys() & {*used, present}
    postgresql_server.drop(present)

    assert while_used == used
    assert afterwards == {present}
