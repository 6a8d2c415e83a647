"""A blank project, installed: it checks, tests, migrates and serves as one with the sample does."""

from pathlib import Path

import httpx2

from tests.running import clean_environment, succeeded, wait_until
from tests.service.project import BLANK, Service, combinations
from tests.service.server import served

TABLES = {"users", "api_keys", "audit_log"}


@combinations(BLANK[0], complete=BLANK[1:])
def test_its_checks_pass_and_its_suite_covers_everything(service: Service) -> None:
    succeeded(service.make("check"))

    output = succeeded(service.make("test"))

    assert "Total coverage: 100.00%" in output


@combinations("sync-sqlite-none-blank", complete=["async-sqlite-clickhouse-blank"])
def test_it_migrates_and_serves_its_users(service: Service, tmp_path: Path) -> None:
    service.migrate()
    migrated = service.objects()
    succeeded(service.script("migrate-down.sh", "--yes", "base"))
    emptied = service.objects()
    service.migrate()
    headers = {"X-API-Key": service.create_key()}

    command = ("make", "run", "PORT=0")
    log = tmp_path / "serve.log"
    with served(command, service.folder, log, clean_environment()) as client:
        ready = client.get("/health/ready")
        refused = client.get("/users/me")
        changed = client.patch("/users/me", json={"name": "Me"}, headers=headers)
        found = client.get("/users/me", headers=headers)
        if (service.folder / "migrations" / "analytics").exists():
            # That the user was added, and changed: relayed by the service itself.
            wait_until(lambda: events_of_today(client, headers) == 2)

    assert migrated >= TABLES
    assert {name for name in emptied if "alembic_version" not in name} == set()
    assert (ready.status_code, refused.status_code, changed.status_code) == (200, 401, 200)
    assert (found.json()["email"], found.json()["name"]) == ("you@example.com", "Me")


def events_of_today(client: httpx2.Client, headers: dict[str, str]) -> int:
    """Return how many events of the caller the statistics count today, or yesterday at midnight."""
    response = client.get("/analytics/events-per-day", headers=headers)
    return sum(day["events"] for day in response.raise_for_status().json()[-2:])
