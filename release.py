"""Check what a release says about itself, and tag it: the version is in `pyproject.toml`."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent
sys.path.insert(0, str(TEMPLATE / "hooks"))
from record import RENDERED, outside_repositories, version, version_in  # noqa: E402
from tree import LIBRARIES, PROJECT  # noqa: E402


def faults(template: Path) -> Iterator[str]:
    """Say what about a checkout contradicts its version, one line a fault."""
    number = version(template)
    (latest, *_) = [*changes(template), ""]
    if latest != number:
        yield f"CHANGELOG.md begins with {latest or 'no version'}, pyproject.toml has {number}"
    # A library is copied by itself as well: its version says which release it is of.
    for metadata in sorted((template / PROJECT.name / LIBRARIES).glob("*/pyproject.toml")):
        if (found := version(metadata.parent)) != number:
            yield f"{metadata.relative_to(template)} has version {found}, not {number}"
    tag = f"refs/tags/v{number}"
    if git(template, "rev-parse", "--verify", "--quiet", tag).returncode == 0:
        tagged = version_in(git(template, "show", f"{tag}:pyproject.toml").stdout)
        if tagged != number:
            yield f"the tag v{number} points to a commit with version {tagged}"
        elif git(template, "diff", "--quiet", tag, "--", *RENDERED).returncode != 0:
            yield f"projects differ from those of the tag v{number}: raise the version"


def changes(template: Path) -> dict[str, str]:
    """Return what the changelog says of each version, the newest first."""
    text = (template / "CHANGELOG.md").read_text(encoding="utf-8")
    _, *sections = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(sections[::2], map(str.strip, sections[1::2]), strict=True))


def git(template: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in a checkout."""
    return subprocess.run(
        ["git", *arguments],
        cwd=template,
        env=outside_repositories(),
        capture_output=True,
        text=True,
        check=False,
    )


def main() -> None:
    """Tag the commit that is checked out with its version."""
    found = list(faults(TEMPLATE))
    if changed := git(TEMPLATE, "status", "--porcelain").stdout:
        found.append(f"not everything is committed:\n{changed}")
    if found:
        sys.exit("\n".join(f"error: {fault}" for fault in found))
    number = version(TEMPLATE)
    tagged = git(
        TEMPLATE, "tag", "--annotate", f"v{number}", "--message", changes(TEMPLATE)[number]
    )
    if tagged.returncode != 0:
        sys.exit(f"error: {tagged.stderr.strip()}")
    print(f"Tagged as v{number}. Publish it: git push origin v{number}")


if __name__ == "__main__":
    main()
