"""Tells an orchestrator whether to restart the process, and whether to send it traffic."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from migrator.readiness import Readiness
from pydantic import BaseModel

router = APIRouter(prefix="/health", tags=["health"])


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


@router.get("/live")
async def live() -> Liveness:
    """Answer while the process runs.

    Never touches the database: an outage there is no reason to restart this process.
    """
    return Liveness()


@router.get("/ready", responses={503: {"model": Readiness}})
async def ready(request: Request, response: Response) -> Readiness:
    """Answer 200 if the database is reachable and migrated, else 503 and why."""
    readiness: Readiness = await request.app.state.readiness.check()
    if not readiness.ready:
        response.status_code = 503
    return readiness
