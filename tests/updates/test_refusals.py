"""When an update is refused: with a reason and a way on, and with nothing changed."""

import json
import shutil
from collections.abc import Callable

import pytest
from record import NAME

from tests.updates.conftest import AUTHOR, TEN, Make, Updated, commit, git

REFUSED = 1


def edit(project: Updated) -> None:
    (project.folder / "app.py").write_text("mine\n")


def leave_a_file(project: Updated) -> None:
    (project.folder / "notes.txt").write_text("mine\n")


def remove_the_repository(project: Updated) -> None:
    shutil.rmtree(project.folder / ".git")


def commit_nothing(project: Updated) -> None:
    remove_the_repository(project)
    project.git("init", "--quiet")


def stop_in_a_merge(project: Updated) -> None:
    project.git("checkout", "--quiet", "-b", "other")
    commit(project.folder, {"other.py": "x\n"})
    project.git("checkout", "--quiet", "main")
    project.git("merge", "--quiet", "--no-commit", "--no-ff", "other")


def delete_the_record(project: Updated) -> None:
    commit(project.folder, {NAME: None})


def spoil_the_record(project: Updated) -> None:
    commit(project.folder, {NAME: "{}"})


def record(project: Updated, **parts: object) -> None:
    recorded = json.loads((project.folder / NAME).read_text())
    commit(project.folder, {NAME: json.dumps({**recorded, **parts})})


def record_an_unknown_commit(project: Updated) -> None:
    record(project, commit="f" * 40)


def record_an_unknown_version(project: Updated) -> None:
    record(project, commit=None, version="9.9.9")


def withdraw_a_choice(project: Updated) -> None:
    path = project.template / "cookiecutter.json"
    commit(project.template, {path.name: path.read_text().replace('"red", "blue"', '"blue"')})


def keep_the_branch(project: Updated) -> None:
    project.git("branch", "template-update-1.1.0")


def ignore_a_file(project: Updated) -> None:
    commit(project.folder, {".gitignore": "red.py\n"})
    (project.folder / "new").mkdir()
    (project.folder / "new" / "red.py").write_text("mine\n")


def ignore_a_file_with_the_name_of_a_folder(project: Updated) -> None:
    commit(project.folder, {".gitignore": "new\n"})
    (project.folder / "new").write_text("mine\n")


def ignore_a_link(project: Updated) -> None:
    commit(project.folder, {".gitignore": "red.py\n"})
    (project.folder / "new").mkdir()
    (project.folder / "new" / "red.py").symlink_to("nowhere")


def ignore_a_link_with_the_name_of_a_folder(project: Updated) -> None:
    commit(project.folder, {".gitignore": "new\n"})
    (project.folder / "new").symlink_to("migrations")


def ignore_a_folder_with_the_name_of_a_file(project: Updated) -> None:
    commit(project.folder, {".gitignore": "red.py\n"})
    (project.folder / "new" / "red.py").mkdir(parents=True)
    (project.folder / "new" / "red.py" / "mine").write_text("mine\n")


def tag_a_commit_without_questions(project: Updated) -> None:
    git(project.template, "checkout", "--quiet", "v1.0.0")
    commit(project.template, {"cookiecutter.json": None}, tag="none")
    git(project.template, "checkout", "--quiet", "main")


def break_the_hooks(project: Updated) -> None:
    text = "import sys\nsys.exit('error: no such name')\n"
    commit(project.template, {"hooks/pre_gen_project.py": text})


def forget_the_name(project: Updated) -> None:
    assert project.folder.is_dir()  # the test leaves it out of the environment


def nothing(project: Updated) -> None:
    assert project.folder.is_dir()


ANSWERS = ("project_name=Shop", "project_slug=shop", "retired=default")
# What is done before, the options and answers of the update, and words of the message.
Refused = tuple[Callable[[Updated], None], tuple[str, ...], tuple[str, ...], str]
REFUSALS: dict[str, Refused] = {
    "a-change": (edit, (), (), "app.py"),
    "a-file-that-git-does-not-know": (leave_a_file, (), (), "?? notes.txt"),
    "no-repository": (remove_the_repository, (), (), "git init"),
    "no-commit": (commit_nothing, (), (), "git commit"),
    "a-merge-in-progress": (stop_in_a_merge, (), (), "merge or rebase is in progress"),
    "no-record": (delete_the_record, (), (), "FROM="),
    "no-record-and-no-answers": (
        delete_the_record,
        ("--from", "v1.0.0"),
        ANSWERS,
        "Missing:\n  color=red|blue\n",
    ),
    "an-answer-that-was-not-offered": (
        delete_the_record,
        ("--from", "v1.0.0"),
        (*ANSWERS, "color=green"),
        "color 'green' is not offered: choose red or blue",
    ),
    "no-such-record": (spoil_the_record, (), (), f"{NAME} is no record"),
    "a-commit-that-is-not-there": (record_an_unknown_commit, (), (), f"no commit {'f' * 40}"),
    "a-version-that-is-not-there": (record_an_unknown_version, (), (), "no tag v9.9.9"),
    "a-base-that-is-not-there": (nothing, ("--from", "v0.0.0"), (), "no commit v0.0.0"),
    "a-base-without-questions": (
        tag_a_commit_without_questions,
        ("--from", "none"),
        (),
        "has no cookiecutter.json",
    ),
    "a-target-without-questions": (
        tag_a_commit_without_questions,
        ("--to", "none"),
        (),
        "has no cookiecutter.json",
    ),
    "a-target-that-is-not-there": (nothing, ("--to", "v3.0.0"), (), "tag or commit v3.0.0"),
    "a-choice-that-is-gone": (withdraw_a_choice, (), (), "ARGS=\n  color 'red' is not offered"),
    "a-question-that-is-not-asked": (nothing, (), ("colour=blue",), "did you mean color?"),
    "no-answer": (nothing, (), ("blue",), "write key=value"),
    "a-branch-of-an-earlier-update": (keep_the_branch, (), (), "git branch -D"),
    "an-ignored-file-in-the-way": (ignore_a_file, (), (), "has new/red.py, which git ignores"),
    "an-ignored-file-where-a-folder-comes": (
        ignore_a_file_with_the_name_of_a_folder,
        (),
        (),
        "has new, which git ignores",
    ),
    "an-ignored-link-in-the-way": (ignore_a_link, (), (), "has new/red.py, which git ignores"),
    "an-ignored-link-where-a-folder-comes": (
        ignore_a_link_with_the_name_of_a_folder,
        (),
        (),
        "has new, which git ignores",
    ),
    "an-ignored-folder-in-the-way": (
        ignore_a_folder_with_the_name_of_a_file,
        (),
        (),
        "has new/red.py/mine, which git ignores",
    ),
    "hooks-that-refuse": (break_the_hooks, (), (), "error: no such name"),
    "no-name-to-commit-with": (forget_the_name, (), (), "git config user.name"),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_an_update_is_refused(project: Updated, refusal: Refused) -> None:
    prepare, options, answers, words = refusal
    prepare(project)
    before, files = project.state(), project.files()
    variables = dict.fromkeys(AUTHOR, "") if prepare is forget_the_name else {}

    result = project.update("--apply", *options, answers=answers, **variables)

    assert result.returncode == REFUSED, result.stdout
    assert result.stderr.startswith("error: ")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert (project.state(), project.files()) == (before, files)
    assert list(project.scratch.iterdir()) == []


def test_a_folder_that_is_not_there_is_refused(project: Updated) -> None:
    elsewhere = Updated(project.folder / "nowhere", project.template, project.scratch)

    result = elsewhere.update()

    assert result.returncode == REFUSED
    assert "nowhere" in result.stderr


def test_the_template_is_no_project(project: Updated) -> None:
    template = Updated(project.template, project.template, project.scratch)

    result = template.update()

    assert result.returncode == REFUSED
    assert "PROJECT=" in result.stderr


def test_a_template_without_history_is_refused(project: Updated) -> None:
    shutil.rmtree(project.template / ".git")

    result = project.update()

    assert result.returncode == REFUSED
    assert "no clone of the template" in result.stderr


@pytest.mark.parametrize(
    ("version", "options", "answers"),
    [
        ("v1.1.0", (), ()),
        ("v1.0.0", ("--to", "v1.0.0"), ()),
        ("v1.1.0", (), ("color=red",)),
        ("v1.1.0", ("--from", "v1.0.0"), ()),
    ],
)
def test_there_may_be_nothing_to_do(
    make: Make, version: str, options: tuple[str, ...], answers: tuple[str, ...]
) -> None:
    project = make(version)
    before = project.state()

    result = project.update("--apply", *options, answers=answers)

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Nothing to do: the project ")
    assert project.state() == before


def test_a_project_that_is_ahead_of_the_source_does_not_go_back(make: Make) -> None:
    project = make("v1.1.0")
    git(project.template, "reset", "--quiet", "--hard", "v1.0.0")

    result = project.update("--apply")

    assert result.returncode == 0
    assert result.stdout.startswith("Nothing to do")


def test_a_version_without_a_commit_is_found_by_its_tag(project: Updated) -> None:
    record(project, commit=None)
    commit(project.folder, {"app.py": TEN.replace("line 9", "mine")})

    result = project.update("--apply")

    assert result.returncode == 0, result.stderr
    assert "line two" in (project.folder / "app.py").read_text()


def test_changes_of_the_template_that_were_not_committed_are_told(project: Updated) -> None:
    recorded = json.loads((project.folder / NAME).read_text())
    record(project, commit=f"{recorded['commit']}-dirty")

    result = project.update()

    assert result.returncode == 0, result.stderr
    assert "not committed: they count as yours" in result.stdout
