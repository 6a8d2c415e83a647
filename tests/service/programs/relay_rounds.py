"""Relays that are killed. Run in a rendered project, by the project's own Python.

    python relay_rounds.py KILLS SEED

Each round adds events to the outbox, starts `scripts/relay-events.sh --follow`, and kills it at a
random moment: while it starts, or while it ships. The rounds go on until so many kills have left
events behind. In the end one relay is left to finish. What both databases then have is printed as
JSON.
"""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from uuid import uuid4

import sqlalchemy as sa
from my_service.analytics.client import open_client
from my_service.models import OutboxEvent
from my_service.models.base import utc_now
from my_service.settings import Settings

EVENTS = 5000
# The most rounds for each kill.
PATIENCE = 10
NAMES = ["thought.created", "thought.updated", "task.created"]
ENGINE = sa.create_engine(Settings().url, poolclass=sa.NullPool)
# Each query sees what others have committed.
WATCHING = ENGINE.execution_options(isolation_level="AUTOCOMMIT")


def write() -> None:
    """Add events to the outbox."""
    rows = [
        {
            "event_id": uuid4(),
            "occurred_at": utc_now(),
            "name": random.choice(NAMES),  # noqa: S311  # not a secret
            "entity_id": uuid4(),
            "properties": {},
        }
        for _ in range(EVENTS)
    ]
    with ENGINE.begin() as connection:
        connection.execute(sa.insert(OutboxEvent), rows)


def waiting(connection: sa.Connection) -> int:
    """Return how many events were not shipped."""
    query = sa.select(sa.func.count()).where(OutboxEvent.shipped_at.is_(None))
    return connection.scalar(query) or 0


def kill_one(number: int) -> int:
    """Start a relay, kill it, and return how many events it left."""
    with (
        WATCHING.connect() as connection,
        subprocess.Popen(["scripts/relay-events.sh", "--follow"], stderr=subprocess.PIPE) as relay,
    ):
        before = waiting(connection)
        # Most of them while they ship: a start takes a second or two, a batch some milliseconds.
        while number % 4 and waiting(connection) == before:
            assert relay.poll() is None, relay.communicate()
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.15 if number % 4 else 2))  # noqa: S311
        relay.kill()
        relay.wait()
        return waiting(connection)


def main() -> None:
    """Run the rounds, and print what came of them."""
    kills, seed = map(int, sys.argv[1:])
    random.seed(seed)
    left: list[int] = []
    # On a busy machine, relays may finish before they are killed.
    while sum(number > 0 for number in left) < kills and len(left) < kills * PATIENCE:
        write()
        left.append(kill_one(len(left)))
    subprocess.run(["scripts/relay-events.sh"], check=True, stdout=subprocess.DEVNULL)
    with ENGINE.connect() as connection:
        query = sa.select(OutboxEvent.event_id, OutboxEvent.name, OutboxEvent.occurred_at)
        outbox = connection.execute(query).all()
        left_over = waiting(connection)
    client = open_client(Settings().clickhouse)
    stored = [row[0] for row in client.query("SELECT event_id FROM events").result_rows]
    counted = client.query("SELECT name, toDate(bucket), value FROM metrics FINAL").result_rows
    told = Counter((row.name, row.occurred_at.date()) for row in outbox)
    found = {
        "left": left,
        "waiting": left_over,
        "written": len(outbox),
        "stored": len(stored),
        "lost": len({row.event_id for row in outbox}.difference(stored)),
        "doubled": len(stored) - len(set(stored)),
        "metrics": {tuple(row[:2]): row[2] for row in counted} == told,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
