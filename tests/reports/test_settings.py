"""Settings of reports that are its own: wrong ones keep it from starting, and say why."""

import pytest

from services.reports.settings import Settings, ticket_url

GOOD = {
    "DATABASE_URL": "postgresql://user:hunter2@db:5432/reports",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "PUBLIC_URL": "https://reports.example",
    "SECRET_KEY": "s" * 32,
}
OWN = ("TICKET_URL", "JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set what the service needs and nothing else."""
    for name in OWN:
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_what_is_set_to_nothing_is_not_set(environment: pytest.MonkeyPatch) -> None:
    """Compose files give an empty variable for one that is not there."""
    for name in OWN:
        environment.setenv(name, "")

    settings = Settings.from_environment()

    assert [getattr(settings, name.lower()) for name in OWN] == [None] * 4


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"TICKET_URL": "desk.example/{ticket}"}, "TICKET_URL: must start with http:// or https:// and hold {ticket}"),
        ({"TICKET_URL": "https://desk.example/{account}"}, "TICKET_URL: must start with http"),
        ({"TICKET_URL": "javascript:alert('{ticket}')"}, "TICKET_URL: must start with http"),
        ({"TICKET_URL": "https://desk.example/{id}/{ticket}"}, "TICKET_URL: may hold {account} and {ticket}"),
        ({"JWKS_URL": "file:///etc/passwd", "JWT_ISSUER": "i", "JWT_AUDIENCE": "a"}, "JWKS_URL: must start with http"),
        ({"JWKS_URL": "https://login.example/keys"}, "JWKS_URL, JWT_ISSUER and JWT_AUDIENCE go together"),
        ({"JWT_ISSUER": "i", "JWT_AUDIENCE": "a"}, "JWKS_URL, JWT_ISSUER and JWT_AUDIENCE go together"),
    ],
)
def test_wrong_settings_end_the_process_with_a_line_each(
    environment: pytest.MonkeyPatch, given: dict[str, str], told: str
) -> None:
    """A link that leads nowhere, or a door that stays shut, is found before the service runs."""
    for name, value in given.items():
        environment.setenv(name, value)

    with pytest.raises(SystemExit) as ended:
        Settings.from_environment()

    assert told in str(ended.value)


def test_an_id_is_a_part_of_the_address_and_no_more() -> None:
    """Whatever a help desk calls its tickets, the link leads to that help desk."""
    template = "https://desk.example/{account}/tickets/{ticket}#top"

    assert ticket_url(template, "acme", "T-1") == "https://desk.example/acme/tickets/T-1#top"
    assert ticket_url(template, "{ticket}", "@evil.example/é?x") == (
        "https://desk.example/%7Bticket%7D/tickets/%40evil.example%2F%C3%A9%3Fx#top"
    )
