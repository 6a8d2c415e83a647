"""The service's README lists every place that a new entity touches.

The folder `entity` holds what a team writes for notes, the example of that list.
"""

import re
from pathlib import Path

import pytest

from tests.running import succeeded
from tests.service.conftest import Change
from tests.service.project import PACKAGE, Service, combinations
from tests.service.sources import changed, sources

ENTITY = Path(__file__).with_name("entity")
VERSIONS = "migrations/versions/"

# The lines that it adds to other files.
LINES = {
    f"src/{PACKAGE}/models/__init__.py": [
        (r"(?=^from \S+\.models\.tasks)", f"from {PACKAGE}.models.notes import Note\n"),
        (r'(?=^    "Task",)', '    "Note",\n'),
    ],
    f"src/{PACKAGE}/main.py": [
        (r"^(from \S+\.api import health, )(?=problems)", r"\1notes, "),
        (r"(?=^    app\.include_router\(thoughts)", "    app.include_router(notes.router)\n"),
    ],
    "tests/conftest.py": [
        (r'(?=^    "tests\.fixtures\.tasks",)', '    "tests.fixtures.notes",\n'),
    ],
}
ROW = """\
    "{revision}": [
        \"""
        INSERT INTO notes (id, user_id, text)
        VALUES ('44444444444444444444444444444444', '11111111111111111111111111111111', 'Tea')
        \"""
    ],
}}
"""


def listed(project: Path) -> list[str]:
    """Return the places of the list, in its order."""
    section = (project / "README.md").read_text().partition("### A new entity\n")[2]
    return re.findall(r"^\d+\. `([^`]+)`", section, re.MULTILINE)


@pytest.fixture
def with_notes(service: Service, change: Change) -> Service:
    """Return the installed project with the entity, whose revision its script wrote."""
    service.migrate()
    for name, text in sources(ENTITY, service.style, PACKAGE).items():
        change(service.folder / name, text)
    for name, lines in LINES.items():
        change(service.folder / name, changed(service.folder / name, lines))
    versions = service.folder / VERSIONS
    before = set(versions.glob("*.py"))
    head = versions.with_name("head.txt")
    change(head, head.read_text())  # as it is after the test
    succeeded(service.run(service.folder / "scripts" / "new-migration.sh", "add notes"))
    (written,) = set(versions.glob("*.py")) - before
    text = written.read_text()
    written.unlink()
    # Written again, so that it goes after the test.
    change(written, text)
    (revision,) = re.findall(r'^revision = "(.*)"$', text, re.MULTILINE)
    rows = service.folder / "tests" / "migrations" / "rows.py"
    change(rows, changed(rows, [(r"^\}\n\Z", ROW.format(revision=revision))]))
    return service


@combinations("sync-sqlite", complete=["async-postgresql"])
def test_an_entity_needs_the_places_that_the_readme_lists_and_no_other(
    with_notes: Service,
) -> None:
    written = sources(ENTITY, with_notes.style, PACKAGE)

    places = listed(with_notes.folder)
    succeeded(with_notes.make("format"))
    succeeded(with_notes.make("check"))
    tests = "tests/unit tests/migrations tests/integration/test_notes_api.py"
    succeeded(with_notes.make("test", f"ARGS=--no-cov -q {tests}"))

    assert len(places) == len(set(places))
    assert set(places) == {*written, *LINES, VERSIONS, "tests/migrations/rows.py"}


@combinations("sync-sqlite")
def test_the_places_that_a_readme_names_besides_exist(service: Service) -> None:
    section = (service.folder / "README.md").read_text().partition("### A new entity\n")[2]
    named = re.findall(
        r"`((?:tests/|api/|domain|__main__)[\w/]*\.py)`", section.partition("\n[")[0]
    )

    roots = (service.folder, service.folder / "src" / PACKAGE)
    places = {*named} - set(listed(service.folder))

    assert places == {
        *("tests/fixtures/scenarios.py", "api/callers.py", "__main__.py", "domain.py")
    }
    assert [name for name in places if not any((root / name).exists() for root in roots)] == []
