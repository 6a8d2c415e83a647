"""Follows a document as a reader would: writes its files and runs its commands, in their order.

Code of Markdown that stands after a line such as "…, in `tests/conftest.py`:" is that file. Code
marked `sh` is run, all of it by one shell, so a folder and a variable last from block to block.
`make run` serves in the background, on a free port in place of the document's.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.running import LIMIT, clean_environment

BLOCK = re.compile(
    r"(?P<before>[^\n]*)\n\n(?P<indent> *)```(?P<kind>\w+)\n(?P<code>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
FILE = re.compile(r"`([\w./-]+)`[^`]*:$")
PORT = "8000"
SERVED = """\
make run PORT={port} &
until curl -fs http://127.0.0.1:{port}/health/ready; do sleep 0.2; kill -0 $!; done
"""


def commands(document: Path) -> Iterator[str]:
    """Return the steps of a document as lines for a shell."""
    for block in BLOCK.finditer(document.read_text()):
        code = textwrap.dedent(block["code"])
        if block["kind"] == "sh":
            yield code
        elif file := FILE.search(block["before"]):
            yield f"mkdir -p $(dirname {file[1]})\ncat >{file[1]} <<'END'\n{code}END\n"


def follow(document: Path, folder: Path, **variables: str) -> str:
    """Follow a document in a folder, and return all that was printed.

    Raises:
        AssertionError: A command fails.
        subprocess.TimeoutExpired: One does not end.

    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = "set -eu\n" + "".join(commands(document)).replace(
        "make run\n", SERVED.format(port=PORT)
    ).replace(PORT, port)
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["/bin/bash", "-x", "-c", script],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**clean_environment(), "PWD": str(folder), **variables},
            start_new_session=True,
        )
        try:
            process.wait(LIMIT)
        finally:
            # What it serves in the background goes as well.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        output.seek(0)
        printed = output.read()
    assert process.returncode == 0, printed
    return printed
