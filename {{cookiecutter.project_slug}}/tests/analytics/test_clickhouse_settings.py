"""CLICKHOUSE_URL names a folder or a server, and production takes no makeshift."""

from typing import Any

import pytest
from pydantic import ValidationError

from placeholder_service.settings import Environment, Settings

SAFE: dict[str, Any] = {
    "environment": Environment.PRODUCTION,
    "database_url": "postgresql://user:p4ssw0rd@database/service",
}


def test_another_url_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValidationError, match="not a ClickHouse URL; expected") as error:
        Settings(clickhouse_url="http://u:secret@host")

    assert "secret" not in str(error.value)


def test_production_refuses_what_is_unsafe() -> None:
    faults = {
        "chdb:///data/clickhouse": "CLICKHOUSE_URL must name its folder by an absolute path",
        "clickhouse://user@host/db": "CLICKHOUSE_URL has no password",
    }
    for url, fault in faults.items():
        with pytest.raises(ValidationError, match=fault):
            Settings(clickhouse_url=url, **SAFE)


def test_production_accepts_what_is_safe() -> None:
    for url in ("chdb:////var/lib/clickhouse", "clickhouse://user:p4@host/db"):
        assert Settings(clickhouse_url=url, **SAFE).clickhouse.database
