"""A container image that is built without Docker: the steps of the Dockerfile, one by one.

They are done in a folder that stands for the image's root. What runs in it are the very commands of
the Dockerfile and the manifests.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.running import LIMIT
from tests.service.deployment import instructions, is_below, sent


@dataclass
class Image:
    """A folder that stands for the root of a built image, and what the image is set to.

    Attributes:
        root: The folder.
        base: The variables of the base image, among them a PATH that leads to its Python.
        variables: These, and what ENV sets.
        folder: What WORKDIR says.

    """

    root: Path
    base: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)
    folder: PurePosixPath = field(default_factory=PurePosixPath)

    def path(self, path: str) -> Path:
        """Return where a path of the image is on this machine."""
        return self.root / str(self.folder / path).lstrip("/")

    def local(self, text: str) -> str:
        """Return a text with the image's paths as they are on this machine."""
        return re.sub(r"(?<![\w/.])/app\b", str(self.root / "app"), text)

    def program(self, command: list[str]) -> list[str]:
        """Return a command with the path of its program, as the image's entry point finds it."""
        program = shutil.which(self.local(command[0]), path=self.variables["PATH"])
        assert program, f"{command[0]} is not in the image"
        return [program, *command[1:]]

    def run(self, command: list[str], **variables: str) -> tuple[int, str]:
        """Run a command to its end, and return its exit code and what it printed."""
        done = subprocess.run(
            self.program(command),
            cwd=self.path("."),
            env={**self.variables, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LIMIT,
        )
        return done.returncode, done.stdout


def build(project: Path, image: Image) -> None:
    """Do what the Dockerfile says, stage by stage, each in the same folder."""
    earlier = image.root.with_name("earlier")
    for name, rest in instructions(project):
        match name:
            case "FROM":
                image.folder, image.variables = PurePosixPath("/"), dict(image.base)
                if image.root.exists():
                    image.root.rename(earlier)
                image.root.mkdir()
            case "ENV":
                for pair in rest.split():
                    key, _, value = pair.partition("=")
                    value = value.replace("$PATH", image.variables["PATH"])
                    image.variables[key] = image.local(value)
            case "WORKDIR":
                image.folder = PurePosixPath(rest)
                image.path(".").mkdir(parents=True)
            case "COPY":
                copy(project, image, earlier, rest.split())
            case "RUN":
                code, output = image.run(["sh", "-euc", rest])
                assert code == 0, output
    shutil.rmtree(earlier)


def copy(project: Path, image: Image, earlier: Path, words: list[str]) -> None:
    """Copy into the image, from an earlier stage or from what the builder is sent."""
    *sources, target = words
    if sources[0].startswith("--from="):
        shutil.copytree(earlier / sources[1].lstrip("/"), image.path(target), symlinks=True)
        return
    for source in sources:
        found = [path for path in sent(project) if is_below(path, source)]
        assert found, f"nothing of {source} gets past .dockerignore"
        for path in found:
            # Of a folder, what is in it is copied; of a file, the file.
            is_folder = (project / source).is_dir()
            name = path.relative_to(source) if is_folder else PurePosixPath(path.name)
            place = image.path(target) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project / path, place)
