"""Copies of tables, made and verified before a downgrade deletes anything from them."""

import gzip
from contextlib import closing
from pathlib import Path

from clickhouse_connect.driver.client import Client
from sqlalchemy import URL

from migrator.backup import removed_unless_complete, timestamp
from migrator.clickhouse.connections import open_client
from migrator.errors import BackupError

# One line per row, whatever it contains; the first two lines name the columns and their types.
FORMAT = "TabSeparatedWithNamesAndTypes"
HEADINGS = 2


def back_up(url: URL, tables: list[str], revision: str, folder: Path) -> Path:
    """Copy tables into a new folder inside `folder`, verify the copies, and return its path.

    Raises:
        BackupError: A copy failed or is incomplete. All were removed.
    """
    path = folder / f"clickhouse-{revision}-{timestamp()}"
    with removed_unless_complete(path), closing(open_client(url)) as client:
        # The backup holds everything that the tables hold, so only its owner may read it.
        path.mkdir(mode=0o700, parents=True)
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
