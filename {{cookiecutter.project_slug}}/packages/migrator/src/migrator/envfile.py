"""Refuses a file of settings of which python-dotenv would leave out a part."""

import sys
from pathlib import Path
from typing import Any


def check(files: Any) -> None:
    """End the process with one message unless files like `.env` are read to their ends.

    Args:
        files: Paths, one path or None, as `env_file` of pydantic-settings. They may be missing.

    Raises:
        SystemExit: A line cannot be read, or a file is not UTF-8. The message names the place.
    """
    paths = [files] if isinstance(files, str | Path) else files or ()
    for path in filter(Path.is_file, map(Path, paths)):
        # pydantic-settings brings it.
        from dotenv.parser import parse_stream

        try:
            with path.open(encoding="utf-8") as stream:
                faults = [it.original.line for it in parse_stream(stream) if it.error]
        except UnicodeDecodeError:
            sys.exit(f"Invalid settings: {path} is not UTF-8. Next: save it in this encoding.")
        if faults:
            sys.exit(
                f"Invalid settings: line {faults[0]} of {path} cannot be read."
                " Next: see whether a quotation mark is missing."
            )
