"""Any version of the template, rendered with given answers by its own hooks."""

import io
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from questions import choice_faults
from record import version_in

from updates.processes import run
from updates.repository import RefusalError, Repository

Answers = dict[str, str]


@dataclass(frozen=True)
class Version:
    """A commit of the template.

    Attributes:
        template: The repository.
        commit: Its full id.

    """

    template: Repository
    commit: str

    def read(self, name: str) -> str:
        """Return the text of a file of the template, which is empty if there is none."""
        return self.template.finds("show", f"{self.commit}:{name}")

    @property
    def number(self) -> str:
        """The version's number."""
        return version_in(self.read("pyproject.toml"))

    def __str__(self) -> str:
        """Return the number and the commit, as people read them."""
        return f"{self.number} ({self.commit[:7]})"

    @property
    def questions(self) -> dict[str, Any]:
        """What this version asks, with the default or the choices of each question.

        Raises:
            RefusalError: The commit is no version of a template.

        """
        if not (text := self.read("cookiecutter.json")):
            raise RefusalError(
                f"the commit {self.commit[:7]} has no cookiecutter.json, so it is no version of "
                "the template: name another one with FROM= or TO="
            )
        asked = json.loads(text)
        return {name: value for name, value in asked.items() if not name.startswith("_")}

    def refuse_unknown_choices(self, answers: Answers) -> None:
        """Compare answers with the choices of their questions.

        Raises:
            RefusalError: This version does not offer one of the answers.

        """
        if found := list(choice_faults(answers, self.questions)):
            lines = "\n".join(f"  {fault}" for fault in found)
            raise RefusalError(
                f"version {self} does not take these answers; give others with ARGS=\n{lines}"
            )

    def render(self, answers: Answers, scratch: Path) -> tuple[Path, Answers]:
        """Render the project into a folder, which is new, and return it with all answers.

        Questions that are not answered get their defaults.

        Raises:
            RefusalError: This version does not take the answers.

        """
        template = scratch / "template"
        template.mkdir(parents=True)
        archive = self.template.raw("archive", "--format=tar", self.commit)
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            # As an attribute: the argument is new in Python 3.11.4, and Debian 12 has 3.11.2.
            files.extraction_filter = getattr(tarfile, "data_filter", None)
            files.extractall(template)  # noqa: S202  # a commit of the template's own
        config = scratch / "config.yaml"
        config.write_text(f"replay_dir: '{scratch}/replay'\ncookiecutters_dir: '{scratch}'\n")
        known = {name: value for name, value in answers.items() if name in self.questions}
        # Here, because it takes longer than all that may refuse an update before.
        from cookiecutter.generate import generate_context  # noqa: PLC0415
        from cookiecutter.prompt import prompt_for_config  # noqa: PLC0415

        context = generate_context(str(template / "cookiecutter.json"), extra_context=known)
        # Cookiecutter renders answers as templates. A replay takes texts as they are.
        answered = {**prompt_for_config(context, no_input=True), **known}
        replay = scratch / "answers.json"
        replay.write_text(json.dumps({"cookiecutter": answered}))
        out = scratch / "out"
        options = ("--config-file", config, "--replay-file", replay, "--output-dir", out)
        self.run_cookiecutter(*options, template, temporary=scratch)
        (rendered,) = out.iterdir()
        shutil.rmtree(rendered / ".git", ignore_errors=True)
        return rendered, {name: answered[name] for name in sorted(self.questions)}

    def run_cookiecutter(self, *arguments: str | Path, temporary: Path) -> None:
        """Run Cookiecutter, whose hooks may only print.

        Raises:
            RefusalError: It failed, with what it said.

        """
        result = run(
            [sys.executable, "-m", "cookiecutter", *arguments],
            folder=temporary,
            environment={**os.environ, "TMPDIR": str(temporary), "PWD": str(temporary)},
        )
        if result.returncode != 0:
            stderr = result.stderr.decode(errors="replace")
            said = first_faults(stderr.splitlines()) or stderr.strip()
            raise RefusalError(f"version {self} cannot be rendered with these answers:\n{said}")


def first_faults(lines: Iterable[str]) -> str:
    """Return what the hooks said, without Cookiecutter's own words behind it."""
    return "\n".join(line for line in lines if line.startswith("error: "))
