"""Reads what a project is deployed with: its Dockerfile, compose.yaml and Kubernetes manifests."""

import fnmatch
import json
from pathlib import Path, PurePosixPath
from typing import Any

import yaml


def instructions(project: Path) -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions: the name of each, and the rest of its line."""
    text = (project / "Dockerfile").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def last_command(project: Path, name: str) -> list[str]:
    """Return the command of CMD."""
    (rest,) = (rest for found, rest in instructions(project) if found == name)
    command: list[str] = json.loads(rest)
    return command


def health_command(project: Path, port: int) -> list[str]:
    """Return the command of HEALTHCHECK, for a port."""
    (rest,) = (rest for name, rest in instructions(project) if name == "HEALTHCHECK")
    command: list[str] = json.loads(rest.partition("CMD")[2])
    return [word.replace(":8000", f":{port}") for word in command]


def migrate_command(project: Path) -> list[str]:
    """Return what Kubernetes runs before a release."""
    command: list[str] = container(project, "migrate")["command"]
    return command


def compose(project: Path) -> dict[str, Any]:
    """Return the services of compose.yaml."""
    services: dict[str, Any] = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    return services


def manifests(project: Path) -> list[dict[str, Any]]:
    """Return the Kubernetes manifests."""
    paths = (project / "deploy" / "kubernetes").iterdir()
    return [manifest for path in paths for manifest in yaml.safe_load_all(path.read_text())]


def pods(project: Path) -> dict[str, dict[str, Any]]:
    """Return the job and the deployments by what runs in them: migrate, relay, service."""
    return {
        manifest["spec"]["template"]["spec"]["containers"][0]["name"]: manifest
        for manifest in manifests(project)
        if manifest["kind"] in ("Deployment", "Job")
    }


def container(project: Path, name: str) -> dict[str, Any]:
    """Return the one container of a job or a deployment."""
    (found,) = pods(project)[name]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def ignore_rules(project: Path) -> list[str]:
    """Return the rules of .dockerignore."""
    lines = (project / ".dockerignore").read_text().splitlines()
    return [line.removesuffix("/") for line in lines if line and not line.startswith("#")]


def sent(project: Path) -> list[PurePosixPath]:
    """Return the files a builder is sent: those that .dockerignore lets through."""
    rules = ignore_rules(project)
    files = (PurePosixPath(path.relative_to(project)) for path in project.rglob("*"))
    return [path for path in files if (project / path).is_file() and not is_ignored(path, rules)]


def is_ignored(path: PurePosixPath, rules: list[str]) -> bool:
    """Tell what the last rule that fits a path, or a folder it is in, says of it."""
    ignored = False
    for rule in rules:
        if is_below(PurePosixPath(path), rule.removeprefix("!")):
            ignored = not rule.startswith("!")
    return ignored


def is_below(path: PurePosixPath, pattern: str) -> bool:
    """Tell whether a path, or a folder it is in, fits a pattern; `**/` stands for any folders."""
    places = [str(place) for place in (path, *path.parents)]
    depth = pattern.count("/")
    return any(
        fnmatch.fnmatchcase(place, pattern.replace("**/", "*/"))
        and ("**" in pattern or place.count("/") == depth)
        for place in places
        if place != "."
    )
