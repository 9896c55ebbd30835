"""The page that explains the API."""

import re

import msgspec
import pytest

from services.reports import answers, breakdowns
from services.reports.documentation import type_of
from tests.stage import Stage

ANSWERS = {
    name: getattr(answers, name.capitalize(), None) or getattr(breakdowns, name.capitalize())
    for name in ("summary", "distribution", "agents", "priorities", "channels", "reasons", "trend", "responses")
}


async def test_the_page_explains_everything_that_the_document_has(reports: Stage) -> None:
    """Every operation, parameter, answer and field, without a key."""
    document = (await reports.client.get("/api/v1/openapi.json")).json()

    page = await reports.client.get("/api/v1/docs")

    assert page.status_code == 200
    for path, operations in document["paths"].items():
        assert f"<code>{path}</code>" in page.text
        for parameter in operations["get"].get("parameters", ()):
            assert f"<code>{parameter['name']}</code>" in page.text
    for name, schema in document["components"]["schemas"].items():
        assert f'id="{name}"' in page.text
        for field in schema.get("properties", {}):
            assert f"<code>{field}</code>" in page.text
    assert "&#34;average&#34;: 4.308" in page.text
    assert "anything" not in page.text


async def test_the_examples_are_what_the_document_describes(reports: Stage) -> None:
    """Whoever writes a client by an example can read the answers with it: nulls are there, too."""
    document = (await reports.client.get("/api/v1/openapi.json")).json()
    told = {}
    for path, operations in document["paths"].items():
        for content in operations["get"]["responses"]["200"]["content"].values():
            ((_, example),) = content["examples"].items()
            told[path.rpartition("/")[2]] = example["value"]

    for name, answer in ANSWERS.items():
        assert msgspec.to_builtins(msgspec.convert(told[name], answer)) == told[name]
    assert told["summary"]["covered"]["agent"] is None
    assert set(told) == {*ANSWERS, "responses.csv", "responses.parquet", "live"}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 100}, "integer, 1 to 100"),
        ({"type": "integer", "minimum": 0}, "integer, from 0"),
        ({"enum": ["day", "week", "month"]}, "day, week or month"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/ShareOf"}}, "list of ShareOf"),
        ({"oneOf": [{"type": "string", "format": "date"}, {"type": "null"}]}, "date or null"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"allOf": [{"$ref": "#/components/schemas/ShareOf"}], "description": "…"}, "ShareOf"),
        ({}, "anything"),
    ],
)
def test_types_are_written_for_people(schema: dict, text: str) -> None:
    """Whatever the document has."""
    assert type_of(schema) == text


async def test_the_page_needs_nobody_elses_server_and_no_script(reports: Stage) -> None:
    """It can be read where there is no internet, and by the policy of all pages."""
    page = await reports.client.get("/api/v1/docs")

    assert "<script" not in page.text
    assert "style=" not in page.text
    assert not re.findall(r'(?:src|href)="(?!/|#)', page.text)
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


async def test_every_link_of_the_page_leads_somewhere(reports: Stage) -> None:
    """Fragments are ids, and no id is there twice."""
    page = (await reports.client.get("/api/v1/docs")).text
    ids = re.findall(r' id="([^"]+)"', page)

    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
