"""A ClickHouse database of a test's own: nothing of what the test did is left."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client
from testdb.clickhouse.copying import flush_buffers
from testdb.clickhouse.database import ClickhouseDatabase
from testdb.clickhouse.sent import Sent
from testdb.clickhouse.server import ClickhouseServer
from testdb.clickhouse.state import look
from testdb.signature import PREFIX

from tests.clickhouse.events import Isolated, add_events, count, tables

pytestmark = pytest.mark.slow


# The same test several times: whichever runs later would see what an earlier one left.
twice = pytest.mark.parametrize("run", [1, 2])


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


@twice
def test_a_database_that_is_gone_is_made_again(isolated_clickhouse: Isolated, run: int) -> None:
    client, config = isolated_clickhouse

    assert count(client, "alembic_version") == 1
    client.command(f"DROP DATABASE {config.database.name}")


@twice
def test_merges_that_a_test_stops_go_on_afterwards(isolated_clickhouse: Isolated, run: int) -> None:
    client, _ = isolated_clickhouse

    for _ in range(2):
        add_events(client)
    client.command("OPTIMIZE TABLE events FINAL")
    client.command("SYSTEM STOP MERGES events" if run == 1 else "SYSTEM STOP MERGES")


def test_a_mutation_that_is_not_finished_reaches_no_other_test(
    own_database: ClickhouseDatabase,
) -> None:
    with closing(own_database.server.connect(own_database.name)) as client:
        client.command("SYSTEM STOP MERGES alembic_version")
        client.command("ALTER TABLE alembic_version DELETE WHERE 1 SETTINGS mutations_sync = 0")

        needed = own_database.reset()

        client.command("SYSTEM START MERGES alembic_version")
        client.command("OPTIMIZE TABLE alembic_version FINAL")
        assert (needed, count(client, "alembic_version")) == ("rows", 1)


def test_tables_of_the_default_database_are_named_and_dropped(
    own_database: ClickhouseDatabase,
) -> None:
    server = own_database.server
    with closing(server.connect(own_database.name)) as client:
        client.command("CREATE TABLE default.left_over (id UInt8) ENGINE = Memory")
        client.command("CREATE VIEW default.seen AS SELECT 1 AS id")
        client.command(
            "CREATE DICTIONARY default.words (id UInt64) PRIMARY KEY id"
            " SOURCE(CLICKHOUSE(TABLE 'left_over' DB 'default')) LIFETIME(0) LAYOUT(FLAT())"
        )

    assert server.left_behind(own_database.name) == [
        "the table default.left_over",
        "the table default.seen",
        "the table default.words",
    ]
    assert server.left_behind(own_database.name) == []


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
