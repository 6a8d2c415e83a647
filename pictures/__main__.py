"""Draw all pictures of the documentation again."""

import sys
import tempfile
from importlib import import_module
from pathlib import Path

from pictures import eight_runs, isolation, schema, terminal
from tests.running import TEMPLATE

PACKAGES = TEMPLATE / "{{cookiecutter.project_slug}}" / "packages"
DOCS = TEMPLATE / "docs"


def draw_schema() -> str:
    """Draw the tables of the sample's models, which `make` puts on the path."""
    return schema.draw(import_module("placeholder_service.models").Base.metadata)


# Those that are the same however often they are drawn.
DRAWN = {
    PACKAGES / "testdb" / "docs" / "isolation.svg": isolation.draw,
    DOCS / "schema.svg": draw_schema,
}
# Those of what happens in a folder of their own, where they are drawn.
RECORDED = {
    PACKAGES / "migrator" / "docs" / "eight-runs.svg": eight_runs.draw,
    DOCS / "first-minutes.svg": terminal.draw,
}


def main() -> None:
    """Draw them."""
    texts = {path: draw() for path, draw in DRAWN.items()}
    for path, record in RECORDED.items():
        with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
            texts[path] = record(Path(folder))
    for path, text in texts.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        print(path.relative_to(TEMPLATE), file=sys.stderr)


if __name__ == "__main__":
    main()
