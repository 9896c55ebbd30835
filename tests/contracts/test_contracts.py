"""What is once published can be read for ever: fields are added with a default, never removed or retyped."""

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

import shared.contracts
from shared.contracts import EVENTS, Event

GOLDEN = Path(__file__).parent / "golden"
BY_TOPIC = {event.topic: event for event in EVENTS}


def test_every_event_has_a_golden_file() -> None:
    """A new event brings its file; an old one keeps it."""
    assert {file.stem for file in GOLDEN.glob("*.json")} == set(BY_TOPIC)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.topic)
def test_what_was_published_once_is_understood_and_said_the_same_way(event: type[Event]) -> None:
    """Every field of the golden file is read, and written again with the same name and value."""
    published = (GOLDEN / f"{event.topic}.json").read_bytes()

    said_again = msgspec.json.decode(msgspec.json.encode(msgspec.json.decode(published, type=event)))

    assert_holds(said_again, msgspec.json.decode(published))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.topic)
def test_what_was_published_before_a_field_existed_is_understood(event: type[Event]) -> None:
    """A publisher that knows no field with a default can be read, wherever in the event the field is."""
    published = msgspec.json.decode((GOLDEN / f"{event.topic}.json").read_bytes())

    msgspec.convert(without_defaults(published, msgspec.convert(published, event)), event)


def test_ids_and_times_are_found_by_their_names() -> None:
    """What checks them looks at no other field, and not at what is in it."""
    contracts = {value for value in vars(shared.contracts).values() if dataclasses.is_dataclass(value)}
    for contract in contracts:
        for name, kind in get_type_hints(contract).items():
            kinds = set(get_args(kind) or [kind]) - {type(None)}
            assert name.endswith("_at") == (kinds == {datetime}), (contract, name)
            assert not name.endswith("_id") or kinds == {str}, (contract, name)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.topic)
def test_unknown_fields_are_ignored(event: type[Event]) -> None:
    """A publisher may know more than we do."""
    published = msgspec.json.decode((GOLDEN / f"{event.topic}.json").read_bytes())
    newer = msgspec.json.encode({**published, "field_of_tomorrow": {"a": [1]}})

    assert msgspec.json.decode(newer, type=event) == msgspec.convert(published, event)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.topic)
def test_an_event_belongs_to_an_account_and_says_so_in_its_key(event: type[Event]) -> None:
    """The key keeps one ticket's events in order and one account's together."""
    read = msgspec.json.decode((GOLDEN / f"{event.topic}.json").read_bytes(), type=event)

    assert read.key.split("/")[0] == read.account_id
    assert {field.name for field in dataclasses.fields(event)} >= {"account_id"}


def without_defaults(published: Any, read: Any) -> Any:
    """What was published, less every field that has a default."""
    if not dataclasses.is_dataclass(read):
        return published
    required = {field.name for field in dataclasses.fields(read) if _is_required(field)}
    return {name: without_defaults(published[name], getattr(read, name)) for name in required}


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def assert_holds(said: object, published: object) -> None:
    """Everything that was published is said; there may be more."""
    if isinstance(published, dict):
        assert isinstance(said, dict)
        for name, value in published.items():
            assert name in said
            assert_holds(said[name], value)
    else:
        assert said == published
