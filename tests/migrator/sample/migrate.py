"""The sample's migrations, configured by the environment."""

import os
import sys
from pathlib import Path

from migrator import Database, Names, main
from sqlalchemy import make_url

SCRIPTS = Names(
    upgrade="scripts/migrate.sh",
    downgrade="scripts/migrate-down.sh",
    status="scripts/migrate-status.sh",
    new="scripts/new-migration.sh",
    start_server="make database",
)


def database() -> Database:
    """Return the migrations of the folder and the database that the environment names."""
    root = Path(os.environ.get("SAMPLE", Path(__file__).parent))
    return Database(
        url=make_url(os.environ["DATABASE_URL"]),
        ini=root / "alembic.ini",
        name="sample",
        backup_folder=root / "backups",
        production=os.environ.get("ENVIRONMENT") == "production",
        wait_seconds=float(os.environ.get("MIGRATION_WAIT_SECONDS", "60")),
    )


if __name__ == "__main__":
    sys.exit(main(database, names=SCRIPTS))
