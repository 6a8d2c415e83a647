"""A copy of tables before something is deleted from them, made and then read again."""

import gzip
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from clickhouse_connect.driver.client import Client
from sqlalchemy import URL

from placeholder_service.analytics.client import open_client
from placeholder_service.db.migrate.backup import BackupError

# A row is a line, whatever is in it, and the file says what the columns are.
FORMAT = "TabSeparatedWithNamesAndTypes"
HEADINGS = 2


def back_up(url: URL, tables: list[str], revision: str, folder: Path) -> Path:
    """Copy tables into a new folder in `folder`, count what is in the copies, and return it.

    Raises:
        BackupError: A copy is not complete.
    """
    path = folder / f"clickhouse-{revision}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    # Whoever may read the backup reads everything.
    path.mkdir(mode=0o700, parents=True)
    with closing(open_client(url)) as client:
        for table in tables:
            copy(client, table, path / f"{table}.tsv.gz")
    return path


def copy(client: Client, table: str, path: Path) -> None:
    """Copy a table. Rows that are added meanwhile may be in the copy."""
    name = {"name": table}
    [[least]] = client.query("SELECT count() FROM {name:Identifier}", name).result_rows
    query = "SELECT * FROM {name:Identifier}"
    with client.raw_stream(query, name, fmt=FORMAT) as rows, gzip.open(path, "wb") as file:
        file.writelines(rows)
    with gzip.open(path, "rb") as file:
        found = sum(1 for _ in file) - HEADINGS
    if found < least:
        raise BackupError(f"the copy at {path} has {found} of {least} rows")
