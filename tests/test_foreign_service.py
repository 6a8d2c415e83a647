"""The isolation, copied into a service that was not made from this template."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Service, combinations, succeeded

FOREIGN = Path(__file__).with_name("foreign_service")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that every user can enter: if you are root, PostgreSQL runs as another."""
    with tempfile.TemporaryDirectory(prefix="services-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@combinations("sync-sqlite", "async-postgresql", "sync-postgresql-clickhouse")
def test_the_isolation_serves_another_service(service: Service, folder: Path) -> None:
    foreign = foreign_service(service, folder / "service")
    real = foreign / "real.db"

    for database, workers in (("sqlite", "2"), ("postgresql", "0")):
        options = ("-q", "--database", database, "-n", workers)
        result = service.run("pytest", *options, cwd=foreign, DATABASE_URL=f"sqlite:///{real}")

        assert "7 passed" in succeeded(result)
    assert not real.exists()


def foreign_service(service: Service, folder: Path) -> Path:
    """Return the foreign service with the isolation in it, as its README tells to copy it."""
    shutil.copytree(FOREIGN, folder)
    isolation = service.folder / "tests" / "isolation"
    shutil.copytree(
        isolation,
        folder / "tests" / "isolation",
        ignore=shutil.ignore_patterns("clickhouse", "conformance", "__pycache__"),
    )
    readme = (isolation / "README.md").read_text()
    (conftest,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (folder / "tests" / "conftest.py").write_text(conftest)
    source = (folder / "tests" / "library_tests.txt").read_text()
    coroutine, wait = ("async ", "await ") if service.style == "async" else ("", "")
    source = source.replace("COROUTINE ", coroutine).replace("WAIT ", wait)
    (folder / "tests" / "test_library.py").write_text(source)
    (options,) = re.findall(r"```ini\n(.*?)```", readme, re.DOTALL) or ["[pytest]\n"]
    (folder / "pytest.ini").write_text(f"{options}pythonpath = .\n")
    return folder
