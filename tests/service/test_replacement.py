"""A team replaces the sample's eight tables by three of its own: nothing else turns red.

The folder `replacement` holds what the team writes: accounts, orders and order lines.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.running import succeeded
from tests.service.project import PACKAGE, Service
from tests.service.sources import changed, sources

REPLACEMENT = Path(__file__).with_name("replacement")

# Everything that is about the sample. What has the same name in `replacement` is written again.
SAMPLE = (
    f"src/{PACKAGE}/__main__.py",
    f"src/{PACKAGE}/domain.py",
    f"src/{PACKAGE}/api/callers.py",
    f"src/{PACKAGE}/api/thoughts.py",
    *(f"src/{PACKAGE}/models/{name}.py" for name in ("analyses", "api_keys", "audit", "contexts")),
    *(f"src/{PACKAGE}/models/{name}.py" for name in ("tasks", "thoughts", "users", "__init__")),
    *(f"src/{PACKAGE}/schemas/{name}.py" for name in ("contexts", "tasks", "thoughts")),
    *(f"src/{PACKAGE}/services/{name}.py" for name in ("api_keys", "audit", "thoughts", "users")),
    "migrations/versions/0001_initial_schema.py",
    *(f"tests/fixtures/{name}.py" for name in ("contexts", "tasks", "thoughts", "users")),
    "tests/fixtures/scenarios.py",
    "tests/integration/test_api_keys.py",
    "tests/integration/test_create_key.py",
    "tests/integration/test_models.py",
    "tests/integration/test_seed.py",
    "tests/integration/test_thoughts_api.py",
    "tests/migrations/rows.py",
    "tests/unit/test_schemas.py",
)
# The lines of other files that name the sample: a pattern, and what takes its place.
LINES = {
    f"src/{PACKAGE}/main.py": [
        (r"health, problems, thoughts$", "health, orders, problems"),
        (r"thoughts\.router", "orders.router"),
    ],
    "tests/conftest.py": [
        (r'^    "tests\.fixtures\.users",\n', '    "tests.fixtures.accounts",\n'),
        (r'^    "tests\.fixtures\.contexts",\n', '    "tests.fixtures.orders",\n'),
        (r'^    "tests\.fixtures\.(thoughts|tasks)",\n', ""),
        (r"^    schemas=\{\n(        .*\n)+    \},", '    schemas={"basic": ["accounts"]},'),
    ],
    "tests/integration/test_contract.py": [
        (
            r"\(\n    app: .*, api_client: .*, api_headers: .*\n\)",
            "(app: FastAPI, api_client: ApiClient)",
        ),
        (r", api_headers\)", ")"),
    ],
    "Makefile": [
        (r"  ·  a key for them: make api-key .*\"", '"'),
        (r"^api-key: (.*\n)+?\n", ""),
        (r" api-key ", " "),
    ],
}


@pytest.fixture
def replaced(request: pytest.FixtureRequest, render: Render) -> Iterator[Service]:
    """Return the installed project of a style and a database, with the team's tables."""
    style, database = request.param
    # Not in pytest's own temporary folder, which runs of pytest in the project would clean up.
    with tempfile.TemporaryDirectory(prefix="services-", ignore_cleanup_errors=True) as folder:
        project = render({"session_style": style, "database": database}, Path(folder))
        replace_sample(project, style)
        service = Service(project, style, database)
        service.install()
        yield service
        service.stop()


def replace_sample(project: Path, style: str) -> None:
    """Delete what is about the sample, write what is in `replacement`, and change single lines."""
    for name in SAMPLE:
        (project / name).unlink()
    for name, text in sources(REPLACEMENT, style, PACKAGE).items():
        (project / name).write_text(text)
    for name, changes in LINES.items():
        (project / name).write_text(changed(project / name, changes))


@pytest.mark.parametrize(
    "replaced",
    [
        pytest.param(("sync", "sqlite"), id="replaced sync"),
        pytest.param(("async", "postgresql"), id="replaced async", marks=pytest.mark.complete),
    ],
    indirect=True,
)
def test_the_sample_can_be_replaced(replaced: Service) -> None:
    succeeded(replaced.make("check"))
    tested = succeeded(replaced.make("test"))
    seeded = succeeded(replaced.make("seed", "SCENARIO=minimal"))

    assert "Required test coverage of 95% reached" in tested
    assert not (replaced.folder / "uv.lock").exists()
    assert "Added 2 accounts, 3 orders, 6 order lines" in seeded
