"""Puts the service together. `create_app` is what a server runs."""

from importlib.metadata import metadata

from fastapi import FastAPI

from {{cookiecutter.package_name}} import observability
from {{cookiecutter.package_name}}.api import health, problems, thoughts
from {{cookiecutter.package_name}}.db.engine import make_engine
from {{cookiecutter.package_name}}.db.readiness import ReadinessCheck
from {{cookiecutter.package_name}}.db.session import SessionMaker, make_session_maker
from {{cookiecutter.package_name}}.settings import Settings


def create_app(
    settings: Settings | None = None,
    session_maker: SessionMaker | None = None,
) -> FastAPI:
    """Return the service as an ASGI application.

    Tests pass their own `session_maker`, and then no engine is made. Otherwise the app makes
    one for the configured database and closes it when it stops.

    Raises:
        pydantic.ValidationError: The settings are unusable, or unsafe in production.
    """
    settings = settings or Settings()
    on_shutdown = []
    if session_maker is None:
        engine = make_engine(settings)
        session_maker = make_session_maker(engine)
        on_shutdown.append(engine.dispose)

    about = metadata("{{cookiecutter.package_name}}")
    app = FastAPI(
        title=about["Name"],
        summary=about["Summary"],
        version=about["Version"],
        on_shutdown=on_shutdown,
    )
    app.state.session_maker = session_maker
    app.state.readiness = ReadinessCheck(session_maker)
    observability.install(app)
    problems.install(app)
    app.include_router(health.router)
    app.include_router(thoughts.router)
    return app


def serve() -> FastAPI:
    """Return the app for a server process, logging set up: the factory given to uvicorn."""
    settings = Settings()
    observability.configure_logging(settings)
    return create_app(settings)
