"""What the validation of a ClickHouse database finds."""

from contextlib import closing
from itertools import groupby
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from testdb import Finding
from testdb.clickhouse import OpenClickhouse

from tests.clickhouse.events import Isolated, add_events

pytestmark = pytest.mark.slow


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
