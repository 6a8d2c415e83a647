"""The tests of a service leave its development data alone, whatever processes they start."""

from pathlib import Path

from tests.running import succeeded
from tests.service.conftest import Change
from tests.service.project import Service, combinations

ATTACK = Path(__file__).parent / "programs" / "processes_without_settings.py"


@combinations("async-postgresql", complete=["async-sqlite-clickhouse", "sync-sqlite"])
def test_a_process_without_settings_does_not_find_the_development_data(
    service: Service, change: Change
) -> None:
    service.migrate()
    service.create_key()
    before = service.state()
    change(service.folder / "tests" / "test_attack.py", ATTACK.read_text())

    result = service.run("pytest", "--no-cov", "tests/test_attack.py")

    assert service.state() == before
    assert "passed" in succeeded(result)
