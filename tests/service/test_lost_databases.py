"""A database that hangs, or has no connection left, stops no probe and nothing else."""

import select
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from tests.running import LIMIT, wait_until
from tests.service.project import PACKAGE, Service, combinations
from tests.service.server import serve


@combinations("async-postgresql", complete=["sync-postgresql-clickhouse"])
def test_requests_that_use_every_connection_stop_no_probe(service: Service, tmp_path: Path) -> None:
    service.migrate()
    headers = {"X-API-Key": service.create_key()}
    size, crowd = 3, 60

    with (
        serve(service, tmp_path, f"{PACKAGE}.main:serve", DATABASE_POOL_SIZE=str(size)) as server,
        psycopg.connect(service.postgresql_url) as holder,
        psycopg.connect(service.postgresql_url, autocommit=True) as observer,
        ThreadPoolExecutor(crowd) as threads,
    ):
        holder.execute("LOCK TABLE api_keys")
        answers = [threads.submit(server.get, "/thoughts", headers=headers) for _ in range(crowd)]
        wait_for_locks(observer, size)
        probes = [server.get(f"/health/{name}") for name in ("live", "ready") * 5]
        refused = server.get("/thoughts")
        waiting = count_locks(observer)
        holder.rollback()
        statuses = {answer.result().status_code for answer in answers}

    assert {probe.status_code for probe in probes} == {200}
    assert refused.status_code == 401
    assert waiting == size
    assert statuses == {200}


def wait_for_locks(connection: psycopg.Connection, number: int) -> None:
    """Wait until so many connections wait for a lock."""
    wait_until(lambda: count_locks(connection) >= number)


def count_locks(connection: psycopg.Connection) -> int:
    """Return how many connections wait for a lock."""
    query = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


@combinations("sync-sqlite", "async-postgresql")
def test_a_database_that_hangs_takes_no_threads(service: Service, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as silent:
        url = f"postgresql://service:password@127.0.0.1:{silent.getsockname()[1]}/service"
        with (
            serve(service, tmp_path, f"{PACKAGE}.main:serve", DATABASE_URL=url) as server,
            ThreadPoolExecutor(60) as threads,
        ):
            headers = {"X-API-Key": "0123456789ab.any"}
            asked = [threads.submit(server.get, "/health/ready") for _ in range(50)]
            stuck = [threads.submit(server.get, "/thoughts", headers=headers) for _ in range(10)]
            ready = {answer.result().status_code for answer in asked}
            alive = server.get("/health/live").status_code
            number = server.threads()
            answers = {answer.result().status_code for answer in stuck}

    assert ready == {503}
    assert alive == 200
    # Requests of the synchronous style have a thread each; all the probes together have one.
    assert number < 30
    assert answers == {503}


@combinations("async-sqlite-clickhouse", complete=["sync-postgresql-clickhouse"])
def test_statistics_that_hang_take_no_thread_from_others(service: Service, tmp_path: Path) -> None:
    service.migrate()
    headers = {"X-API-Key": service.create_key()}
    crowd = 60  # more than there are threads

    with (
        socket.create_server(("127.0.0.1", 0), backlog=512) as silent,
        ThreadPoolExecutor(crowd) as threads,
    ):
        url = f"clickhouse://service:password@127.0.0.1:{silent.getsockname()[1]}/events"
        with serve(service, tmp_path, f"{PACKAGE}.main:serve", CLICKHOUSE_URL=url) as server:
            path = "/analytics/active-users"
            stuck = [threads.submit(server.get, path, headers=headers) for _ in range(crowd)]
            select.select([silent], [], [], LIMIT)
            # As many, so that all of the crowd are past the look-up of their key meanwhile.
            others = [server.get("/thoughts", headers=headers) for _ in range(crowd)]
            refused = [server.get("/thoughts"), server.get("/nowhere")]
            answered = [answer for answer in stuck if answer.done()]
            silent.close()
            statuses = {answer.result().status_code for answer in stuck}

    assert {response.status_code for response in others} == {200}
    assert [response.status_code for response in refused] == [401, 404]
    assert answered == []
    assert statuses == {503}
