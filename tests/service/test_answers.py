"""What the prompts accept, what they refuse, and that any text survives."""

import json
import tomllib
from pathlib import Path

import pytest
from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config

from tests.conftest import Project, Render
from tests.running import BIN, TEMPLATE, Run


def test_all_faults_are_told_at_once(cli: Run, tmp_path: Path) -> None:
    result = cli(
        "project_name= ",
        "project_slug=My Service",
        "package_name=class",
        "author_name=",
        "author_email=nobody",
        cwd=tmp_path,
    )

    told = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode == 1
    assert [line.split()[1] for line in told] == [
        "project_name",
        "project_slug",
        "package_name",
        "author_name",
        "author_email",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("slug", ["", "a/b", "../up", "a/../b", "/", "..", ".", "a\\b", "a" * 300])
def test_a_slug_that_is_no_name_leaves_nothing(cli: Run, tmp_path: Path, slug: str) -> None:
    folder = tmp_path / "here"
    folder.mkdir()

    result = cli(f"project_slug={slug}", "package_name=fine", cwd=folder)

    assert result.returncode == 1
    assert "error: project_slug" in result.stderr
    assert list(tmp_path.rglob("*")) == [folder]


@pytest.mark.parametrize("option", ["-f", "--overwrite-if-exists"])
def test_a_refusal_spares_a_folder_that_was_there(cli: Run, tmp_path: Path, option: str) -> None:
    mine = tmp_path / "my-service" / "notes" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")

    result = cli(option, "package_name=class", cwd=tmp_path)

    assert result.returncode == 1
    assert "error: package_name 'class' is a Python keyword" in result.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine"


def test_a_choice_that_is_not_offered_is_refused(cli: Run, tmp_path: Path) -> None:
    result = cli("session_style=threads", cwd=tmp_path)

    assert result.returncode == 1
    assert "threads" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (
            {"session_style": "threads", "database": "postgres", "package_name": "class"},
            ["session_style 'threads'", "database 'postgres'", "package_name 'class'"],
        ),
        ({"python_version": 3.12}, ["python_version is 3.12, which is no text"]),
        ({"project_name": True}, ["project_name is True, which is no text"]),
    ],
    ids=["refused", "number", "boolean"],
)
def test_a_replay_is_checked_like_any_answers(
    run: Run, config_file: Path, tmp_path: Path, answers: dict[str, object], told: list[str]
) -> None:
    context = generate_context(str(TEMPLATE / "cookiecutter.json"))
    replayed = {**prompt_for_config(context, no_input=True), **answers}
    replay = tmp_path / "replay.json"
    replay.write_text(json.dumps({"cookiecutter": replayed}))

    command = (BIN / "cookiecutter", "--config-file", config_file, "--replay-file", replay)
    result = run(*command, TEMPLATE, cwd=tmp_path)

    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode == 1
    assert len(errors) == len(told)
    for error, words in zip(errors, told, strict=True):
        assert error.startswith(f"error: {words}")
    assert list(tmp_path.iterdir()) == [replay]


@pytest.mark.parametrize(
    ("name", "slug", "package"),
    [
        ("My Service", "my-service", "my_service"),
        ("Größe & Maß", "grosse-mass", "grosse_mass"),
        ("Ann's Shop, 2nd", "ann-s-shop-2nd", "ann_s_shop_2nd"),
        ("!?", "my-service", "my_service"),
        ("word " * 17, "word-word-word-word-word-word-word-word-word-word", "word_" * 7 + "word"),
    ],
)
def test_folder_and_package_are_derived_from_the_name(
    render: Render, tmp_path: Path, name: str, slug: str, package: str
) -> None:
    project = render({"project_name": name}, tmp_path)

    assert project.name == slug
    assert [path.name for path in (project / "src").iterdir()] == [package]


def test_every_prompt_and_choice_has_a_text() -> None:
    context = json.loads((TEMPLATE / "cookiecutter.json").read_text())
    texts = context["__prompts__"]
    asked = {name: default for name, default in context.items() if not name.startswith("_")}

    assert texts.keys() == asked.keys()
    for name, default in asked.items():
        if isinstance(default, list):
            assert texts[name].keys() == {"__prompt__", *default}


def test_pressing_enter_takes_the_defaults(cli: Run, project: Project, tmp_path: Path) -> None:
    result = cli(cwd=tmp_path, text="\n" * 13)

    assert result.returncode == 0, result.stderr
    assert "How the code talks to the database" in result.stdout
    assert tree(tmp_path / "my-service") == tree(project())


def test_the_next_commands_are_told_last(cli: Run, tmp_path: Path) -> None:
    result = cli(cwd=tmp_path)

    told = [line.split("#")[0].strip() for line in result.stdout.splitlines() if "make" in line]
    assert told == ["cd my-service && make test", "make run"]


TEXTS = {
    "quotes": """It's a "thing" of ''' and \"\"\" and `ticks`""",
    "backslashes": r"C:\new\table \u0041 \\ \' \" and one last \\",
    "last backslash": "ends in one \\",
    "percent": "100 % of %(here)s and %s and %% and $HOME and ${HOME} and $(id)",
    "braces": "{ } {0} {name} }} %} #} [x] <b>&amp;</b> <!-- no -->",
    "newlines": "first\nsecond: line\n\n- third\n# fourth\n[project]\n",
    "carriage return": "first\r\nsecond",
    "letters": "Größe, 東京, Ελλάδα, עברית, 🦉, e\u0301",
    "code": "x = 1; import os  # noqa\n`async def f(): await AsyncSession()`",
    "yaml and toml": "- a: b, {c: d} & *e !f | > ' \" # @ ` = [[x]]",
}
JINJA = {
    "variable": "{{ cookiecutter.project_slug }} and {{ 1 + 1 }}",
    "tags": "{% raw %}{% if %}{# comment #}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_any_text_describes_and_signs_a_project(render: Render, tmp_path: Path, text: str) -> None:
    project = render({"description": text, "author_name": text}, tmp_path)

    assert_shown(project, description=text, author=text)


# Once it is taken, a typed text goes the way of any other.
TYPED = {"quotes", "backslashes", *JINJA}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=name, marks=[] if name in TYPED else pytest.mark.complete)
        for name, text in (TEXTS | JINJA).items()
    ],
)
def test_any_typed_text_describes_and_signs_a_project(cli: Run, tmp_path: Path, text: str) -> None:
    line = " ".join(text.split())

    result = cli(cwd=tmp_path, text=f"\n\n\n{line}\n{line}\n" + "\n" * 8)

    assert result.returncode == 0, result.stderr
    assert_shown(tmp_path / "my-service", description=line, author=line)


@pytest.mark.parametrize(
    "name", ['It\'s a "thing"', "C:\\new", "100 % {name} }} %}", "東京 🦉", "<b> & - : # [x]"]
)
def test_any_line_names_a_project(render: Render, tmp_path: Path, name: str) -> None:
    project = render({"project_name": name, "project_slug": "x", "package_name": "x"}, tmp_path)

    assert name in (project / "README.md").read_text().splitlines()[0]
    assert_shown(project)


def assert_shown(project: Path, description: str = "", author: str = "") -> None:
    """Check that a project's metadata can be read and holds the texts.

    Python's metadata has no line breaks, so they count as spaces.
    """
    metadata = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    if description:
        assert metadata["description"].split() == description.split()
        assert one_line(description) in one_line((project / "README.md").read_text())
    if author:
        assert metadata["authors"][0]["name"].split() == author.split()
        assert one_line(author) in one_line((project / "LICENSE").read_text())


def one_line(text: str) -> str:
    """Return a text with every run of white space as one space."""
    return " ".join(text.split())


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a project with its content, but for git's own."""
    paths = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
