"""For the tests of the migrations: their engine, and a copy of the revisions."""

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import URL, Engine

from placeholder_service.db.migrate import config, engine
from placeholder_service.settings import PROJECT_ROOT


class WriteRevision(Protocol):
    """Writes a revision behind the last one, and returns its file."""

    def __call__(self, name: str, upgrade: str, downgrade: str = "pass", /) -> Path:
        """Do it."""


@pytest.fixture
def scratch_engine(scratch_url: URL) -> Iterator[Engine]:
    """The engine that migrations run on, on an empty database."""
    make_engine = engine.make_migration_engine  # noqa: TID251  # never on the service's
    scratch = make_engine(scratch_url, lock_timeout_ms=2000, wait_seconds=2)
    yield scratch
    scratch.dispose()


@pytest.fixture
def configured(scratch_url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> URL:
    """The same database as the one that the settings point to; its backups go to a folder."""
    monkeypatch.setenv("DATABASE_URL", scratch_url.render_as_string(hide_password=False))
    monkeypatch.setenv("BACKUP_FOLDER", str(tmp_path / "backups"))
    monkeypatch.setenv("MIGRATION_LOCK_TIMEOUT_MS", "100")
    monkeypatch.setenv("MIGRATION_WAIT_SECONDS", "0.3")
    return scratch_url


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations, to write revisions into."""
    shutil.copy(PROJECT_ROOT / "alembic.ini", tmp_path)
    shutil.copytree(PROJECT_ROOT / "migrations", tmp_path / "migrations")
    monkeypatch.setattr(config, "PROJECT_ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def write_revision(project: Path) -> WriteRevision:
    """A function that writes a revision: its name, which is its id as well, and its code."""

    def write(name: str, upgrade: str, downgrade: str = "pass", /) -> Path:
        [before] = config.script_directory().get_heads()
        path = project / "migrations" / "versions" / f"{name}.py"
        path.write_text(
            f'"""{name}"""\n'
            "import sqlalchemy as sa\n"
            "from alembic import op\n"
            f"revision, down_revision = {name!r}, {before!r}\n"
            f"def upgrade() -> None:\n{textwrap.indent(upgrade, '    ')}\n"
            f"def downgrade() -> None:\n{textwrap.indent(downgrade, '    ')}\n"
        )
        return path

    return write
