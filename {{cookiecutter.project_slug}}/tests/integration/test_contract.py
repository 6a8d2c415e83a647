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
    config = SchemathesisConfig.from_dict(CONFIGURATION)
    schema: Any = schemathesis.openapi.from_dict(app.openapi(), config=config)
    few = settings(max_examples=4, derandomize=True, database=None, deadline=None)
    fast: Any = settings(few, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    cases: list[Any] = []
    for operation in schema.get_all_operations():
        valid, invalid = (operation.ok().as_strategy(mode) for mode in GenerationMode)
        collect: Any = given(valid | invalid)
        fast(collect(lambda case: cases.append(case)))()

    for case in cases:
        request = Request(**case.as_transport_kwargs("http://test", api_headers)).prepare()
        sent: dict[str, Any] = {"headers": request.headers, "content": request.body}
        response = await api_client.request(str(request.method), str(request.url), **sent)
        case.validate_response(response)

    paths = app.openapi()["paths"].values()
    assert len({case.operation.label for case in cases}) == sum(map(len, paths))
