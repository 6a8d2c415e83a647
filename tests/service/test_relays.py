"""Relays as processes: killed at random moments, stopped by signals, kept out of a folder."""

import json
import signal
import subprocess
from pathlib import Path

from tests.running import clean_environment, succeeded
from tests.service.project import PACKAGE, Service, combinations

ROUNDS = Path(__file__).parent / "programs" / "relay_rounds.py"
HOLD = Path(__file__).parent / "programs" / "hold_folder.py"
KILLS = 10
SEED = 20


@combinations(complete=["async-sqlite-clickhouse", "sync-postgresql-clickhouse"])
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


@combinations("async-sqlite-clickhouse")
def test_a_relay_ends_cleanly_at_a_signal_and_leaves_a_folder_to_its_process(
    service: Service, tmp_path: Path
) -> None:
    here = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/service.db",
        "CLICKHOUSE_URL": f"chdb:///{tmp_path}/clickhouse",
    }
    relay = service.folder / "scripts" / "relay-events.sh"
    succeeded(service.script("migrate.sh", **here))

    for number in (signal.SIGTERM, signal.SIGINT):
        add_user(service, f"{number}@example.com", here)
        with subprocess.Popen(
            [relay, "--follow"],
            env={**clean_environment(), **here},
            stderr=subprocess.PIPE,
            text=True,
        ) as following:
            assert following.stderr is not None
            log = following.stderr.readline()
            following.send_signal(number)
            log += following.communicate()[1]

        assert following.returncode == 0
        assert "events were shipped" in log
        assert "Traceback" not in log

    add_user(service, "waiting@example.com", here)
    with subprocess.Popen(
        [service.program("python"), HOLD],
        cwd=service.folder,
        env={**clean_environment(), **here},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        counts = json.loads(holder.stdout.readline())
        refused = service.run(relay, cwd=tmp_path, **here)
        holder.communicate("\n")
    shipped = service.run(relay, cwd=tmp_path, **here)

    assert counts == [2, 2, 2]
    assert refused.returncode == 1
    assert "Next: stop the process that uses the folder" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert succeeded(shipped) == "Shipped 1 events.\n"


def add_user(service: Service, email: str, variables: dict[str, str]) -> None:
    """Add a user, which leaves an event to ship."""
    create_key = ("python", "-m", PACKAGE, "create-key", "--email", email)
    succeeded(service.run(*create_key, cwd=service.folder, **variables))
