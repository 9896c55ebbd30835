"""Connecting, encrypting and logging in, as settings say."""

import pytest
from aiosmtpd.smtp import AuthResult
from pydantic import SecretStr, ValidationError

from services.notifier.mail import Later, MailServer
from services.notifier.settings import Settings
from tests.notifier.builders import SENDER, a_letter, an_email
from tests.notifier.mailbox import an_open_mailbox

NEEDED = {
    "database_url": "postgresql://u@127.0.0.1/d",
    "kafka_bootstrap_servers": "127.0.0.1:1",
    "mail_from": SENDER,
    "smtp_host": "127.0.0.1",
}


def a_server(port: int, **settings) -> MailServer:
    """The mailbox as some settings name it."""
    return MailServer(Settings(**{**NEEDED, "smtp_port": port, **settings}))


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_server_that_wants_a_password_gets_it() -> None:
    """User and password of the settings are what the server sees."""
    seen = []

    def check(_server, _session, _envelope, mechanism, data) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=True)

    login = {
        "authenticator": check,
        "auth_required": True,
        "auth_require_tls": False,
        "auth_exclude_mechanism": ["LOGIN"],
    }
    async with an_open_mailbox(**login) as mailbox:
        server = a_server(mailbox.port, smtp_user="desk", smtp_password=SecretStr("pass word"))
        async with server.connection() as connection:
            await connection.send(a_letter(an_email()))

    assert seen == [(b"desk", b"pass word")]
    assert len(mailbox.letters) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_wrong_password_is_an_outage_that_does_not_repeat_it() -> None:
    """An operator mends it; until then no email is touched."""
    login = {
        "authenticator": lambda *_: AuthResult(success=False, handled=False),
        "auth_required": True,
        "auth_require_tls": False,
    }
    async with an_open_mailbox(**login) as mailbox:
        server = a_server(mailbox.port, smtp_user="desk", smtp_password=SecretStr("swordfish"))
        with pytest.raises(Later, match="SMTPAuthenticationError 535") as failure:
            async with server.connection():
                pytest.fail("connected")

    assert "swordfish" not in str(failure.value)


async def test_encryption_that_is_asked_for_is_not_gone_without() -> None:
    """With SMTP_STARTTLS=true nothing goes to a server that does not encrypt."""
    async with an_open_mailbox() as mailbox:
        with pytest.raises(Later):
            async with a_server(mailbox.port, smtp_starttls=True).connection():
                pytest.fail("connected")


async def test_a_server_that_is_not_there_is_an_outage() -> None:
    """Nothing is wrong with the emails; the reason says what was tried and how it ended."""
    with pytest.raises(Later, match=r"no connection: SMTPConnectError \(ConnectionRefusedError\)"):
        async with a_server(1).connection():
            pytest.fail("connected")


async def test_a_server_without_8bitmime_gets_seven_bits() -> None:
    """Letters are ASCII on the wire, whatever is in them."""
    async with an_open_mailbox(decode_data=False) as mailbox, a_server(mailbox.port).connection() as connection:
        await connection.send(a_letter(an_email(text="Ω ★ 👩🏽‍🚀", subject="Ω")))

    assert mailbox.letters[0].as_bytes().isascii()
    assert mailbox.letters[0]["Subject"] == "Ω"


@pytest.mark.parametrize("starttls", [None, False])
async def test_a_server_that_can_is_asked_to_return_failures_only_and_no_letter(starttls: bool | None) -> None:
    """What comes back lies in a mailbox: it must not hold the link that the letter held. Source: RFC 3461."""
    async with an_open_mailbox() as mailbox:
        mailbox.knows_dsn = True
        async with a_server(mailbox.port, smtp_starttls=starttls).connection() as connection:
            await connection.send(a_letter(an_email()))

    assert mailbox.asked_of_dsn == ["RET=HDRS", "NOTIFY=FAILURE"]
    assert len(mailbox.letters) == 1


@pytest.mark.parametrize(
    ("settings", "envelope_sender"), [({}, SENDER), ({"mail_bounces_to": "back@desk.example"}, "back@desk.example")]
)
async def test_what_cannot_be_delivered_goes_back_where_the_settings_say(settings: dict, envelope_sender: str) -> None:
    """MAIL_BOUNCES_TO is the envelope's sender alone; people see and answer MAIL_FROM."""
    async with an_open_mailbox() as mailbox, a_server(mailbox.port, **settings).connection() as connection:
        await connection.send(a_letter(an_email()))

    assert mailbox.envelopes == [(envelope_sender, "rita@customer.example")]
    assert mailbox.letters[0]["From"].addresses[0].addr_spec == SENDER


@pytest.mark.parametrize(
    "address", ["", "support", "support@", "@desk.example", "Desk <support@desk.example>", "ä@x.example"]
)
def test_a_sender_that_is_no_address_is_refused_at_the_start(address: str) -> None:
    """A service with wrong settings does not start."""
    for name in ("mail_from", "mail_bounces_to"):
        with pytest.raises(ValidationError, match="must look like"):
            Settings(**{**NEEDED, name: address})


@pytest.mark.parametrize(("said", "meant"), [("true", True), ("false", False), (None, None)])
def test_encryption_is_asked_for_never_wanted_or_taken_where_offered(
    monkeypatch: pytest.MonkeyPatch, said: str | None, meant: bool | None
) -> None:
    """SMTP_STARTTLS has three meanings."""
    for name, value in {**NEEDED, **({"smtp_starttls": said} if said else {})}.items():
        monkeypatch.setenv(name.upper(), value)

    assert Settings.from_environment().smtp_starttls is meant
