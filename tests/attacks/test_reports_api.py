"""An API that is asked everything its document allows, and much that it does not (S8, S28).

The requests are made from the OpenAPI document, so what is added to the API is asked, too.
"""

import asyncio
import warnings

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import HypothesisDeprecationWarning
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.attacks.server import serving
from tests.builders import an_account
from tests.reports.told import a_key, answered
from tests.stage import Stage

EXAMPLES = 15
"""For each operation and mode. All of them together take some seconds."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
async def test_the_api_answers_as_its_document_says_whatever_it_is_asked(reports: Stage, mode: GenerationMode) -> None:
    """Fuzzing: no 5xx, and every answer has the status, type and shape that the document promises."""
    await reports.hears(an_account(), *(answered(f"s-{number}", number % 5 + 1) for number in range(12)))
    key = {"Authorization": f"Bearer {await a_key(reports)}"}
    async with serving(reports) as port:
        asked = await asyncio.to_thread(ask_everything, port, key, mode)

    assert len(asked) >= 5


async def test_no_operation_answers_without_a_key(reports: Stage) -> None:
    """Broken authentication: each operation of the document, asked without a key or with a wrong one, says 401."""
    await reports.hears(an_account(), answered("s-1", 5))
    document = (await reports.client.get("/api/v1/openapi.json")).json()

    for path, operations in document["paths"].items():
        for method in operations.keys() & {"get", "post", "put", "patch", "delete"}:
            for headers in ({}, {"Authorization": "Bearer cl_000000000000_" + "x" * 43}):
                answer = await reports.client.request(method, path, headers=headers)
                assert answer.status_code == 401, path
                assert "s-1" not in answer.text


def ask_everything(port: int, key: dict[str, str], mode: GenerationMode) -> list[str]:
    """Ask every operation of a service's document what it allows, or what it does not; tell which were asked."""
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/api/v1/openapi.json")
    asked = []
    # Endless where somebody listens, and 503 where nobody does, as on stage: tests/reports/test_live.py asks it.
    for result in schema.exclude(path="/api/v1/csat/live").get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=key, checks=CHECKS, excluded_checks=[ignored_auth])

        with warnings.catch_warnings():
            # The server in the other thread rolls dice, which Hypothesis takes for the strategy's.
            warnings.filterwarnings("ignore", "Do not use the `random` module", HypothesisDeprecationWarning)
            ask()
        asked.append(operation.label)
    return asked
