"""The first two minutes with the template, recorded at a terminal and played by an SVG.

What is drawn is the end of the recording; an animation hides what has not been printed yet. So a
viewer that knows no animations shows the last screen.
"""

import os
import pty
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from html import escape
from pathlib import Path

from pictures.svg import MONO
from tests.running import TEMPLATE, clean_environment

COLUMNS, ROWS = 112, 26
WIDTH, LINE = 8.0, 18
# Seconds. Longer waits are played as this one.
LONGEST_PAUSE = 1.0
TYPING = 0.8

COMMANDS = [
    ("make new OUT={folder}", TEMPLATE),
    ("cd my-service", None),
    ("make test", Path("my-service")),
    ("scripts/migrate.sh", Path("my-service")),
    ("scripts/migrate-status.sh", Path("my-service")),
]
COLOURS = {"31": "#ff7b72", "32": "#3fb950", "33": "#d29922", "36": "#39c5cf", "1": "#ffffff"}
SGR = re.compile(r"\x1b\[([\d;]*)m")
OTHER_CODES = re.compile(r"\x1b\[[\d;?]*[A-LN-Za-ln-z]|\x1b[()][A-Z]|\x1b[=>]")


@dataclass(frozen=True)
class Line:
    """A line of the terminal, and the second of the recording in which it was complete."""

    at: float
    text: str


def record(command: str, folder: Path) -> list[Line]:
    """Run a command at a terminal of its own; return what it printed, line by line.

    Raises:
        RuntimeError: It fails.

    """
    ours, theirs = pty.openpty()
    size = {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color"}
    started = time.monotonic()
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=clean_environment() | size,
    )
    os.close(theirs)
    lines: list[Line] = []
    rest = ""
    while True:
        try:
            read = os.read(ours, 65536)
        except OSError:  # Linux: the other side has been closed
            break
        at = time.monotonic() - started
        *complete, rest = (rest + read.decode(errors="replace")).split("\n")
        lines += [Line(at, OTHER_CODES.sub("", line.rstrip("\r"))) for line in complete]
    os.close(ours)
    if process.wait():
        printed = "\n".join(line.text for line in lines)
        raise RuntimeError(f"{command} failed:\n{printed}")
    return lines


def recorded(folder: Path) -> list[Line]:
    """Return the whole session, with pauses of a length that one likes to watch."""
    session: list[Line] = []
    now = 0.5
    for command, where in COMMANDS:
        now += TYPING
        session.append(Line(now, f"\x1b[1m$ {command.format(folder='.')}\x1b[0m"))
        if where is None:
            continue
        before = 0.0
        for line in record(command.format(folder=folder), folder / where):
            now += min(line.at - before, LONGEST_PAUSE)
            before = line.at
            session.append(Line(now, without_names(line.text, folder)))
        now += TYPING
    return session


def without_names(text: str, folder: Path) -> str:
    """Return a line without the names of this machine, of its folders and of who is at it."""
    text = re.sub(r" by [\w.-]+@[\w.-]+", "", text.replace(str(folder), "."))
    return text.replace(tempfile.gettempdir(), "$TMPDIR")


def spans(text: str) -> str:
    """Return a line as SVG, in its colours."""
    colour = "#e6edf3"
    parts = []
    visible = 0
    pieces = SGR.split(text.rsplit("\r", 1)[-1])
    for number, piece in enumerate(pieces):
        if number % 2:
            codes = piece.split(";")
            colour = next((COLOURS[code] for code in codes if code in COLOURS), "#e6edf3")
        elif piece:
            shown = piece[: COLUMNS - visible]
            visible += len(shown)
            parts.append(f'<tspan fill="{colour}">{escape(shown)}</tspan>')
    return "".join(parts)


def draw(folder: Path) -> str:
    """Return the picture of a session that is recorded now, in an empty folder."""
    return play(recorded(folder))


def play(lines: list[Line]) -> str:
    """Return the picture that plays these lines."""
    width, height = COLUMNS * WIDTH + 32, ROWS * LINE + 60
    seconds = lines[-1].at
    hidden = max(0, len(lines) - ROWS)
    steps = [
        f"{100 * line.at / seconds:.2f}% {{ transform: translateY(-{LINE * (number - ROWS)}px) }}"
        for number, line in enumerate(lines[:-1], 1)
        if number > ROWS
    ]
    texts = [
        f'<text x="16" y="{LINE * number + 14}" xml:space="preserve" '
        f'style="animation: unseen {line.at:.2f}s">{spans(line.text)}</text>'
        for number, line in enumerate(lines)
    ]
    dots = "".join(
        f'<circle cx="{20 + 18 * number}" cy="20" r="6" fill="{fill}"/>'
        for number, fill in enumerate(["#ff5f56", "#ffbd2e", "#27c93f"])
    )
    size = f'viewBox="0 0 {width:g} {height}" width="{width:g}" height="{height}"'
    scroll = f"translateY(-{LINE * hidden}px); animation: scroll {seconds:.2f}s step-end"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-size="13" role="img">',
            "<title>Render a service, run its tests, migrate its database</title>",
            "<style>",
            f"text {{ font-family: {MONO} }}",
            "@keyframes unseen { from, to { opacity: 0 } }",
            "@keyframes scroll {",
            "0% { transform: translateY(0) }",
            *steps,
            "}",
            f"#lines {{ transform: {scroll} }}",
            "</style>",
            f'<rect width="{width:g}" height="{height}" rx="8" fill="#0d1117"/>',
            dots,
            f'<svg y="40" width="{width:g}" height="{ROWS * LINE}"><g id="lines">',
            *texts,
            "</g></svg>",
            "</svg>",
            "",
        ]
    )
