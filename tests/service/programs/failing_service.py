"""The service, and routes that fail, each in its own way. Served by a rendered project's Python.

What each raises names the service's database, password included, the caller's key and the body.
"""

from typing import NoReturn

from fastapi import FastAPI, Request
from my_service.main import serve
from my_service.settings import Settings
from pydantic import BaseModel, TypeAdapter


class Answer(BaseModel):
    """What a route promises, and does not return."""

    number: int


def message(request: Request) -> str:
    """Return a text with both secrets."""
    return f"failed with {Settings().database_url} for {request.headers['X-API-Key']}"


def fail(request: Request) -> NoReturn:
    raise RuntimeError(message(request))


def fail_after_another_error(request: Request, body: dict[str, str]) -> NoReturn:
    try:
        fail(request)
    except RuntimeError as error:
        raise ValueError(body["content"]) from error


def fail_in_a_group(request: Request) -> NoReturn:
    text = message(request)
    raise ExceptionGroup(text, [ExceptionGroup(text, [ValueError(text)] * 100)] * 100)


def fail_in_recursion(request: Request, body: dict[str, str]) -> NoReturn:
    call_back(request, body)


def call_back(request: Request, body: dict[str, str]) -> NoReturn:
    fail_in_recursion(request, body)


def fail_in_validation(body: dict[str, str]) -> NoReturn:
    TypeAdapter(list[int]).validate_python([body["content"]] * 1000)
    raise AssertionError


def fail_to_answer(body: dict[str, str]) -> object:
    return {"number": body["content"]}


def fail_with_much_text(request: Request) -> NoReturn:
    raise ValueError(f"{message(request)} " * 10_000)


def app() -> FastAPI:
    """Return the service with these routes."""
    service = serve()
    for route in (
        fail,
        fail_in_a_group,
        fail_in_recursion,
        fail_in_validation,
        fail_with_much_text,
    ):
        service.post(f"/{route.__name__}", response_model=None)(route)
    service.post("/fail_to_answer", response_model=Answer)(fail_to_answer)
    return service
