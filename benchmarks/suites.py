"""The same small tests on every pattern of an engine, in turn, in one process."""

from benchmarks.figures import Figures
from benchmarks.patterns import POSTGRESQL, SQLITE
from benchmarks.project import PROGRAMS, Project, add_peers

# The plugin that measures a module of tests.
PLUGIN = "blocks"

OF_ENGINE = {"sqlite": SQLITE, "postgresql": POSTGRESQL}


def measure_suites(project: Project, figures: Figures, rounds: int) -> None:
    """Note the milliseconds of a small test on every pattern, once in each round.

    The patterns take turns, a module each. So a machine that is busy for a while is so for all, and
    nothing but the tests is measured: Python and pytest start once for all rounds.
    """
    add_peers(project)
    project.install(PROGRAMS / f"{PLUGIN}.py")
    for engine, patterns in OF_ENGINE.items():
        modules = []
        for number in range(rounds):
            for pattern in patterns:
                module = f"{pattern.module}_{number}"
                # The first test and the last one are not measured: they set up and tear down.
                project.write(module, pattern.suite(project.style, pattern.tests + 2))
                modules.append(module)
        found = project.measured(modules, *options(project, engine))
        for pattern in patterns:
            for clock in ("cpu", "wall"):
                name = f"{project.style}: {engine}, {pattern.name}, {clock}"
                figures.add(name, found[f"{pattern.module} {clock}"])


def options(project: Project, engine: str) -> list[str]:
    """Return the options of a run with all patterns of an engine; pytest-sqla needs its URL."""
    urls = {"sqlite": ("sqlite://", "sqlite+aiosqlite://")}
    own = project.database("sqla")
    sync_url, async_url = urls.get(engine, (own, own))
    return [
        *("--database", engine, "-p", PLUGIN, "-o", "sqla_metadata=my_service.models:Base"),
        *("--sqla-url", sync_url, "--sqla-async-url", async_url, "--sqla-recreate-schema"),
    ]
