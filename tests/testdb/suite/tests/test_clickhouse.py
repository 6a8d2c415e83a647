"""A ClickHouse database of a test's own: what it may do, and that nothing of it is left."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from testdb import Finding
from testdb.clickhouse import ClickhouseEnvironment, OpenClickhouse
from testdb.clickhouse.copying import flush_buffers
from testdb.clickhouse.database import ClickhouseDatabase
from testdb.clickhouse.sent import Sent
from testdb.clickhouse.server import ClickhouseServer
from testdb.clickhouse.state import look
from testdb.signature import PREFIX

pytestmark = pytest.mark.slow

Isolated = tuple[Client, ClickhouseEnvironment]

# The same test several times: whichever runs later would see what an earlier one left.
twice = pytest.mark.parametrize("run", [1, 2])


@pytest.fixture
def clickhouse_server(isolated_clickhouse: Isolated) -> ClickhouseServer:
    """The ClickHouse on which tests make databases."""
    return isolated_clickhouse[1].database.server


@pytest.fixture
def own_database(isolated_clickhouse: Isolated) -> Iterator[ClickhouseDatabase]:
    """A database that no other test uses."""
    shared, name = isolated_clickhouse[1].database, f"{PREFIX}{uuid4().hex}"
    with closing(ClickhouseDatabase(shared.server, name, shared.first.copy)) as database:
        yield database


def add_events(client: Client, count: int = 1) -> None:
    """Insert events."""
    client.command(
        "INSERT INTO events SELECT generateUUIDv4(), toDateTime64('2025-01-01', 6, 'UTC') + number,"
        f" NULL, 'thought.created', generateUUIDv4(), '' FROM numbers({count})"
    )


def count(client: Client, table: str = "events") -> int:
    """Return how many rows there are."""
    return int(str(client.command(f"SELECT count() FROM {table}")))


def tables(client: Client) -> set[str]:
    """Return the names of all tables."""
    return {name for (name,) in client.query("SHOW TABLES").result_rows}


# Between tests


@twice
def test_rows_are_gone_afterwards(isolated_clickhouse: Isolated, run: int) -> None:
    client, _ = isolated_clickhouse
    before = count(client)

    add_events(client, 3)

    assert (before, count(client)) == (0, 3)


@twice
def test_rows_of_migrations_are_there_again(isolated_clickhouse: Isolated, run: int) -> None:
    client, _ = isolated_clickhouse
    before = count(client, "alembic_version")

    client.command("TRUNCATE TABLE alembic_version")

    assert before == 1


@twice
def test_changed_rows_are_what_they_were(isolated_clickhouse: Isolated, run: int) -> None:
    client, _ = isolated_clickhouse
    before = client.query("SELECT version_num FROM alembic_version").result_rows

    client.command("DELETE FROM alembic_version WHERE 1")
    client.command("INSERT INTO alembic_version VALUES ('other')")

    assert before != [("other",)]


@twice
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE left_over (id UInt8) ENGINE = MergeTree ORDER BY id",
        "CREATE VIEW left_over AS SELECT * FROM events",
        "CREATE TABLE left_over ENGINE = Memory AS SELECT 1 AS id",
        "DROP TABLE events",
        "RENAME TABLE events TO elsewhere",
        "ALTER TABLE events ADD COLUMN left_over UInt8",
        "ALTER TABLE events MODIFY COMMENT 'left over'",
    ],
)
def test_schema_changes_are_gone_afterwards(
    isolated_clickhouse: Isolated,
    statement: str,
    run: int,
) -> None:
    client, config = isolated_clickhouse
    first = {name: table.statement for name, table in config.database.look().tables.items()}

    client.command(statement)

    assert tables(client) | first.keys() >= {"alembic_version", "events", "metrics"}
    assert "left" not in str(first)
    assert "elsewhere" not in first


@twice
def test_a_table_made_again_is_the_first_one_afterwards(
    isolated_clickhouse: Isolated,
    run: int,
) -> None:
    client, _ = isolated_clickhouse
    [before] = client.query("SELECT version_num FROM alembic_version").result_rows
    [(statement,)] = client.query("SHOW CREATE TABLE alembic_version").result_rows

    client.command("DROP TABLE alembic_version SYNC")
    client.command(statement)
    client.command("INSERT INTO alembic_version VALUES ('other')")

    assert before != ("other",)


@twice
def test_settings_and_temporary_tables_are_the_clients_own(
    isolated_clickhouse: Isolated,
    run: int,
) -> None:
    client, _ = isolated_clickhouse
    before = client.command("SELECT getSetting('max_threads')")

    client.command("SET max_threads = 17")
    client.set_client_setting("max_threads", 17)
    client.command("CREATE TEMPORARY TABLE scratch (id UInt8)")

    assert before != 17
    assert client.command("SELECT getSetting('max_threads')") == 17


@twice
def test_a_test_may_close_its_client(isolated_clickhouse: Isolated, run: int) -> None:
    client, _ = isolated_clickhouse

    client.close()


def test_the_cheapest_way_back_is_taken(own_database: ClickhouseDatabase) -> None:
    server, name = own_database.server, own_database.name
    needed = [own_database.reset()]

    with closing(server.connect(name)) as client:
        add_events(client)
        needed.append(own_database.reset())
        client.command("TRUNCATE TABLE alembic_version")
        needed.append(own_database.reset())
        needed.append(own_database.reset())
        client.command("DROP TABLE metrics")
        needed.append(own_database.reset())
        needed.append(own_database.reset())

    assert needed == ["nothing", "rows", "rows", "nothing", "copy", "nothing"]


# Ways to change rows, each of which the next reset has to see.
CHANGES: dict[str, Callable[[Client], object]] = {
    "command": lambda it: it.command("INSERT INTO metrics VALUES ('visits', '2025-01-01', 1)"),
    "comment": lambda it: it.command(
        "/* note */ insert into metrics VALUES ('visits', '2025-01-01', 1)"
    ),
    "query": lambda it: it.query("INSERT INTO metrics SELECT 'visits', '2025-01-01', 1"),
    "insert": lambda it: it.insert("metrics", [["visits", datetime(2025, 1, 1, tzinfo=UTC), 1]]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_rows_are_put_back_whichever_way_they_came(
    own_database: ClickhouseDatabase, change: Callable[[Client], object]
) -> None:
    own_database.reset()
    with closing(own_database.server.connect(own_database.name)) as client:
        change(client)

        needed = own_database.reset()

        assert (needed, client.command("SELECT count() FROM metrics")) == ("rows", 0)


def test_after_a_test_that_only_read_nothing_is_asked(
    own_database: ClickhouseDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_database.reset()
    asked: list[str] = []
    with closing(own_database.server.connect(own_database.name)) as client:
        client.query("SELECT * FROM metrics")

    def rows(_: ClickhouseServer, query: str) -> list[object]:
        asked.append(query)
        return []

    monkeypatch.setattr(ClickhouseServer, "rows", rows)

    needed = own_database.reset()

    assert (needed, asked) == ("nothing", [])


# A call, and what it counts as: results left to be read, added rows, anything else.
CALLS = [
    ("query", "  select 1", (0, 0, 0)),
    ("query", "SHOW TABLES", (0, 0, 0)),
    ("query", "SET max_threads = 1", (0, 0, 0)),
    ("query", "SET ROLE other", (0, 0, 1)),
    ("query", "SELECT 1; DROP TABLE metrics", (0, 0, 1)),
    ("query", "WITH 1 AS one SELECT one", (0, 0, 1)),
    ("query", "INSERT INTO metrics VALUES ('a;', '2025-01-01', 1)", (0, 0, 1)),
    ("query", "INSERT INTO FUNCTION remote('here', 'other.table') SELECT 1", (0, 0, 1)),
    ("query", "insert into metrics SELECT 1", (0, 1, 0)),
    ("query", "SYSTEM FLUSH LOGS", (0, 0, 1)),
    ("send_query", "SELECT 1", (1, 0, 0)),
    ("execute", "SELECT 1", (1, 0, 0)),
]


@pytest.mark.parametrize(("method", "statement", "counts"), CALLS)
def test_a_statement_is_reading_only_if_it_can_be_nothing_else(
    method: str, statement: str, counts: tuple[int, int, int]
) -> None:
    sent = Sent()

    sent.note(method, [statement, "Native"])

    assert (sent.streams, sent.inserts, sent.others) == counts


def test_views_are_copied_behind_what_they_are_made_from(
    own_database: ClickhouseDatabase,
    clickhouse_server: ClickhouseServer,
) -> None:
    with closing(clickhouse_server.connect(own_database.name)) as client:
        client.command("CREATE VIEW b AS SELECT name FROM events")
        client.command("CREATE VIEW a AS SELECT name FROM b")
        client.command("CREATE MATERIALIZED VIEW c TO metrics AS SELECT name FROM events")
        add_events(client, 2)
        own_database.snapshot("views")
        client.command("DROP VIEW a")

        own_database.restore("views")

        assert (count(client, "a"), count(client, "metrics")) == (2, 1)


def test_tables_that_keep_rows_elsewhere_are_put_back(
    own_database: ClickhouseDatabase,
) -> None:
    with closing(own_database.server.connect(own_database.name)) as client:
        client.command("CREATE TABLE scratch (id UInt8) ENGINE = Memory")
        own_database.snapshot("empty")
        client.command("INSERT INTO scratch VALUES (1)")

        own_database.restore("empty")

        assert count(client, "scratch") == 0


# What migrations can make besides tables with parts, what a test does to it, and what every test
# finds: "{}" is the database.
TARGET = "CREATE TABLE target (id UInt64) ENGINE = MergeTree ORDER BY id"
BEHIND = "currentDatabase(), target, 1, 10, 100, 10, 100, 1000, 10000"
VIEW, ITS_ROWS = "CREATE MATERIALIZED VIEW view", "AS SELECT id FROM target"
OF_TARGET = "LAYOUT(HASHED()) LIFETIME(9999) SOURCE(CLICKHOUSE(TABLE 'target' DB '{}'))"
SUMS = "PROJECTION sums (SELECT day, sum(id) GROUP BY day)"
FOR_A_YEAR = "ORDER BY id TTL day + INTERVAL 1 YEAR"
ODD = "`metrics-by \\` day`"
MADE: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "buffer": (
        (
            TARGET,
            f"CREATE TABLE buffer AS target ENGINE = Buffer({BEHIND})",
            "INSERT INTO buffer VALUES (1)",
        ),
        ("INSERT INTO buffer VALUES (2)", "OPTIMIZE TABLE buffer", "INSERT INTO buffer VALUES (3)"),
        "SELECT groupArray(id) FROM buffer",
    ),
    "view with rows": (
        (
            TARGET,
            f"{VIEW} ENGINE = MergeTree ORDER BY id {ITS_ROWS}",
            "CREATE VIEW `on it` AS SELECT * FROM view",
            "INSERT INTO target SELECT number FROM numbers(7)",
        ),
        ("INSERT INTO target VALUES (8)", "INSERT INTO target VALUES (9)"),
        "SELECT arraySort(groupArray(id)) FROM `on it`",
    ),
    "view with rows, all copied": (
        (
            TARGET,
            f"{VIEW} ENGINE = MergeTree ORDER BY id {ITS_ROWS}",
            "INSERT INTO target SELECT number FROM numbers(7)",
        ),
        ("INSERT INTO target VALUES (8)", "CREATE VIEW `left over` AS SELECT 1"),
        "SELECT arraySort(groupArray(id)) FROM view",
    ),
    "view with rows in memory": (
        (
            TARGET,
            f"{VIEW} ENGINE = Memory {ITS_ROWS}",
            "INSERT INTO target SELECT number FROM numbers(7)",
        ),
        ("INSERT INTO target VALUES (8)",),
        "SELECT arraySort(groupArray(id)) FROM view",
    ),
    "view that refreshes itself": (
        (
            TARGET,
            f"{VIEW} REFRESH EVERY 1 YEAR ENGINE = MergeTree ORDER BY id EMPTY {ITS_ROWS}",
            "INSERT INTO target SELECT number FROM numbers(7)",
            "SYSTEM REFRESH VIEW view",
            "SYSTEM WAIT VIEW view",
        ),
        ("TRUNCATE TABLE target", "SYSTEM REFRESH VIEW view", "SYSTEM WAIT VIEW view"),
        "SELECT arraySort(groupArray(id)) FROM view",
    ),
    "odd names": (
        (
            f"CREATE TABLE {ODD} (id UInt64) ENGINE = MergeTree ORDER BY id",
            f"CREATE VIEW a AS SELECT * FROM {ODD}",
            TARGET,
            f"CREATE MATERIALIZED VIEW `a b` TO {ODD} AS SELECT * FROM target",
            "INSERT INTO target VALUES (1)",
        ),
        ("INSERT INTO target VALUES (2)",),
        "SELECT groupArray(id) FROM a",
    ),
    "dictionary": (
        (
            TARGET,
            f"CREATE DICTIONARY words (id UInt64) PRIMARY KEY id {OF_TARGET}",
        ),
        ("INSERT INTO target VALUES (1)", "SYSTEM RELOAD DICTIONARY words"),
        "SELECT dictHas('words', toUInt64(1))",
    ),
    "names in texts": (
        (
            TARGET,
            "CREATE TABLE merged AS target ENGINE = Merge(currentDatabase(), '^target$')",
            "CREATE TABLE nothing AS target ENGINE = Null",
            "INSERT INTO target VALUES (1)",
        ),
        ("INSERT INTO target VALUES (2)", "INSERT INTO nothing VALUES (2)"),
        "SELECT arraySort(groupArray(id)) FROM merged",
    ),
    "projection and time to live": (
        (
            f"CREATE TABLE daily (id UInt64, day Date, {SUMS}) ENGINE = MergeTree {FOR_A_YEAR}",
            "INSERT INTO daily VALUES (1, today())",
        ),
        ("INSERT INTO daily VALUES (2, today())",),
        "SELECT sum(id) FROM daily GROUP BY day",
    ),
    **{
        engine: (
            (
                f"CREATE TABLE rows (id UInt64, value UInt64) ENGINE = {engine}",
                "INSERT INTO rows VALUES (1, 1)",
            ),
            ("INSERT INTO rows VALUES (2, 2)",),
            "SELECT arraySort(groupArray(id)) FROM rows",
        )
        for engine in (
            "Memory",
            "Log",
            "TinyLog",
            "StripeLog",
            "Join(ANY, LEFT, id)",
            "EmbeddedRocksDB PRIMARY KEY id",
        )
    },
}


@pytest.mark.parametrize(("made", "done", "query"), MADE.values(), ids=MADE)
def test_whatever_migrations_made_is_put_back(
    clickhouse_server: ClickhouseServer,
    made: tuple[str, ...],
    done: tuple[str, ...],
    query: str,
) -> None:
    template, name = f"{PREFIX}{uuid4().hex}", f"{PREFIX}{uuid4().hex}"
    clickhouse_server.create(template)
    with closing(clickhouse_server.connect(template)) as client:
        for statement in made:
            client.command(statement.format(template))
        first = client.query(query).result_rows
        flush_buffers(clickhouse_server, template, look(clickhouse_server, template))
    database = ClickhouseDatabase(clickhouse_server, name, template)
    found = []
    with closing(database):
        for _ in range(2):
            with closing(clickhouse_server.connect(name)) as client:
                found.append(client.query(query).result_rows)
                database.snapshot("first")
                for statement in done:
                    client.command(statement)
                database.restore("first")
                found.append(client.query(query).result_rows)
                for statement in done:
                    client.command(statement)
            database.forget_snapshots()
            database.reset()
    with closing(clickhouse_server.connect(template)) as client:
        found.append(client.query(query).result_rows)
    clickhouse_server.drop(template)

    assert found == [first] * 5


def test_rows_that_cannot_be_copied_are_an_error_that_names_the_table(
    clickhouse_server: ClickhouseServer,
) -> None:
    template, name = f"{PREFIX}{uuid4().hex}", f"{PREFIX}{uuid4().hex}"
    clickhouse_server.create(template)
    with closing(clickhouse_server.connect(template)) as client:
        client.command("CREATE TABLE blocked (id UInt64) ENGINE = Set")
        ClickhouseDatabase(clickhouse_server, name, template).close()
        client.command("INSERT INTO blocked VALUES (1)")

    with pytest.raises(RuntimeError, match="the table blocked has the engine Set"):
        ClickhouseDatabase(clickhouse_server, name, template)

    clickhouse_server.drop(template)


# Snapshots


def test_snapshots_are_restored_in_any_order(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    empty = config.create_snapshot("state")
    add_events(client, 2)
    two = config.create_snapshot("state")
    add_events(client)
    client.command("DROP TABLE metrics")
    without_metrics = config.create_snapshot("state")

    counts = []
    for snapshot in (two, empty, without_metrics, empty, two):
        config.restore_snapshot(snapshot)
        counts.append((count(client), "metrics" in tables(client)))

    assert counts == [(2, True), (0, True), (3, False), (0, True), (2, True)]
    assert len({empty, two, without_metrics}) == 3


def test_tables_made_since_a_snapshot_are_gone(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    before = tables(client)
    add_events(client)
    snapshot = config.create_snapshot("one event")
    client.command("CREATE TABLE later (id UInt8) ENGINE = MergeTree ORDER BY id")
    client.command("DROP TABLE events")

    config.restore_snapshot(snapshot)

    assert tables(client) == before
    assert count(client) == 1


def test_an_emptied_table_is_empty_in_a_snapshot(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    add_events(client)
    client.command("DELETE FROM events WHERE 1")
    snapshot = config.create_snapshot("deleted")
    add_events(client, 2)

    config.restore_snapshot(snapshot)

    assert count(client) == 0


def test_a_snapshot_can_be_made_again(own_database: ClickhouseDatabase) -> None:
    with closing(own_database.server.connect(own_database.name)) as client:
        own_database.snapshot("state")
        add_events(client)
        own_database.snapshot("state")
        add_events(client)

        own_database.restore("state")

        assert count(client) == 1


def test_an_unknown_snapshot_is_an_error(isolated_clickhouse: Isolated) -> None:
    _, config = isolated_clickhouse

    with pytest.raises(KeyError, match="missing"):
        config.restore_snapshot("missing")


def test_snapshots_can_be_dropped_before_the_test_ends(isolated_clickhouse: Isolated) -> None:
    _, config = isolated_clickhouse
    before = config.database.server.databases().keys()
    snapshot = config.create_snapshot("empty")

    config.cleanup_databases()

    assert config.database.server.databases().keys() == before
    with pytest.raises(KeyError):
        config.restore_snapshot(snapshot)


# Databases on request


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full", {"alembic_version", "events", "metrics"}),
        ("basic", {"events", "metrics"}),
        ("events", {"events"}),
        ("metrics", {"metrics"}),
    ],
)
def test_a_database_on_request_has_the_tables_asked_for(
    with_isolated_clickhouse: OpenClickhouse,
    clickhouse_server: ClickhouseServer,
    name: str,
    expected: set[str],
) -> None:
    with with_isolated_clickhouse("Some name!", tables=name) as (client, config):
        found = tables(client)
        report = config.validate_database_state()
        database = client.command("SELECT currentDatabase()")

    assert found >= expected if name == "full" else found == expected
    assert report.status == "pass", str(report)
    assert str(database).startswith("test_some_name_")
    assert database not in clickhouse_server.databases()


def test_unknown_tables_are_an_error_that_names_the_known_ones(
    with_isolated_clickhouse: OpenClickhouse,
) -> None:
    def open_it() -> None:
        with with_isolated_clickhouse("part", tables="everything"):
            pass

    with pytest.raises(ValueError, match="there are: full, basic, events, metrics"):
        open_it()


def test_databases_are_open_at_the_same_time_and_do_not_meet(
    isolated_clickhouse: Isolated,
    with_isolated_clickhouse: OpenClickhouse,
) -> None:
    with (
        with_isolated_clickhouse("same name") as (one, _),
        with_isolated_clickhouse("same name") as (other, _),
    ):
        add_events(one)

        assert (count(other), count(isolated_clickhouse[0])) == (0, 0)


def test_threads_have_clients_of_their_own(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse

    def work() -> None:
        with closing(config.connect()) as own:
            add_events(own, 10)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert count(client) == 40


def test_a_database_tells_about_itself(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    add_events(client, 5)
    snapshot = config.create_snapshot("five")

    info = config.get_database_info()

    assert info["name"] == client.database
    assert info["version"] == client.server_version
    assert info["rows"] | {"alembic_version": 1, "events": 5, "metrics": 0} == info["rows"]
    assert info["bytes"] > 0
    assert info["snapshots"] == [snapshot]


def test_a_scenario_can_be_loaded(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse

    config.seed("analytics")

    assert count(client) == 200


# Dropping


def test_a_database_that_tests_did_not_make_is_never_dropped(
    clickhouse_server: ClickhouseServer,
) -> None:
    name = f"{PREFIX}{uuid4().hex}"
    clickhouse_server.client.command(f"CREATE DATABASE {name}")

    for database in (name, "default", "system"):
        with pytest.raises(RuntimeError, match="is not a test database"):
            clickhouse_server.drop(database)

    clickhouse_server.client.command(f"DROP DATABASE {name}")


# Validation


def test_a_migrated_database_passes(isolated_clickhouse: Isolated) -> None:
    _, config = isolated_clickhouse

    report = config.validate_database_state()

    assert report.status == "pass", str(report)
    assert [category for category, _ in groupby(category for category, _ in report.findings)] == [
        "connection",
        "schema",
        "data",
        "performance",
        "isolation",
    ]


def test_another_revision_fails(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    client.command("INSERT INTO alembic_version VALUES ('other')")

    report = config.validate_database_state()

    finding = report.findings["schema", "migrations are applied"]
    assert (finding.status, dict(finding.details)) == ("fail", {"other": "applied"})


def test_a_change_that_cannot_be_made_fails(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    add_events(client)
    with pytest.raises(DatabaseError):
        client.command("ALTER TABLE events UPDATE properties = throwIf(1) WHERE 1")

    report = config.validate_database_state()

    finding = report.findings["schema", "changes are finished"]
    assert finding.status == "fail"
    assert "events: " in str(finding.details)


def test_a_damaged_file_fails(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    add_events(client)
    [(part,)] = client.query("SELECT path FROM system.parts WHERE table = 'events'").result_rows
    damaged = Path(part, "data.bin")
    damaged.write_bytes(bytes(damaged.stat().st_size))

    report = config.validate_database_state()

    finding = report.findings["data", "parts are intact"]
    assert (finding.status, list(finding.details)) == ("fail", ["events"])


def test_a_detached_part_fails(with_isolated_clickhouse: OpenClickhouse) -> None:
    with with_isolated_clickhouse("detached") as (client, config):
        add_events(client)
        client.command("ALTER TABLE events DETACH PARTITION ALL")

        report = config.validate_database_state()

    finding = report.findings["data", "no part is detached"]
    assert (finding.status, len(finding.details)) == ("fail", 1)


def test_a_database_without_the_mark_fails(isolated_clickhouse: Isolated) -> None:
    client, config = isolated_clickhouse
    comment = config.database.server.databases()[config.database.name]
    client.command(f"ALTER DATABASE {config.database.name} MODIFY COMMENT 'production'")

    report = config.validate_database_state()

    client.command(f"ALTER DATABASE {config.database.name} MODIFY COMMENT '{comment}'")
    finding = report.findings["isolation", "carries the mark"]
    assert (finding.status, dict(finding.details)) == ("fail", {"comment": "production"})


def test_a_query_that_still_runs_fails(isolated_clickhouse: Isolated) -> None:
    _, config = isolated_clickhouse
    with closing(config.connect()) as other, other.query_rows_stream("SELECT 'still here'"):
        report = config.validate_database_state()

    finding = report.findings["isolation", "no other query runs"]
    assert finding.status == "fail"
    assert "still here" in str(finding.details)


def test_checks_can_be_added_and_an_error_fails_one_only(isolated_clickhouse: Isolated) -> None:
    _, config = isolated_clickhouse

    def mistaken(client: Client) -> Finding:
        return Finding("pass", str(client.command("SELECT * FROM nowhere")))

    report = config.validate_database_state(
        ("data", "rows", lambda _: Finding("warn", "mine")),
        ("data", "mistaken", mistaken),
    )

    assert report.findings["data", "rows"].summary == "mine"
    assert "nowhere" in report.findings["data", "mistaken"].summary
    assert [found.status for found in report.findings.values()].count("fail") == 1
