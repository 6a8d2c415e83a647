"""What the answers may be: a bad one is refused in one line that says why."""

import re
from pathlib import Path

import pytest
from derivation import LINE_LENGTH
from finishing import python_string
from pre_gen_project import Answers, faults, taken

from tests.running import BIN, TEMPLATE, Run, succeeded

PINS = TEMPLATE / "{{cookiecutter.project_slug}}" / "constraints.txt"

GOOD: Answers = {
    "project_name": "My Service",
    "project_slug": "my-service",
    "package_name": "my_service",
    "description": "A small service.",
    "author_name": "Your Name",
    "author_email": "you@example.com",
}

BAD = [
    ("project_name", "", "is empty"),
    ("project_name", " \t ", "is empty"),
    ("project_name", "Two\nlines", "line break"),
    ("project_name", "Bell\a", "control character"),
    ("project_name", "Two\u2028lines", "line break"),
    ("project_name", "n" * 91, "is too long"),
    ("project_name", "東" * 46, "is too long"),
    ("project_name", "\\" * 46, "is too long"),
    ("project_slug", " ", "is no folder name"),
    ("project_slug", "My-Service", "is no folder name"),
    ("project_slug", "my_service", "is no folder name"),
    ("project_slug", "my service", "is no folder name"),
    ("project_slug", "1st", "is no folder name"),
    ("project_slug", "-service", "is no folder name"),
    ("project_slug", "service-", "is no folder name"),
    ("project_slug", "service\n", "is no folder name"),
    ("project_slug", "café", "is no folder name"),
    ("project_slug", "con", "is a device on Windows"),
    ("project_slug", "lpt1", "is a device on Windows"),
    ("project_slug", "a" * 51, "is too long"),
    ("package_name", "", "is no package name"),
    ("package_name", "my-service", "is no package name"),
    ("package_name", "MyService", "is no package name"),
    ("package_name", "1st", "is no package name"),
    ("package_name", "_private", "is no package name"),
    ("package_name", "service\n", "is no package name"),
    ("package_name", "café", "is no package name"),
    ("package_name", "a" * 41, "is too long"),
    ("package_name", "class", "is a Python keyword"),
    ("package_name", "async", "is a Python keyword"),
    ("package_name", "match", "is a Python keyword"),
    ("package_name", "json", "is a module of Python's standard library"),
    ("package_name", "asyncio", "is a module of Python's standard library"),
    ("package_name", "imp", "is a module of Python's standard library"),
    ("package_name", "annotationlib", "is a module of Python's standard library"),
    ("package_name", "list", "is a Python built-in"),
    ("package_name", "tests", "is a name the project itself uses"),
    ("package_name", "migrations", "is a name the project itself uses"),
    ("package_name", "aclose", "is a name the project itself uses"),
    ("package_name", "aux", "is a device on Windows"),
    ("package_name", "dist", "is a folder that linters leave out"),
    *(
        ("package_name", name, "is a library the project depends on")
        for name in (
            "aiosqlite alembic anyio click factory fastapi httpx2 prometheus_client psycopg "
            "pydantic pydantic_settings pytest sqlalchemy starlette structlog typer uvicorn "
            "migrator testdb isolation_child"
        ).split()
    ),
    ("description", "a bell \a", "has a control character"),
    ("description", "an escape \x1b[31m", "has a control character"),
    ("description", "Code:\n```python\nx=1\n```", "opens a code block"),
    ("description", "  ~~~", "opens a code block"),
    ("author_name", "a DEL \x7f", "has a control character"),
    ("author_name", "half of a sign \ud83e", "has a control character"),
    ("author_name", "", "is empty"),
    ("author_name", "  ", "is empty"),
    *(
        ("author_email", email, "is no e-mail address")
        for email in (
            "",
            "you",
            "you@",
            "@example.com",
            "you@example",
            "you@@example.com",
            "you@example..com",
            "you@-example.com",
            "you@example.com.",
            ".you@example.com",
            "you.@example.com",
            "y..u@example.com",
            "you me@example.com",
            "you@example.com\n",
            'you"@example.com',
            "Your Name <you@example.com>",
        )
    ),
]


@pytest.mark.parametrize(("answer", "value", "reason"), BAD)
def test_a_bad_answer_is_refused_in_one_line(answer: str, value: str, reason: str) -> None:
    found = list(faults({**GOOD, answer: value}))

    assert len(found) == 1
    assert found[0].startswith(answer)
    assert reason in found[0]
    assert not value.strip() or repr(value) in found[0]
    assert "\n" not in found[0]


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("project_name", 'Ann\'s "Øre" \\ {50 %} 東京'),
        ("project_name", "n" * 90),
        ("project_slug", "a"),
        ("project_slug", "a" * 50),
        ("project_slug", "shop-2-go"),
        ("package_name", "a"),
        ("package_name", "a" * 40),
        ("package_name", "async_jobs"),
        ("package_name", "shop_2_go"),
        ("description", ""),
        ("description", "Not at its beginning: ``` and ~~~"),
        ("description", 'Any "text" \\ at {all}\r\n\tof 東京 🦉'),
        ("author_name", 'Ann "the" O\'Neil\nand 東京'),
        ("author_email", "o'neil+spam@mail.example.co.uk"),
        ("author_email", "x@xn--bcher-kva.example"),
    ],
)
def test_a_good_answer_is_accepted(answer: str, value: str) -> None:
    assert list(faults({**GOOD, answer: value})) == []


@pytest.mark.parametrize("name", ["n" * 90, "東" * 45, "\\" * 45, "'" * 45 + '"' * 22])
def test_the_longest_name_fits_a_line_of_python(run: Run, tmp_path: Path, name: str) -> None:
    module = tmp_path / "x.py"
    module.write_text(f"TITLE = {python_string(name)}\n")

    assert list(faults({**GOOD, "project_name": name})) == []
    ruff = (BIN / "ruff", "check", "--isolated", "--select=E501", "--line-length", str(LINE_LENGTH))
    succeeded(run(*ruff, "--no-cache", module, cwd=tmp_path))


def test_no_package_has_the_name_of_a_pinned_distribution() -> None:
    pinned = re.findall(r"^([\w.-]+)==", PINS.read_text(), re.MULTILINE)

    free = [it for it in pinned if not taken(it.lower().replace("-", "_").replace(".", "_"))]

    assert len(pinned) > 50
    assert free == []
