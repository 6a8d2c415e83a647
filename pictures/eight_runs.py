"""What happens when eight runs of migrate.sh start at the same moment, as a server saw it."""

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from cookiecutter.main import cookiecutter

from pictures.svg import GREY, QUIET, Drawing
from tests.running import TEMPLATE, clean_environment
from tests.service.project import Service

RUNS = 8
# Pixels.
BAR = 20
REVISION = '''"""{title}"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("{title}", sa.Column("id", sa.Integer, primary_key=True))


def downgrade() -> None:
    op.drop_table("{title}")
'''
# Each run has a session whose lock gives it its turn, and one that migrates.
SESSIONS = """
    SELECT a.pid, l.pid IS NOT NULL
    FROM pg_stat_activity a
    LEFT JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'advisory' AND l.granted
    WHERE a.datname = current_database() AND a.application_name LIKE '% migration lock'
    ORDER BY a.backend_start
"""


@dataclass
class Lane:
    """One run as the server saw it, in seconds after the start of all."""

    began: float
    turn: float | None = None
    ended: float = 0


@dataclass
class Seen:
    """What was seen of all runs, and what they printed last."""

    lanes: dict[int, Lane] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def watch(service: Service) -> Seen:
    """Start the runs on an empty database, and look at its sessions until all have ended."""
    seen = Seen()
    with psycopg.connect(service.postgresql_url, autocommit=True) as connection:
        started = time.monotonic()
        runs = [
            subprocess.Popen(
                [service.folder / "scripts" / "migrate.sh"],
                stdout=subprocess.PIPE,
                text=True,
                env=clean_environment(),
            )
            for _ in range(RUNS)
        ]
        while any(run.poll() is None for run in runs):
            now = time.monotonic() - started
            for pid, is_its_turn in connection.execute(SESSIONS):
                lane = seen.lanes.setdefault(pid, Lane(now))
                lane.ended = now
                if is_its_turn and lane.turn is None:
                    lane.turn = now
            time.sleep(0.005)
    for run in runs:
        printed = run.communicate()[0]
        if run.returncode:
            raise RuntimeError(printed)
        seen.said.append(printed)
    return seen


def draw(folder: Path) -> str:
    """Return the picture, from runs in a service that is rendered and installed in the folder."""
    project = cookiecutter(
        str(TEMPLATE),
        no_input=True,
        extra_context={"database": "postgresql"},
        output_dir=str(folder),
        default_config=True,
    )
    service = Service(Path(project), "sync", "postgresql")
    versions = service.versions
    head = versions.with_name("head.txt")
    before = head.read_text().strip()
    for title in ("ships", "ports", "cargo"):
        revision = f"{int(before) + 1:04}"
        text = REVISION.format(title=title, revision=revision, before=before)
        (versions / f"{revision}_{title}.py").write_text(text)
        before = revision
    head.write_text(f"{before}\n")
    service.install()
    try:
        seen = watch(service)
    finally:
        service.stop()
    return picture(seen, before)


def picture(seen: Seen, last: str) -> str:
    """Return the picture of what was seen."""
    lanes = sorted(seen.lanes.values(), key=lambda lane: lane.turn or lane.ended)
    end = max(lane.ended for lane in lanes)
    # Most of the time Python starts; its last moments show that the runs do not arrive together.
    first = min(lane.began for lane in lanes)
    begin = first - (end - first) / 5
    sheet = Drawing(880, 110 + 30 * len(lanes), "Eight runs of migrate.sh that start together")
    left, width = 90, 480

    def place(seconds: float) -> float:
        return left + width * (seconds - begin) / (end - begin)

    sheet.text(20, 30, "Eight runs of migrate.sh start together on an empty database", bold=True)
    for number, lane in enumerate(lanes):
        top = 50 + 30 * number
        sheet.text(20, top + 15, f"run {number + 1}")
        turn = lane.turn if lane.turn is not None else lane.ended
        bar(sheet, left, place(lane.began) - left, top, GREY)
        bar(sheet, place(lane.began), place(turn) - place(lane.began), top, "#fae17d")
        bar(sheet, place(turn), max(place(lane.ended) - place(turn), 3), top, "#4ac26b")
        text = f"applies 0001 to {last}, and verifies them" if number == 0 else "nothing left to do"
        sheet.text(left + width + 20, top + 15, text)
    bottom = 50 + 30 * len(lanes) + 25
    for x, fill, text in [
        (left, GREY, "starts Python"),
        (left + 140, "#fae17d", "waits for its turn"),
        (left + 310, "#4ac26b", "has its turn"),
    ]:
        bar(sheet, x, 16, bottom - 15, fill)
        sheet.text(x + 24, bottom, text, fill=QUIET)
    sheet.text(left + width, bottom, f"{end - begin:.1f} s", anchor="end", fill=QUIET)
    return sheet.render()


def bar(sheet: Drawing, x: float, width: float, top: float, fill: str) -> None:
    """Draw a part of a lane."""
    sheet.raw(
        f'<rect x="{x:.1f}" y="{top:g}" width="{width:.1f}" height="{BAR}" rx="3" '
        f'fill="{fill}" stroke="#d0d7de"/>'
    )
