"""The migrations of the service, and the program behind `scripts/*.sh`."""

import sys
from collections.abc import Sequence

import migrator
import migrator.clickhouse  # if analytics == clickhouse

from placeholder_service.settings import PROJECT_ROOT, Environment, Settings, read_settings

SCRIPTS = migrator.Names(
    upgrade="scripts/migrate.sh",
    downgrade="scripts/migrate-down.sh",
    status="scripts/migrate-status.sh",
    new="scripts/new-migration.sh",
    start_server="make database",  # if database == postgresql
)


def database(settings: Settings | None = None) -> "migrator.Database":
    """Return the migrations of the database in `MIGRATION_DATABASE_URL` or `DATABASE_URL`."""
    settings = settings or read_settings()
    is_apart = settings.migration_url != settings.url
    return migrator.Database(
        url=settings.migration_url,
        ini=PROJECT_ROOT / "alembic.ini",
        name="placeholder_service",
        backup_folder=PROJECT_ROOT / settings.backup_folder,
        wait_seconds=settings.migration_wait_seconds,
        lock_timeout_ms=settings.migration_lock_timeout_ms,
        lock_tries=settings.migration_lock_tries,
        lock_wait_seconds=settings.migration_lock_wait_seconds,
        production=settings.environment is Environment.PRODUCTION,
        url_setting="MIGRATION_DATABASE_URL" if is_apart else "DATABASE_URL",
    )


# if analytics == clickhouse
def analytics() -> "migrator.clickhouse.ClickHouse":
    """Return the migrations of the ClickHouse in `CLICKHOUSE_URL`."""
    transactional = database()
    return migrator.clickhouse.ClickHouse(
        url=read_settings().clickhouse,
        ini=transactional.ini,
        section="analytics",
        name=transactional.name,
        backup_folder=transactional.backup_folder,
        wait_seconds=transactional.wait_seconds,
        production=transactional.production,
        turns=transactional,
    )


# end if
def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, such as `upgrade`, and return its exit code."""
    return migrator.main(
        database,
        argv,
        names=SCRIPTS,
        # if analytics == clickhouse
        analytics=analytics,
        # end if
    )


if __name__ == "__main__":
    sys.exit(main())
