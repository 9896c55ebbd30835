"""Secrets where they must not be: tokens, keys and people's words in logs, metrics, events, health (S10, S34).

Spans are read in tests/journeys/test_traces.py, as a collector gets them.
"""

import asyncio
import json
import logging

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from services.notifier.__main__ import main as notifier_main
from services.portal.__main__ import main
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.outbox import OutboxMessage
from shared.contracts import EVENTS, LinkRenewed, ReplyPublished, SurveyInvited, SurveyReminded
from tests.attacks.browser_view import elements
from tests.attacks.conftest import invited
from tests.builders import a_reply_sent, a_ticket_reopened, an_account
from tests.captcha import solved_widget
from tests.notifier.builders import a_reply_published
from tests.portal.conftest import KEY, mailed, reply
from tests.reports.told import a_key
from tests.stage import Stage, delivery_of

SAID = "words of the requester's own"
ADDRESS = "rita@customer.example"
CONFIDENTIAL = (ReplyPublished, LinkRenewed, SurveyInvited, SurveyReminded)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged at the most talkative level an operator can set."""
    caplog.set_level(logging.DEBUG)  # as LOG_LEVEL=DEBUG does
    return caplog


async def a_whole_visit(portal: Stage, surveys: Stage) -> list[str]:
    """A ticket read and answered, a survey rated, and everything that can go wrong with both; tell the tokens."""
    ticket, survey = await mailed(portal), await invited(surveys)
    for stage, path, form in (
        (portal, ticket, {"body": SAID}),
        (surveys, survey, {"score": "1", "comment": SAID}),
    ):
        await stage.client.get(path)
        await stage.client.get(f"{path}/challenge")
        await stage.client.post(path, data=form)
        await stage.client.post(path, data={**form, "website": "x"})
        await stage.client.post(path, data={**form, "altcha": "x"})
        await stage.client.delete(path)
        await stage.client.get(f"{path}/nothing/here")
        await stage.client.post(path, content=b"\xff", headers={"content-type": "multipart/form-data; boundary=x"})
        solved = await solved_widget(stage.client, f"{path}/challenge")
        assert (await stage.client.post(path, data={**form, **solved})).status_code == 303
    return [path.split("/")[2] for path in (ticket, survey)]


async def test_tokens_and_words_are_in_no_log(
    portal: Stage, surveys: Stage, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaks into logs: neither a whole visit nor a crash in the middle of one writes a token, a name or a word."""
    tokens = await a_whole_visit(portal, surveys)
    monkeypatch.setattr(portal.app.state, "clock", lambda: 1 / 0)
    crashed = await portal.client.get(f"/t/{tokens[0]}")
    assert crashed.status_code == 500
    monkeypatch.undo()
    async with portal.service.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE messages RENAME TO gone"))
    try:
        down = await portal.client.post(f"/t/{tokens[0]}", data={"body": SAID})
    finally:
        async with portal.service.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE gone RENAME TO messages"))
    assert down.status_code == 503

    ours = [record for record in logged.records if not record.name.startswith(("httpx", "httpcore"))]  # the visitor's
    written = "\n".join(f"{record.name} {record.getMessage()} {record.exc_text or ''}" for record in ours)

    assert "request failed" in written
    for secret in (*tokens, SAID, ADDRESS, "Rita", KEY):
        assert secret not in written


async def test_tokens_and_words_are_in_no_metric(portal: Stage, surveys: Stage) -> None:
    """Leaks into metrics: a request is named by its route's pattern, whoever may read /metrics may not read tickets."""
    tokens = await a_whole_visit(portal, surveys)

    told = (await portal.client.get("/metrics")).text

    assert 'closeloop_request_seconds_count{method="GET",route="/t/{token}",status="200"}' in told
    assert 'closeloop_request_seconds_count{method="POST",route="/t/{token}",status="422"}' in told
    for secret in (*tokens, SAID, ADDRESS, "127.0.0.1", "acme", KEY):
        assert secret not in told


async def test_tokens_are_in_the_events_that_the_notifier_alone_reads_and_in_no_other(
    portal: Stage, surveys: Stage
) -> None:
    """Leaks into events: everybody's topics hold none."""
    tokens = await a_whole_visit(portal, surveys)
    await surveys.hears(a_ticket_reopened())
    portal.later(days=90)
    await portal.client.post(f"/t/{tokens[0]}?fresh-link=yes")
    renewed = (await portal.said())[-1]
    assert isinstance(renewed, LinkRenewed)
    tokens.append(renewed.link.rpartition("/")[2])

    told: dict[str, bytes] = {}
    for stage in (portal, surveys):
        for row in await stage.rows(OutboxMessage):
            told[row.topic] = told.get(row.topic, b"") + row.payload + row.key.encode()

    leaky = {topic for topic, payloads in told.items() if any(token.encode() in payloads for token in tokens)}
    assert leaky == {ReplyPublished.topic, LinkRenewed.topic, SurveyInvited.topic}
    assert {"reply.received", "survey.submitted", "survey.created"} <= set(told)
    assert {event for event in EVENTS if "link" in event.__dataclass_fields__} == set(CONFIDENTIAL)


async def test_a_dead_letter_shows_no_link(portal: Stage, notifier: Stage) -> None:
    """Leaks on a screen: what an operator is shown of a record that carries a link has it masked."""
    published = a_reply_published(link="https://portal.example/t/" + "k" * 43)
    broken = delivery_of(published)
    broken.value = json.dumps({**json.loads(broken.value or b""), "published_at": "never"}).encode()
    await notifier.hears(an_account(), broken)
    letter = await notifier.row(DeadLetter)

    shown = await asyncio.to_thread(
        CliRunner().invoke,
        notifier_main,
        ["dead-letters", "show", str(letter.id)],
        env={
            "DATABASE_URL": notifier.service.settings.database_url.replace("+asyncpg", ""),
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "SMTP_HOST": "127.0.0.1",
            "MAIL_FROM": "support@desk.example",
        },
    )

    assert shown.exit_code == 0, shown.output
    assert "k" * 43 not in shown.output
    assert "(masked)" in shown.output


async def test_health_says_nothing_that_helps_an_attacker(portal: Stage, reports: Stage) -> None:
    """Leaks by health checks: no address, key, password, version or person."""
    await mailed(portal)
    for stage in (portal, reports):
        told = (await stage.client.get("/health/ready")).text + (await stage.client.get("/health/live")).text

        password = stage.service.engine.url.password
        for secret in (KEY, ADDRESS, "postgresql", "127.0.0.1", "stage_", *([password] if password else [])):
            assert secret not in told


async def test_the_api_document_holds_no_secret_and_no_more_than_the_api(reports: Stage) -> None:
    """Leaks by API documents: no example from a database, no key, no internal address; portal and surveys have none."""
    await reports.hears(an_account(name="Secret name"))
    key = await a_key(reports)

    document = (await reports.client.get("/api/v1/openapi.json")).text

    for secret in (key, key.split("_")[1], "Secret name", "127.0.0.1", "postgresql", ADDRESS, "/health", "/metrics"):
        assert secret not in document
    assert all(path.startswith("/api/v1/") for path in json.loads(document)["paths"])


@pytest.mark.parametrize("path", ["/schema", "/schema/openapi.json", "/openapi.json", "/docs", "/asyncapi", "/redoc"])
async def test_strangers_pages_have_no_document(stages: dict[str, Stage], path: str) -> None:
    """Leaks by API documents that a framework serves by itself."""
    for stage in stages.values():
        assert (await stage.client.get(path)).status_code == 404


async def test_an_address_with_a_token_is_never_asked_of_anybody_else(portal: Stage) -> None:
    """Leaks by Referer: no page loads or pre-connects anything from elsewhere, and links out carry no referrer."""
    path = await mailed(portal)
    await portal.hears(a_reply_sent(reply_id="a-2", body="https://elsewhere.example/x"))
    await reply(portal, path)

    answer = await portal.client.get(path)

    for element in elements(answer.text):
        loads = element.tag in {"img", "script", "link", "audio", "video", "source", "iframe", "form"}
        assert not loads or all(address.startswith("/") for address in element.addresses)
        if element.tag == "a" and element["href"].startswith("http"):
            assert "noreferrer" in element["rel"]
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_settings_do_not_show_their_keys() -> None:
    """Leaks by error messages: a wrong setting is named, a right one beside it is not printed."""
    shown = CliRunner().invoke(
        main, ["status"], env={"SECRET_KEY": KEY, "DATABASE_URL": "mysql://u:hunter2@h/d", "PUBLIC_URL": "ftp://x"}
    )

    assert shown.exit_code != 0
    assert "hunter2" not in shown.output
    assert KEY not in shown.output
