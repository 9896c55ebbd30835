"""What callers of the API get when something is wrong, and the document that describes it all."""

import pytest
from sqlalchemy.exc import OperationalError

from services.reports import figures
from tests.builders import an_account
from tests.reports.told import a_key, a_survey, answered, ask, created
from tests.stage import Stage


@pytest.mark.parametrize(
    ("path", "parameters", "blamed"),
    [
        ("/summary", {"from_": "yesterday"}, "from"),
        ("/summary", {"from_": "2026-02-30"}, "from"),
        ("/summary", {"to": "2026-02-01T12:00:00"}, "to"),
        ("/summary", {"from_": "2026-02-02", "to": "2026-02-02"}, "to"),
        ("/summary", {"from_": "2026-02-03", "to": "2026-02-02"}, "to"),
        ("/summary", {"from_": "2020-01-01", "to": "2026-01-01"}, "from"),
        ("/summary", {"from_": "0001-01-01"}, "from"),
        ("/summary", {"to": "0001-01-01"}, "to"),
        ("/summary", {"to": "9999-12-31"}, "to"),
        ("/summary", {"preset": "last_8_days"}, "preset"),
        ("/summary", {"preset": "today", "to": "2026-02-02"}, "preset"),
        ("/summary", {"priority": "dire"}, "priority"),
        ("/summary", {"priority": ["high", "dire"]}, "priority"),
        ("/summary", {"channel": ""}, "channel"),
        ("/summary", {"channel": "a\0b"}, "channel"),
        ("/summary", {"channel": ["x"] * 21}, "channel"),
        ("/summary", {"attribution": "watcher"}, "attribution"),
        ("/summary", {"score": "5"}, "score"),
        ("/responses", {"score": "6"}, "score"),
        ("/responses", {"q": ""}, "q"),
        ("/responses", {"q": "x" * 101}, "q"),
        ("/responses", {"q": "a\0b"}, "q"),
        ("/responses", {"reason": "x" * 129}, "reason"),
        ("/responses", {"commented": "perhaps"}, "commented"),
        ("/responses.csv", {"limit": "5"}, "limit"),
        ("/summary", {"agent": ""}, "agent"),
        ("/summary", {"agent": "x" * 129}, "agent"),
        ("/summary", {"agent": "a\0b"}, "agent"),
        ("/summary", {"format": "csv"}, "format"),
        ("/summary", {"granularity": "day"}, "granularity"),
        ("/summary", {"From": "2026-01-01"}, "From"),
        ("/summary", {"from": ["2026-02-01", "2026-02-02"]}, "from"),
        ("/trend", {"granularity": "hour"}, "granularity"),
        ("/responses", {"limit": "0"}, "limit"),
        ("/responses", {"limit": "101"}, "limit"),
        ("/responses", {"limit": "many"}, "limit"),
        ("/responses", {"cursor": "nowhere"}, "cursor"),
        ("/responses", {"cursor": "a\0b"}, "cursor"),
        ("/responses", {"cursor": "x" * 129}, "cursor"),
        ("/responses", {"cursor": "unanswered"}, "cursor"),
    ],
)
async def test_a_wrong_parameter_is_named(reports: Stage, path: str, parameters: dict, blamed: str) -> None:
    """400 with problem details (RFC 9457) that say which parameter is wrong and why, for whatever is sent."""
    await reports.hears(an_account(), created(a_survey("unanswered")))

    response = await ask(reports, path, **parameters)

    problem = response.json()
    assert response.status_code == problem["status"] == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["type"] == "urn:closeloop:problem:invalid-parameters"
    assert problem["title"] == "Invalid parameters"
    assert [error["parameter"] for error in problem["errors"]] == [blamed]
    assert problem["errors"][0]["message"]
    assert problem["detail"].startswith(f"{blamed}: ")


@pytest.mark.parametrize("limit", [1, 100])
async def test_the_limits_of_a_page_are_allowed_themselves(reports: Stage, limit: int) -> None:
    """1 to 100."""
    await reports.hears(an_account())

    assert (await ask(reports, "/responses", limit=limit)).status_code == 200


async def test_five_whole_years_are_a_range(reports: Stage) -> None:
    """The limit is over five years, not at them."""
    await reports.hears(an_account())

    assert (await ask(reports, "/trend", from_="2020-01-01", to="2025-01-01")).status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/v1/csat/nothing", "/api/v1", "/api/v1/nothing", "/api/", "/api/v2/csat/summary"]
)
async def test_an_unknown_address_of_the_api_is_a_problem_too(reports: Stage, path: str) -> None:
    """A program gets JSON, never a page for people."""
    response = await reports.client.get(path)

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json() == {"type": "about:blank", "title": "Not Found", "status": 404}


async def test_a_method_the_api_has_not_says_which_it_has(reports: Stage) -> None:
    """405 names what is allowed. Source: RFC 9110, section 15.5.6."""
    response = await reports.client.delete("/api/v1/csat/summary")

    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert response.json()["title"] == "Method Not Allowed"


@pytest.mark.parametrize(
    ("failure", "status", "retry"),
    [
        (OperationalError("SELECT secret", {}, OSError("gone")), 503, "30"),
        (RuntimeError("secret"), 500, None),
    ],
)
async def test_our_own_failures_give_nothing_away(
    reports: Stage, monkeypatch: pytest.MonkeyPatch, failure: Exception, status: int, retry: str | None
) -> None:
    """A broken database is a 503 that says when to come back, a fault of ours a 500; neither quotes anything."""

    async def fail(*_: object) -> None:
        raise failure

    await reports.hears(an_account())
    monkeypatch.setattr(figures, "scores", fail)

    response = await ask(reports, "/distribution")

    assert response.status_code == response.json()["status"] == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers.get("Retry-After") == retry
    assert "secret" not in response.text


async def test_answers_carry_the_headers_every_page_has_and_are_not_kept(reports: Stage) -> None:
    """What people said must not stay in a cache on the way."""
    await reports.hears(an_account(), answered("s", 5))

    response = await ask(reports, "/responses")

    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_api_describes_itself(reports: Stage) -> None:
    """The OpenAPI document has every address with its parameters, answers and problems, and nothing else."""
    response = await reports.client.get("/api/v1/openapi.json")
    document = response.json()

    assert response.status_code == 200
    assert sorted(document["paths"]) == [
        f"/api/v1/csat/{name}"
        for name in (
            "agents",
            "channels",
            "distribution",
            "live",
            "priorities",
            "reasons",
            "responses",
            "responses.csv",
            "responses.parquet",
            "summary",
            "trend",
        )
    ]
    for address, path in document["paths"].items():
        (operation,) = path.values()
        parameters = operation.get("parameters", [])
        names = {parameter["name"] for parameter in parameters}
        common = {"from", "to", "preset", "agent", "priority", "channel", "attribution"}
        assert names >= common or address.endswith("/live")
        assert all(parameter["description"] for parameter in parameters)
        assert operation["description"]
        assert set(operation["responses"]) - {"304"} == {"200", "400", "401", "403", "429", "503"}
        assert all(content["examples"] for content in operation["responses"]["200"]["content"].values())
        assert set(operation["responses"]["400"]["content"]) == {"application/problem+json"}
        assert operation["security"] == [{"apiKey": []}, {"token": []}]
    ways = document["components"]["securitySchemes"]
    assert {(way["type"], way["scheme"]) for way in ways.values()} == {("http", "bearer")}
    assert "from" in document["components"]["schemas"]["Covered"]["properties"]


@pytest.mark.parametrize("path", ["/api/v1/swagger", "/api/v1/redoc", "/schema", "/schema/"])
async def test_no_page_for_the_document_is_served(reports: Stage, path: str) -> None:
    """Those that Litestar has load their scripts from somebody else's server."""
    assert (await reports.client.get(path)).status_code == 404


async def test_answers_have_the_fields_the_document_promises(reports: Stage) -> None:
    """Each field that is required is there, and none that is not described."""
    await reports.hears(an_account(), *(answered(f"s-{number}", 5, comment="Fine.") for number in range(6)))
    key = await a_key(reports)
    document = (await reports.client.get("/api/v1/openapi.json")).json()
    schemas = document["components"]["schemas"]

    def check(value, schema) -> None:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        for either in schema.get("oneOf", []):
            if value is not None and either.get("type") != "null":
                check(value, either)
        if schema.get("type") == "object":
            assert set(schema["required"]) <= set(value) <= set(schema["properties"])
            for name, item in value.items():
                check(item, schema["properties"][name])
        if schema.get("type") == "array":
            for item in value:
                check(item, schema["items"])

    for path, item in document["paths"].items():
        if "application/json" not in item["get"]["responses"]["200"]["content"]:
            continue
        answer = (await ask(reports, path.removeprefix("/api/v1/csat"), key=key)).json()
        check(answer, item["get"]["responses"]["200"]["content"]["application/json"]["schema"])
