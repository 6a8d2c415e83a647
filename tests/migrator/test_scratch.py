"""Scratch databases are never the real one, whatever the URL looks like."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from migrator import Exit, RefusedError
from migrator.scratch import require_database, scratch_beside

from tests.migrator.postgresql import new_database
from tests.migrator.project import Project

NOTE = "op.add_column('books', sa.Column('note', sa.Text))"


def with_dbname(project: Project) -> Project:
    """Return a project whose URL names the database as libpq's URLs may."""
    url = project.database.url
    return project.having(
        url=url.set(database=None).update_query_dict({"dbname": str(url.database)})
    )


def test_a_database_named_in_the_query_is_not_taken_for_the_scratch_database(
    postgresql_project: Project,
) -> None:
    project = with_dbname(postgresql_project).upgraded()
    project.write("note", NOTE, "op.drop_column('books', 'note')")
    before = postgresql_project.catalogue()

    refused = project.run("downgrade", "0001")
    planned = project.run("upgrade", "--plan")
    written = project.run("new", "more")

    assert (refused, planned, written) == (Exit.REFUSED, Exit.DONE, Exit.DONE)
    assert postgresql_project.catalogue() == before


def test_databases_of_services_have_scratch_databases_of_their_own(
    postgresql_server: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_database(postgresql_server) as one, new_database(postgresql_server) as two:
        common = "".join(f"{name}={value}\n" for name, value in one.query.items())
        services = (f"[{it.database}]\ndbname={it.database}\n{common}" for it in (one, two))
        file = tmp_path / "services.conf"
        file.write_text("".join(services))
        monkeypatch.setenv("PGSERVICEFILE", str(file))
        urls = [
            sa.URL.create("postgresql+psycopg", one.username, query={"service": str(it.database)})
            for it in (one, two)
        ]

        with scratch_beside(urls[0], "a", 60) as first, scratch_beside(urls[1], "a", 60) as second:
            found = {first.database, second.database}

    assert len(found) == 2


def test_revisions_run_only_on_the_scratch_database(postgresql_url: sa.URL) -> None:
    require_database(postgresql_url, str(postgresql_url.database))

    with pytest.raises(RefusedError, match="other leads to the database test_.*Next: use"):
        require_database(postgresql_url, "other")
