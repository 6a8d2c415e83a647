"""Prints what the embedded ClickHouse counts, and keeps its folder until there is a line of input.

Run in a rendered project, by the project's own Python.
"""

import json

from my_service.analytics.client import open_client
from my_service.settings import Settings

COUNTS = (
    "SELECT count() FROM events",
    "SELECT uniqExact(event_id) FROM events",
    "SELECT toInt64(sum(value)) FROM metrics FINAL",
)

client = open_client(Settings().clickhouse)
print(json.dumps([client.command(query) for query in COUNTS]), flush=True)
input()
