"""Puts the service together. `create_app` is what a server runs."""

from collections.abc import Callable
from importlib.metadata import metadata

from clickhouse_connect.driver.client import Client  # if analytics == clickhouse
from fastapi import FastAPI
from migrator.readiness import ReadinessCheck

from placeholder_service import TITLE, migrate, observability
from placeholder_service.analytics.client import LazyClient  # if analytics == clickhouse
from placeholder_service.analytics.relay import BackgroundRelay  # if analytics == clickhouse
from placeholder_service.api import (
    health,
    problems,
    thoughts,  # if domain == sample
    users,  # if domain == blank
)
from placeholder_service.api.admission import make_places
from placeholder_service.api.analytics import router as analytics  # if analytics == clickhouse
from placeholder_service.api.bodies import BodyLimit
from placeholder_service.api.methods import answer_head
from placeholder_service.db.engine import make_engine
from placeholder_service.db.session import SessionMaker, make_session_maker
from placeholder_service.db.tracing import trace_statements
from placeholder_service.lifespan import make_lifespan
from placeholder_service.settings import Settings, read_settings


def create_app(
    settings: Settings | None = None,
    session_maker: SessionMaker | None = None,
    # if analytics == clickhouse
    clickhouse: Client | None = None,
    # end if
) -> FastAPI:
    """Return the service as an ASGI application.

    Tests pass their own `session_maker`, and then no engine is made. Otherwise the app makes
    one for the configured database and closes it when it stops.

    Raises:
        pydantic.ValidationError: The settings are unusable, or unsafe in production.
    """
    settings = settings or Settings()
    on_startup: list[Callable[[], object]] = []
    on_shutdown: list[Callable[[], object]] = []
    # if analytics == clickhouse
    client = LazyClient(settings.clickhouse, clickhouse)
    if session_maker is None and settings.clickhouse.drivername == "chdb":
        # Its folder serves one process, so a relay could not be another one.
        background = BackgroundRelay(settings, client.get)
        on_startup.append(background.start)
        on_shutdown.append(background.stop)
    on_shutdown.append(client.close)
    # end if
    if session_maker is None:
        engine = trace_statements(make_engine(settings))
        session_maker = make_session_maker(engine)
        on_shutdown.append(engine.dispose)

    about = metadata("placeholder_service")
    app = FastAPI(
        title=TITLE,
        summary=about["Summary"],
        version=about["Version"],
        responses=problems.PROBLEM_RESPONSES,
        openapi_url="/openapi.json" if settings.serve_docs else None,
        # Where `OTEL_EXPORTER_OTLP_ENDPOINT` says. Its log records would hold messages of errors.
        telemetry={"auto_configure": True, "logs": False},
        lifespan=make_lifespan(on_startup, on_shutdown),
        # Behind a proxy it would send clients, with their key, from https to http.
        redirect_slashes=False,
    )
    app.state.session_maker = session_maker
    # if analytics == clickhouse
    app.state.clickhouse = client
    # end if
    # SQLite's writers wait for each other, and not in turn: of more, some would wait too long.
    most = 10 if settings.url.get_backend_name() == "sqlite" else settings.database_pool_size
    app.state.places = make_places(min(most, settings.database_pool_size))
    app.state.readiness = ReadinessCheck(settings.url, migrate.database(settings).scripts())
    # Inside of what measures requests and gives them ids, so that a refused one has both.
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    observability.install(app, serve_metrics=settings.serve_metrics)
    app.add_middleware(answer_head)
    problems.install(app)
    app.include_router(health.router)
    app.include_router(thoughts.router)  # if domain == sample
    app.include_router(users.router)  # if domain == blank
    # if analytics == clickhouse
    app.include_router(analytics)
    # end if
    return app


def serve() -> FastAPI:
    """Return the app for a server process, logging set up: the factory given to uvicorn."""
    settings = read_settings()
    observability.configure_logging(settings)
    return create_app(settings)
