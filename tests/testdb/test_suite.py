"""What testdb promises, on a small service: in both styles, on both engines, a module at a time."""

import pytest

from tests.testdb.conftest import SUITE, RunPython, Suite

STYLES = ("sync", "async")
ENGINES = ("sqlite", "postgresql")
MODULES = sorted(path.stem for path in (SUITE / "tests").glob("test_*.py"))

# Modules for which the style makes no difference, with one that they are run in.
STYLE = {
    "test_children": "sync",
    "test_clickhouse": "async",
    "test_embedded": "sync",
    "test_guard": "sync",
    "test_guard_clickhouse": "async",
    "test_guard_coroutines": "async",
    "test_migrations": "sync",
    "test_programs": "sync",
    "test_runs_clickhouse": "sync",
    "test_settings": "sync",
}
# Modules whose tests bring the databases that each of them is about.
ENGINE_OF_THEIR_OWN = {*STYLE, "test_earlier", "test_full_stack", "test_runs"}
CASES = [
    (style, engine, module)
    for style in STYLES
    for engine in ENGINES
    for module in MODULES
    if STYLE.get(module, style) == style
    if engine == ENGINES[0] or module not in ENGINE_OF_THEIR_OWN
]
CLICKHOUSE = {module for module in MODULES if "clickhouse" in module or module == "test_full_stack"}


@pytest.mark.parametrize("case", CASES, ids=["-".join(case) for case in CASES])
def test_a_module_of_the_suite_passes(
    suite: Suite, run_python: RunPython, server: str, case: tuple[str, str, str]
) -> None:
    style, engine, module = case

    done = run_python(
        *("-m", "pytest", "-p", "testdb.plugin", "--database", engine, f"tests/{module}.py"),
        cwd=suite(style),
        TEST_DATABASE_URL=server,
        **({"WITH_CLICKHOUSE": "1"} if module in CLICKHOUSE else {}),
    )

    if done.returncode != 0:
        pytest.fail(done.stdout, pytrace=False)


@pytest.mark.parametrize("style", STYLES)
def test_what_a_test_author_writes_is_typed(
    suite: Suite, run_python: RunPython, style: str
) -> None:
    done = run_python("-m", "mypy", "--strict", "service", "tests", cwd=suite(style))

    if done.returncode != 0:
        pytest.fail(done.stdout, pytrace=False)
