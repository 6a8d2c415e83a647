"""Relays that are killed at random moments lose no event and double none."""

import json
from pathlib import Path

from tests.running import succeeded
from tests.service.project import Service, combinations

ROUNDS = Path(__file__).parent / "programs" / "relay_rounds.py"
KILLS = 10
SEED = 20


@combinations("sync-postgresql-clickhouse", "async-sqlite-clickhouse")
def test_killed_relays_lose_nothing_and_double_nothing(service: Service) -> None:
    # What other tests left in one of its databases only would count as lost.
    for options in ([], ["--analytics"]):
        succeeded(service.run("scripts/migrate-down.sh", "--yes", *options, "base"))
    service.migrate()

    done = service.run("python", ROUNDS, str(KILLS), str(SEED))

    found = json.loads(succeeded(done).splitlines()[-1])
    assert sum(left > 0 for left in found["left"]) == KILLS, found["left"]
    assert found["written"] == found["stored"]
    assert (found["waiting"], found["lost"], found["doubled"]) == (0, 0, 0)
    assert found["metrics"]
