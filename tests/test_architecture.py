"""Boundaries that hold by test, not by prose. Imports between packages are import-linter's (`make check`)."""

import ast
from pathlib import Path

import pytest

from deploy.kafka import topics
from shared.contracts import EVENTS

ROOT = Path(__file__).parents[1]
SERVICES = ("portal", "surveys", "notifier", "reports")
CODE = [path for folder in ("shared", "services", "deploy") for path in (ROOT / folder).rglob("*.py")]
VAGUE = {"utils", "helpers", "common", "manager", "processor", "service", "misc", "impl", "dto", "base"}


def test_every_event_has_its_topic_and_every_topic_its_event() -> None:
    """deploy/topics.yaml provisions what the contracts name, and nothing else."""
    assert {topic.name for topic in topics.load()} == {event.topic for event in EVENTS}


@pytest.mark.parametrize("service", SERVICES)
def test_topics_yaml_names_a_services_readers_as_its_handlers_are(service: str) -> None:
    """What a service hears stands in one place of the code and one of the docs; they agree."""
    handlers = __import__(f"services.{service}.handlers", fromlist=["events"])

    heard = {event.topic for event in handlers.events.handlers}

    assert heard == {topic.name for topic in topics.load() if service in topic.readers}


def test_links_travel_on_topics_that_the_notifier_alone_reads_and_that_are_kept_for_days() -> None:
    """A token in an event is a token in a log."""
    with_link = {event.topic for event in EVENTS if any("link" in name for name in event.__dataclass_fields__)}

    assert with_link == {"reply.published", "link.renewed", "survey.invited", "survey.reminded"}
    for topic in topics.load():
        if topic.name in with_link:
            assert topic.readers == ("notifier",)
            assert topic.retention_days != "forever"


def test_no_module_has_a_vague_name_or_grows_past_what_can_be_read_at_once() -> None:
    """Names say what is inside; a module is one screenful to about 250 lines."""
    assert [path for path in CODE if path.stem in VAGUE] == []
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path in CODE
        if "migrations" not in path.parts and (lines := len(path.read_text().splitlines())) > 290
    ]
    assert long == []


def test_nobody_publishes_past_the_outbox_and_only_composition_roots_read_the_clock() -> None:
    """`emit` is the only way to say something; `now` is passed in."""
    offenders = []
    for path in CODE:
        if path.is_relative_to(ROOT / "deploy") or path.name in {"outbox.py", "clock.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in {"publish", "publish_batch", "utcnow", "today"}:
                offenders.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.attr}")
            if isinstance(node, ast.Attribute) and node.attr == "now" and getattr(node.value, "id", "") == "datetime":
                offenders.append(f"{path.relative_to(ROOT)}:{node.lineno} datetime.now")
    assert offenders == []


def test_every_service_has_the_same_modules_in_the_same_roles() -> None:
    """Who knows one service finds their way in the next."""
    roles = {"__main__.py", "app.py", "settings.py", "tables.py", "queries.py", "handlers.py", "README.md"}
    for service in SERVICES:
        assert roles <= {path.name for path in (ROOT / "services" / service).iterdir()}, service
