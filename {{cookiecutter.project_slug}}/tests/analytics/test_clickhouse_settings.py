"""CLICKHOUSE_URL names a folder or a server, and production takes no makeshift."""

from typing import Any

import pytest
from pydantic import ValidationError

from placeholder_service.settings import PROJECT_ROOT, Environment, Settings

SAFE: dict[str, Any] = {
    "environment": Environment.PRODUCTION,
    "database_url": "postgresql://user:p4ssw0rd@database/service",
}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("chdb:///data/clickhouse", f"chdb:///{PROJECT_ROOT}/data/clickhouse"),
        ("chdb:////var/lib/clickhouse", "chdb:////var/lib/clickhouse"),
        ("clickhouse://u:p%25@host/db", "clickhouse://u:p%25@host:8123/db"),
        ("clickhouse://host:9000", "clickhouse://host:9000/default"),
    ],
)
def test_a_url_is_completed(url: str, expected: str) -> None:
    found = Settings(clickhouse_url=url).clickhouse

    assert found.render_as_string(hide_password=False) == expected


@pytest.mark.parametrize(
    "url",
    ["chdb://", "chdb://host/folder", "clickhouse:///db", "http://u:secret@host", "secret", ""],
)
def test_another_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValidationError, match="not a ClickHouse URL; expected chdb:///") as error:
        Settings(clickhouse_url=url)

    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("chdb:///data/clickhouse", "CLICKHOUSE_URL must name its folder by an absolute path"),
        ("clickhouse://user@host/db", "CLICKHOUSE_URL has no password"),
    ],
)
def test_production_refuses_what_is_unsafe(url: str, fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Settings(clickhouse_url=url, **SAFE)


@pytest.mark.parametrize("url", ["chdb:////var/lib/clickhouse", "clickhouse://user:p4@host/db"])
def test_production_accepts_what_is_safe(url: str) -> None:
    assert Settings(clickhouse_url=url, **SAFE).clickhouse.database
