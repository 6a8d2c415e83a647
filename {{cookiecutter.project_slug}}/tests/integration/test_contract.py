"""Every answer is one that the OpenAPI document describes, whether the request is valid or not."""

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from requests import Request
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from tests.fixtures.client import ApiClient

CONFIGURATION = {
    "generation": {"with-security-parameters": False},  # every request has the key
    "checks": {
        "ignored_auth": {"enabled": False},
        # No test answers for the database that `/health/ready` looks at.
        "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "503"]},
        # if analytics == clickhouse
        # Here is no ClickHouse, and JSON Schema cannot say that two dates are in order.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "422", "503"]},
        # end if
    },
}


@pytest.mark.integration
async def test_answers_are_as_documented(
    app: FastAPI, api_client: ApiClient, api_headers: dict[str, str]
) -> None:
    document = app.openapi()
    config = SchemathesisConfig.from_dict(CONFIGURATION)
    operations: Any = schemathesis.openapi.from_dict(document, config=config).get_all_operations()
    # Made before they are sent, and so the same in every run.
    cases: list[Any] = []
    few = settings(max_examples=4, derandomize=True, database=None, deadline=None)
    fast: Any = settings(few, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    for operation in operations:
        valid, invalid = (operation.ok().as_strategy(mode) for mode in GenerationMode)
        collect: Any = given(valid | invalid)
        fast(collect(lambda case: cases.append(case)))()

    for case in cases:
        request = Request(**case.as_transport_kwargs("http://test", api_headers)).prepare()
        sent: dict[str, Any] = {"headers": request.headers, "content": request.body}
        response = await api_client.request(str(request.method), str(request.url), **sent)
        case.validate_response(response)

    reached = {case.operation.label for case in cases}
    assert len(reached) == sum(len(methods) for methods in document["paths"].values())
