"""Errors as problem documents (RFC 9457). A refusal takes no thread: there may be none left."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from http.client import responses
from typing import Any

from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.utils import is_body_allowed_for_status_code
from migrator.causes import is_conflict, is_outage
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from placeholder_service.api.methods import allowed_methods
from placeholder_service.services.errors import NotFoundError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

# Sent with every 503, in seconds.
RETRY_AFTER = {"Retry-After": "5"}

# A response lists so many errors, each about a name of so many characters: both come from the
# client, who could make the response as large as the request.
ERRORS_MAX = 20
FIELD_MAX = 100


class Problem(BaseModel):
    """An error. A 422 lists `errors`, each with a `field` and a `message`.

    A 500 has the `request_id` that its log lines have.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    errors: list[dict[str, str]] = []
    request_id: str = ""


PROBLEM_CONTENT = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
# Of every route.
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "What is wrong with the request", "content": PROBLEM_CONTENT},
    "5XX": {"description": "What is wrong with the service", "content": PROBLEM_CONTENT},
}


def problem(
    request: Request,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **extensions: Any,
) -> JSONResponse:
    """Return a problem document; `extensions` are further members, such as `errors`."""
    body = Problem(
        type="about:blank",
        title=responses.get(status, ""),
        status=status,
        detail=detail,
        instance=request.url.path,
        **extensions,
    )
    return JSONResponse(body.model_dump(exclude_unset=True), status, headers, media_type=MEDIA_TYPE)


async def on_http_error(request: Request, error: HTTPException) -> Response:
    """Answer what a router or the framework refused."""
    headers = error.headers
    if not is_body_allowed_for_status_code(error.status_code):
        return Response(None, error.status_code, headers)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": allowed_methods(request)}
    return problem(request, error.status_code, str(error.detail), headers)


async def on_invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
    """Answer input that does not fit, naming each field. The input itself is not repeated."""
    faults = error.errors()
    errors = [
        {
            "field": ".".join(map(str, fault["loc"]))[:FIELD_MAX],
            "message": fault["msg"].removeprefix("Value error, "),
        }
        for fault in faults[:ERRORS_MAX]
    ]
    detail = "The request is invalid; see `errors`."
    if len(faults) > ERRORS_MAX:
        detail += f" It lists {ERRORS_MAX} of {len(faults)}."
    return problem(request, 422, detail, errors=errors)


async def on_not_found(request: Request, error: NotFoundError) -> JSONResponse:
    """Answer a look-up that found nothing."""
    return problem(request, 404, str(error))


async def on_database_error(request: Request, error: DBAPIError | PoolTimeoutError) -> JSONResponse:
    """Answer 409 for a conflict and 503 for an outage. Any other error is a bug: 500."""
    if is_conflict(error):
        log.info("conflict", extra={"error": error})
        return problem(
            request, 409, "This exists already, or something that it refers to does not."
        )
    if not is_outage(error):
        raise error
    log.warning("database unavailable", extra={"error": error})
    detail = "The database is unavailable. Try again later."
    return problem(request, 503, detail, RETRY_AFTER)


def on_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    """Answer a fault of ours. What it was, the server writes to the log, not to the client."""
    detail = "Something went wrong here. It has been logged under this request id."
    request_id = correlation_id.get() or ""
    headers = {"X-Request-ID": request_id}
    return problem(request, 500, detail, headers, request_id=request_id)


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.exception_handler(HTTPException)(on_http_error)
    app.exception_handler(RequestValidationError)(on_invalid_request)
    app.exception_handler(NotFoundError)(on_not_found)
    app.exception_handler(DBAPIError)(on_database_error)
    app.exception_handler(PoolTimeoutError)(on_database_error)
    app.exception_handler(Exception)(on_unexpected_error)
