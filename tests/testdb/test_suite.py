"""What testdb promises, on a small service: in both styles and on both engines."""

import pytest
from filelock import FileLock

from tests.running import TEMPLATE
from tests.testdb.conftest import SUITE, RunPython, Suite

STYLES = ("sync", "async")
ENGINES = ("sqlite", "postgresql")
# Modules, and folders of modules.
MODULES = sorted(
    path.stem
    for path in (SUITE / "tests").iterdir()
    if path.match("test_*.py") or (path / "__init__.py").exists()
)
# Both styles have most of what mypy reads in common.
MYPY_CACHE = TEMPLATE / ".mypy_cache" / "suite"

# Modules for which the style makes no difference, with one that they are run in.
STYLE = {
    "clickhouse": "async",
    "guard": "sync",
    "test_children": "sync",
    "test_embedded": "sync",
    "test_failures": "sync",
    "test_guard_clickhouse": "async",
    "test_guard_coroutines": "async",
    "test_migrations": "sync",
    "test_programs": "sync",
    "test_runs_clickhouse": "sync",
    "test_settings": "sync",
    "test_sqlite_file": "sync",
    "test_verdicts": "sync",
}
# Modules whose tests bring the databases that each of them is about.
ENGINE_OF_THEIR_OWN = {*STYLE, "test_earlier", "test_full_stack", "test_runs"}
# What remains takes little time, and is run together.
EVERYWHERE = [module for module in MODULES if module not in ENGINE_OF_THEIR_OWN]
# Whole runs of pytest, many of them: the asynchronous style has all that the other one has.
COMPLETE = {("sync", "test_runs")}
CASES = [
    *((style, engine, *EVERYWHERE) for style in STYLES for engine in ENGINES),
    *(
        (style, ENGINES[0], module)
        for style in STYLES
        for module in sorted(ENGINE_OF_THEIR_OWN)
        if STYLE.get(module, style) == style
    ),
]
CLICKHOUSE = {module for module in MODULES if "clickhouse" in module or module == "test_full_stack"}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case, id="-".join(case), marks=[pytest.mark.complete] * ((case[0], case[2]) in COMPLETE)
        )
        for case in CASES
    ],
)
def test_modules_of_the_suite_pass(
    suite: Suite, run_python: RunPython, server: str, case: tuple[str, ...]
) -> None:
    style, engine, *modules = case

    done = run_python(
        *("-m", "pytest", "-p", "testdb.plugin", "--database", engine),
        *(f"tests/{module}{'.py' * module.startswith('test_')}" for module in modules),
        cwd=suite(style),
        TEST_DATABASE_URL=server,
        **({"WITH_CLICKHOUSE": "1"} if CLICKHOUSE & {*modules} else {}),
    )

    if done.returncode != 0:
        pytest.fail(done.stdout, pytrace=False)


# The suite's conftest.py protects a server at this address.
OF_LIBPQ = (
    {"PGHOST": "192.0.2.1", "PGPORT": "2"},
    {"PGHOSTADDR": "192.0.2.1", "PGPORT": "2", "PGDATABASE": "real"},
    {"PGSERVICE": "somewhere"},
)


# Without a URL, testdb starts a server.
@pytest.mark.parametrize("named", [True, False], ids=["named", "embedded"])
@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({name: it[name] for it in OF_LIBPQ for name in it}, id="all"),
        *(pytest.param(it, id=" ".join(it), marks=pytest.mark.complete) for it in OF_LIBPQ),
    ],
)
def test_variables_of_libpq_keep_no_test_from_its_own_server(
    suite: Suite, run_python: RunPython, server: str, variables: dict[str, str], *, named: bool
) -> None:
    done = run_python(
        *("-m", "pytest", "-p", "testdb.plugin", "--database", "postgresql"),
        *("-k", "adds_a_user", "tests/victims.py"),
        cwd=suite("sync"),
        TEST_DATABASE_URL=server if named else "",
        **variables,
    )

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("style", ["async", pytest.param("sync", marks=pytest.mark.complete)])
def test_what_a_test_author_writes_is_typed(
    suite: Suite, run_python: RunPython, style: str
) -> None:
    MYPY_CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(MYPY_CACHE / "lock"):
        cache = ("--cache-dir", MYPY_CACHE)
        done = run_python(*("-m", "mypy", "--strict", *cache, "service", "tests"), cwd=suite(style))

    if done.returncode != 0:
        pytest.fail(done.stdout, pytrace=False)
