"""What the service answers is what its OpenAPI document says, as Schemathesis checks it."""

from pathlib import Path

from tests.running import TEMPLATE, UV, run, succeeded
from tests.service.project import PACKAGE, Service, combinations
from tests.service.server import serve

# JSON Schema cannot say that two dates are in order, and how far apart they may be.
CONFIGURATION = """
[[operations]]
include-path-regex = "^/analytics/"
checks.positive_data_acceptance.expected-statuses = ["2xx", "422"]
"""


# The suite of each project does the same with fewer requests.
@combinations(complete=["async-sqlite-clickhouse", "sync-postgresql-clickhouse"])
def test_every_answer_is_documented(service: Service, tmp_path: Path) -> None:
    service.migrate()
    key = service.create_key()
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)

    with serve(service, tmp_path, f"{PACKAGE}.main:serve") as server:
        # An environment of its own: it brings plugins for pytest.
        schemathesis = (UV, "tool", "run", "--quiet", "--from", "schemathesis")
        pins = ("--constraints", TEMPLATE / "constraints.txt", "schemathesis")
        document = f"http://127.0.0.1:{server.port}/openapi.json"
        options = ("--checks", "all", "--max-examples", "5", "--seed", "1", "--no-color")
        found = run(
            *schemathesis,
            *pins,
            *("--config-file", configuration),
            *("run", document, "--header", f"X-API-Key: {key}", *options),
            cwd=tmp_path,
        )
        log = server.stop()

    assert "No issues found" in succeeded(found)
    assert "Traceback" not in log
