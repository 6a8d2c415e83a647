"""The revision files: read, and refused where they do not form one history."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionMap
from alembic.util import CommandError, to_tuple

from migrator.errors import HeadsError, RefusedError, UnknownRevisionError


def find_scripts(config: Config) -> ScriptDirectory:
    """Return where the revisions are, none of them read.

    Raises:
        RefusedError: The configuration leads to no migrations. Alembic takes them for a history
            without revisions, so an upgrade would have nothing to do.
    """
    directory = ScriptDirectory.from_config(config)
    missing = ""
    if not any(Path(directory.dir).glob("env.py*")):
        missing = f"there is no env.py in {Path(directory.dir).absolute()}; set script_location"
    elif directory.version_locations and not any(map(Path.exists, directory._version_locations)):
        folders = " or ".join(map(str, directory._version_locations))
        missing = f"there is no folder {folders}; set version_locations"
    if missing:
        raise RefusedError(
            f"{config.config_file_name} leads to no migrations: {missing} in it to a path that"
            " begins with %(here)s, its own folder. Others begin in the current folder"
        )
    return directory


def read_scripts(config: Config, name: Callable[[str], str]) -> ScriptDirectory:
    """Return the revisions as they are on disk now.

    Args:
        config: The configuration of Alembic.
        name: Returns what messages call a file.

    Raises:
        RefusedError: Two files have one id, or a file follows a revision that no file has. Alembic
            would take the last of the two, and a missing one ends with a `KeyError`. Or there
            are no migrations.
    """
    directory = find_scripts(config)
    found = list(directory._load_revisions())
    require_one_file_each(found, name)
    require_the_ones_before(found, name)
    # Each file is executed when it is read, so once.
    directory.revision_map = RevisionMap(lambda: found)
    return directory


def require_one_file_each(scripts: list[Script], name: Callable[[str], str]) -> None:
    """Raise `RefusedError` if two files have the same id."""
    paths: dict[str, list[str]] = defaultdict(list)
    for script in scripts:
        paths[script.revision].append(name(script.path))
    for revision, same in paths.items():
        if len(same) > 1:
            raise RefusedError(
                f"{' and '.join(same)} have the same revision id, {revision}. Next: delete the"
                " copy, or give it an id of its own and the other one as its down_revision"
            )


def require_the_ones_before(scripts: list[Script], name: Callable[[str], str]) -> None:
    """Raise `RefusedError` if a file refers to a revision that no file has."""
    known = {script.revision for script in scripts}
    known |= {label for script in scripts for label in script.branch_labels}
    for script in scripts:
        wanted = (*to_tuple(script.down_revision, ()), *to_tuple(script.dependencies, ()))
        # Alembic takes the first letters of an id for the id.
        missing = [it for it in wanted if not any(one.startswith(it) for one in known)]
        if missing:
            raise RefusedError(
                f"{name(script.path)} follows revision {missing[0]}, which no file has. Next:"
                f" restore the file of {missing[0]}. If no database has it, set the down_revision"
                f" of {Path(script.path).name} to the revision before {missing[0]}"
            )


def find_revision(scripts: ScriptDirectory, revision: str) -> Script:
    """Return a revision by its id, or raise `UnknownRevisionError`."""
    try:
        found = scripts.get_revision(revision)
    except CommandError as error:
        raise UnknownRevisionError(str(error)) from error
    if not isinstance(found, Script):
        raise UnknownRevisionError(f"{revision} is no revision")
    return found


def require_one_head(scripts: ScriptDirectory) -> None:
    """Raise `HeadsError` if the history has two ends, as after a merge of two branches."""
    heads = scripts.get_heads()
    if len(heads) > 1:
        raise HeadsError(
            f"the migrations have {len(heads)} heads: {', '.join(heads)}; one has to follow the"
            " other"
        )


def as_docstring(message: str) -> str:
    """Return a message that can stand in a docstring."""
    return message.replace("\\", "/").replace('"', "'")
