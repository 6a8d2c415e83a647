"""What an update brings, and what it leaves alone."""

import json
import shutil
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter
from record import NAME

from tests.running import run, succeeded
from tests.updates.conftest import TEN, Make, Updated, commit, git
from updates import TEMPLATE
from updates.request import choose_source

BRANCH = "template-update-1.1.0"
CONFLICTS = 3


def test_a_project_as_it_was_rendered_becomes_a_fresh_rendering(
    project: Updated, tmp_path: Path, config_file: Path
) -> None:
    before = project.files()

    succeeded(project.update("--apply"))

    options = {"no_input": True, "config_file": str(config_file)}
    fresh = cookiecutter(str(project.template), output_dir=str(tmp_path / "fresh"), **options)
    own = {name: text for name, text in before.items() if name.startswith("migrations/")}
    rendered = {
        name: text
        for name, text in project.files(Path(fresh)).items()
        if not name.startswith("migrations/")
    }
    after = project.files()
    record = json.loads(after.pop(NAME))
    assert after == rendered | own
    assert record == {
        "version": "1.1.0",
        "commit": project.template_commit("v1.1.0"),
        "source": str(project.template),
        "answers": {
            "added": "default",
            "color": "red",
            "project_name": "Shop",
            "project_slug": "shop",
        },
    }


def test_the_result_is_a_branch_on_top_of_what_was_there(project: Updated) -> None:
    before = project.git("rev-parse", "HEAD")

    succeeded(project.update("--apply"))

    assert project.git("branch", "--show-current") == BRANCH
    assert project.git("rev-parse", "main", "HEAD~") == f"{before}\n{before}"
    assert project.git("status", "--porcelain") == ""
    assert list(project.scratch.iterdir()) == []


def test_without_apply_it_is_only_shown(project: Updated) -> None:
    before = project.state()

    shown = succeeded(project.update())

    assert project.state() == before
    for line in (
        "  M app.py",
        "  D dropped.py",
        "  A new/red.py",
        "New question: added=default",
        "No longer asked: retired (it was default)",
        "- Second.",
        "Nothing was changed. To merge this on a branch, add APPLY=1.",
    ):
        assert line in shown
    assert "- First." not in shown
    assert list(project.scratch.iterdir()) == []


def test_what_the_schema_gained_is_listed_and_no_revision_is_delivered(project: Updated) -> None:
    shown = succeeded(project.update("--apply"))

    _, _, listed = shown.partition("schema gained this")
    assert [line for line in listed.splitlines() if line.startswith("  ")][:-1] == [
        "  0001.py: raise RuntimeError",
        "  users: sa.Column('name', sa.Text())",
        "  new table orders",
        "  orders: sa.Column('id', sa.Integer(), nullable=False)",
    ]
    assert project.git("diff", "--name-only", "main", "--", "migrations") == ""


# What a user does to files, and words that are there after the update.
KEPT = {
    "README.md": (TEN.replace("line 9", "mine"), ("mine",)),
    "app.py": (TEN.replace("line 9", "mine"), ("line two", "mine")),
    "sample.py": (TEN.replace("line 2\n", "line two\n"), ("line two",)),
    "mine.py": ("mine\n", ("mine",)),
    "new/mine.py": ("mine\n", ("mine",)),
    "migrations/versions/7_mine.py": ("mine\n", ("mine",)),
    "migrations/head.txt": ("7_mine\n", ("7_mine",)),
    "packages/mine/a.py": ("mine\n", ("mine",)),
    "ü ' \"\t.txt": ("mine\n", ("mine",)),
}


def test_what_a_user_changed_is_kept(project: Updated) -> None:
    commit(project.folder, {name: text for name, (text, _) in KEPT.items()})

    succeeded(project.update("--apply"))

    after = project.files()
    words = [(name, word) for name, (_, kept) in KEPT.items() for word in kept]
    lost = [(name, word) for name, word in words if word not in after[name]]
    assert lost == []
    assert project.git("status", "--porcelain") == ""


# Changes at the same places as the template's: the same line, a file that it removes, one it adds.
CONFLICTING: dict[str, str | None] = {
    "app.py": TEN.replace("line 2\n", "mine\n"),
    "dropped.py": TEN.replace("line 2\n", "mine\n"),
    "new/red.py": "mine\n",
}


def test_what_both_changed_is_a_conflict_that_git_shows(project: Updated) -> None:
    commit(project.folder, CONFLICTING)

    shown = succeeded(project.update())
    result = project.update("--apply")

    assert "conflicts:\n  app.py\n  dropped.py\n  new/red.py\n" in shown
    assert result.returncode == CONFLICTS, result.stderr
    assert result.stdout.endswith("\napp.py\ndropped.py\nnew/red.py\n")
    assert project.git("diff", "--name-only", "--diff-filter=U").split() == [*CONFLICTING]
    assert [name for name in CONFLICTING if "mine" not in project.files()[name]] == []
    assert ("<<<<<<<" in project.files()["app.py"]) == ("line two" in project.files()["app.py"])
    assert project.git("branch", "--show-current") == BRANCH
    # The rest is merged.
    assert (project.folder / "packages/lib/b.py").exists()


def test_conflicts_are_resolved_or_dropped_as_git_does(project: Updated) -> None:
    mine = TEN.replace("line 2\n", "mine\n")
    commit(project.folder, {"app.py": mine})
    before = project.state()

    project.update("--apply")
    project.git("cherry-pick", "--abort")
    project.git("checkout", "--quiet", "main")
    project.git("branch", "--delete", "--force", BRANCH)
    dropped = project.state()
    project.update("--apply")
    (project.folder / "app.py").write_text(mine)
    project.git("add", ".")
    project.git("-c", "core.editor=true", "cherry-pick", "--continue")

    assert dropped == before
    assert (project.folder / "app.py").read_text() == mine
    assert project.git("log", "-1", "--format=%s").startswith("Template: 1.0.0 (")
    again = project.update()
    assert again.stdout.startswith("Nothing to do")


def test_what_a_user_deleted_stays_deleted(project: Updated) -> None:
    commit(project.folder, {"sample.py": None})

    shown = succeeded(project.update("--apply"))

    assert "stay deleted:\n  sample.py\n" in shown
    assert not (project.folder / "sample.py").exists()


def move(project: Updated, **names: str) -> None:
    """Move files into a folder, as a user does."""
    (project.folder / "core").mkdir()
    for name, target in names.items():
        project.git("mv", f"{name}.py", target)
    commit(project.folder, {})


def test_what_a_user_moved_is_merged_where_it_is_now(project: Updated) -> None:
    commit(project.folder, {"app.py": TEN.replace("line 9", "mine")})
    move(project, app="core/main.py", sample="core/sample.py")

    shown = succeeded(project.update("--apply"))

    after = project.files()
    moved = "app.py -> core/main.py\n  sample.py -> core/sample.py\n"
    assert f"merged where they are now:\n  {moved}" in shown
    assert "stay deleted" not in shown
    assert after["core/main.py"] == TEN.replace("line 2\n", "line two\n").replace("line 9", "mine")
    assert after["core/sample.py"] == TEN.replace("line 2\n", "line two\n")
    assert after.keys().isdisjoint({"app.py", "sample.py"})


def test_what_a_user_moved_can_have_conflicts(project: Updated) -> None:
    commit(project.folder, {"app.py": TEN.replace("line 2\n", "mine\n")})
    move(project, app="core/app.py", dropped="core/dropped.py")

    result = project.update("--apply")

    assert result.returncode == CONFLICTS, result.stderr
    assert result.stdout.endswith("\ncore/app.py\ncore/dropped.py\n")
    assert "<<<<<<<" in (project.folder / "core" / "app.py").read_text()


def test_a_folder_that_was_renamed_with_its_answer_is_the_templates(make: Make) -> None:
    project = make("v1.1.0")
    project.git("mv", "new/red.py", "new/blue.py")
    record = json.loads((project.folder / NAME).read_text())
    record["answers"]["color"] = "blue"
    commit(project.folder, {NAME: json.dumps(record), "new/blue.py": "default\nmine\n"})
    folder = "{{cookiecutter.project_slug}}/new/{{cookiecutter.color}}"
    commit(project.template, {f"{folder}.py": "new\ndefault\n", f"{folder}_more.py": "new\n"})

    succeeded(project.update("--apply"))

    after = {name: text for name, text in project.files().items() if name.startswith("new/")}
    assert after == {"new/blue.py": "new\ndefault\nmine\n", "new/blue_more.py": "new\n"}


@pytest.mark.parametrize("kind", ["link", "submodule"])
def test_a_library_that_is_a_link_or_a_submodule_stays(project: Updated, kind: str) -> None:
    head = project.git("rev-parse", "HEAD")
    project.git("rm", "-r", "--quiet", "packages/lib")
    library = project.folder / "packages" / "lib"
    library.parent.mkdir()
    if kind == "link":
        library.symlink_to("../elsewhere")
        commit(project.folder, {"elsewhere/a.py": "mine\n", "elsewhere/b.py": "mine\n"})
    else:
        library.mkdir()
        project.git("update-index", "--add", "--cacheinfo", f"160000,{head},packages/lib")
        project.git("commit", "--quiet", "--message=x")
    before = project.git("ls-tree", "HEAD", "packages/")

    shown = succeeded(project.update("--apply"))

    assert "stay as they are; update them where they come from:\n  packages/lib\n" in shown
    assert project.git("ls-tree", "HEAD", "packages/") == before
    assert "line two" in (project.folder / "app.py").read_text()


def test_from_a_detached_commit_the_way_back_leads_to_it(project: Updated) -> None:
    project.git("checkout", "--quiet", "--detach")
    before = project.state()

    shown = succeeded(project.update("--apply"))
    succeeded(run("sh", "-c", shown.rpartition("or drop it: ")[2], cwd=project.folder))

    assert project.state() == before


def test_a_library_is_replaced_whole(project: Updated) -> None:
    changes = {
        "packages/lib/a.py": TEN.replace("line 9", "mine"),
        "packages/lib/dropped.py": TEN.replace("line 9", "mine"),
        "packages/lib/mine.py": "mine\n",
    }
    commit(project.folder, changes)

    shown = succeeded(project.update("--apply"))

    assert [line for line in shown.splitlines() if line.strip() in changes] == [
        f"  {name}" for name in changes
    ]
    library = project.folder / "packages" / "lib"
    assert {path.name for path in library.iterdir()} == {"a.py", "b.py"}
    assert (library / "a.py").read_text() == TEN.replace("line 2\n", "line two\n")


def test_a_file_that_the_template_renames_keeps_what_a_user_changed(project: Updated) -> None:
    commit(project.folder, {"app.py": TEN.replace("line 9", "mine")})
    folder = "{{cookiecutter.project_slug}}"
    text = (project.template / folder / "app.py").read_text()
    commit(project.template, {f"{folder}/app.py": None, f"{folder}/main.py": text})

    succeeded(project.update("--apply"))

    assert "mine" in (project.folder / "main.py").read_text()
    assert not (project.folder / "app.py").exists()


def into_a_repository(project: Updated, folder: Path) -> tuple[Updated, Path]:
    """Move a project into a folder of another repository, in which nothing is committed yet."""
    (project.folder / ".git").rename(folder / "old.git")
    whole = folder / "whole"
    (whole / "services").mkdir(parents=True)
    project.folder.rename(whole / "services" / "shop")
    git(whole, "init", "--quiet", "--initial-branch=main")
    return Updated(whole / "services" / "shop", project.template, project.scratch), whole


def test_a_project_may_be_a_folder_of_a_repository(project: Updated, tmp_path: Path) -> None:
    service, whole = into_a_repository(project, tmp_path)
    outside = {"app.py": "other\n", "packages/lib/a.py": "other\n", "sample.py": "other\n"}
    mine = {"services/shop/app.py": TEN.replace("line 9", "mine")}
    commit(whole, outside | mine)
    (whole / "unknown.txt").write_text("other\n")
    (whole / "app.py").write_text("changed\n")
    refused = service.update("--apply")
    changed = (whole / "app.py").read_text()
    git(whole, "checkout", "--quiet", "app.py")

    succeeded(service.update("--apply"))

    assert (refused.returncode, changed) == (1, "changed\n")
    after = service.files(whole)
    assert {name: after[name] for name in outside} == outside
    assert "line two" in after["services/shop/app.py"]
    assert "mine" in after["services/shop/app.py"]
    assert "services/shop/packages/lib/b.py" in after
    assert "services/shop/dropped.py" not in after


def test_two_services_of_a_repository_are_updated_apart(project: Updated, tmp_path: Path) -> None:
    service, whole = into_a_repository(project, tmp_path)
    shutil.copytree(service.folder, whole / "services" / "my copy")
    other = Updated(whole / "services" / "my copy", project.template, project.scratch)
    commit(whole, {"services/shop/sample.py": None})
    before = other.files()

    shown = succeeded(service.update("--apply"))
    after = other.files()
    git(whole, "checkout", "--quiet", "main")
    succeeded(other.update("--apply"))

    branches = git(whole, "branch", "--format=%(refname:short)").split()
    # A file that the other one has as well was not moved there.
    assert "stay deleted:\n  sample.py\n" in shown
    assert after == before
    assert branches == [
        "main",
        f"{BRANCH[:16]}services-my-copy-1.1.0",
        f"{BRANCH[:16]}services-shop-1.1.0",
    ]


def test_a_project_may_be_a_worktree_or_a_shallow_clone(project: Updated, tmp_path: Path) -> None:
    commit(project.folder, {"mine.py": "mine\n"})
    project.git("worktree", "add", "--quiet", tmp_path / "tree", "-b", "tree")
    project.git("clone", "--quiet", "--depth=1", f"file://{project.folder}", tmp_path / "shallow")

    for name in ("tree", "shallow"):
        service = Updated(tmp_path / name, project.template, project.scratch)
        succeeded(service.update("--apply"))

        assert service.git("branch", "--show-current") == BRANCH
        assert (service.folder / "new" / "red.py").exists()
        assert service.git("fsck", "--connectivity-only") == ""
        service.git("checkout", "--quiet", "-")
        service.git("branch", "--quiet", "--delete", "--force", BRANCH)


def test_the_hooks_and_settings_of_a_user_do_not_run(project: Updated, tmp_path: Path) -> None:
    for name in ("pre-commit", "post-checkout", "commit-msg", "prepare-commit-msg"):
        hook = project.folder / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\nexit 1\n")
        hook.chmod(0o755)
    for name, value in {"commit.gpgSign": "true", "merge.renames": "false"}.items():
        project.git("config", name, value)

    succeeded(project.update("--apply"))

    assert not (tmp_path / "ran").exists()


def test_answers_are_what_was_recorded(make: Make) -> None:
    name = "{{ 7 * 7 }} 'Ä' $HOME"
    project = make(color="blue")
    record = json.loads((project.folder / NAME).read_text())
    record["answers"]["project_name"] = name
    written = (project.folder / "README.md").read_text().replace("# Shop", f"# {name}")
    commit(project.folder, {NAME: json.dumps(record), "README.md": written})

    succeeded(project.update("--apply"))

    after = json.loads((project.folder / NAME).read_text())["answers"]
    assert (project.folder / "README.md").read_text() == written
    assert (project.folder / "new" / "blue.py").exists()
    assert (after["project_name"], after["color"]) == (name, "blue")


def test_a_new_question_can_be_answered(project: Updated) -> None:
    shown = succeeded(project.update("--apply", answers=("added=mine", "color=blue")))

    assert (project.folder / "new" / "blue.py").read_text() == "mine\n"
    assert "Another answer: color=blue (it was red)" in shown
    assert json.loads((project.folder / NAME).read_text())["answers"]["added"] == "mine"


def test_an_update_to_an_older_version_goes_back(make: Make) -> None:
    project = make("v1.1.0")

    succeeded(project.update("--apply", "--to", "v1.0.0"))

    assert (project.folder / "app.py").read_text() == TEN
    assert json.loads((project.folder / NAME).read_text())["version"] == "1.0.0"


@pytest.mark.parametrize(
    ("recorded", "given", "expected"),
    [
        ("https://git.example.com/t", "", "https://git.example.com/t"),
        ("https://git.example.com/t", "/", "https://git.example.com/t"),
        ("https://git.example.com/t", "git@example.com:t", "git@example.com:t"),
        ("/old/path", "https://git.example.com/t", "https://git.example.com/t"),
        ("/old/path", "", "TEMPLATE"),
    ],
)
def test_the_source_is_recorded(tmp_path: Path, recorded: str, given: str, expected: str) -> None:
    source = choose_source(recorded, given, tmp_path)

    assert source == expected.replace("TEMPLATE", str(TEMPLATE))
