"""What clients see while the service, its database and its schema come and go."""

import json
import sys

from tests.running import TEMPLATE, run
from tests.service.project import Service, combinations


@combinations(complete=["async-postgresql", "sync-sqlite"])
def test_nothing_acknowledged_is_lost_and_every_outage_is_a_503(service: Service) -> None:
    soak = (sys.executable, "-m", "benchmarks.soak", service.folder, service.database)
    briefly = ("--seconds", "3", "--clients", "6", "--pause", "0.1")

    ended = run(*soak, *briefly, cwd=TEMPLATE, PYTHONPATH=str(TEMPLATE / "hooks"))

    found = json.loads(ended.stdout)
    assert not any(found["wrong"].values()), found
    assert ended.returncode == 0
    assert {"kill_service", "break_database", "migrate_up_and_down"} <= set(found["done"])
    assert {"POST 201", "POST 503", "POST no answer"} <= set(found["outcomes"])
