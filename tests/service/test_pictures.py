"""The pictures of the documentation show what is there."""

import subprocess
from xml.etree import ElementTree as ET

import pytest

from pictures.__main__ import DRAWN, RECORDED
from tests.running import TEMPLATE

SERVICE = TEMPLATE / "{{cookiecutter.project_slug}}"
TITLE = "{http://www.w3.org/2000/svg}title"
# Drawn by `make bench`.
PLOT = TEMPLATE / "docs" / "isolation-cost.svg"


def test_a_drawn_picture_is_what_its_command_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SERVICE / "src")

    drawn = {path: draw() for path, draw in DRAWN.items()}

    old = [path.name for path, text in drawn.items() if path.read_text() != text]
    assert not old, "make pictures"


def test_every_picture_can_be_drawn_again_by_a_command() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.svg"], cwd=TEMPLATE, capture_output=True, text=True, check=True
    )

    committed = {TEMPLATE / name for name in listed.stdout.splitlines()}

    assert committed == {*DRAWN, *RECORDED, PLOT}


def test_every_picture_has_a_title_and_stands_in_a_document() -> None:
    documents = [*TEMPLATE.glob("*.md"), *TEMPLATE.glob("docs/*.md"), *SERVICE.rglob("*.md")]
    texts = "\n".join(path.read_text() for path in documents)

    for path in [*DRAWN, *RECORDED]:
        root = ET.parse(path).getroot()  # noqa: S314  # our own
        assert root.find(TITLE) is not None, path.name
        assert f"{path.name})" in texts
