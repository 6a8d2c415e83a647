"""The sample's migrations of ClickHouse, beside those of its first database."""

import os
import sys
from collections.abc import Sequence

from migrator import main
from migrator.clickhouse import ClickHouse
from sqlalchemy import make_url

from tests.migrator.sample.migrate import SCRIPTS, database


def events() -> ClickHouse:
    """Return the migrations of the events."""
    transactional = database()
    return ClickHouse(
        url=make_url(os.environ["CLICKHOUSE_URL"]),
        ini=transactional.ini,
        section="events",
        name="sample",
        backup_folder=transactional.backup_folder,
        production=transactional.production,
        wait_seconds=transactional.wait_seconds,
        turns=transactional,
        replicated="REPLICATED" in os.environ,
    )


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command on either database or on both."""
    return main(database, argv, names=SCRIPTS, events=events)


if __name__ == "__main__":
    sys.exit(run())
