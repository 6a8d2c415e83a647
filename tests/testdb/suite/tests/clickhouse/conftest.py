"""The ClickHouse on which the tests make databases."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest
from testdb.clickhouse.database import ClickhouseDatabase
from testdb.clickhouse.server import ClickhouseServer
from testdb.signature import PREFIX

from tests.clickhouse.events import Isolated


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
