"""The ticket page in the reader's language."""

import re
from dataclasses import replace

import httpx
import pytest

from services.portal.tables import Account
from tests.builders import RITA, a_ticket, a_ticket_created, a_ticket_resolved, an_account
from tests.portal.conftest import link_of, mailed
from tests.stage import Stage


async def opened(portal: Stage, accept: str = "", *, requester: str | None = None, account: str | None = None):
    """The page of a ticket."""
    await portal.clear()
    await portal.hears(
        an_account(locale=account, time_zone="Asia/Tokyo"),
        a_ticket_created(ticket=a_ticket(requester=replace(RITA, locale=requester))),
    )
    return await portal.client.get(await link_of(portal), headers={"accept-language": accept})


def html_tag(answer: httpx.Response) -> str:
    """How the page says which language it is in."""
    found = re.search(r"<html[^>]*>", answer.text)
    assert found
    return found[0]


@pytest.mark.parametrize(
    ("tag", "direction", "button"),
    [
        ("en", "ltr", "Send reply"),
        ("de", "ltr", "Antwort senden"),
        ("fr", "ltr", "Envoyer la réponse"),
        ("es", "ltr", "Enviar respuesta"),
        ("pt-BR", "ltr", "Enviar resposta"),
        ("ar", "rtl", "إرسال الرد"),
        ("ja", "ltr", "返信を送信"),
    ],
)
async def test_the_page_speaks_the_requesters_language(portal: Stage, tag: str, direction: str, button: str) -> None:
    """And says which: to screen readers, to the browser's typography, to caches."""
    page = await opened(portal, "sv, fi;q=0.8", requester=tag, account="fr")

    assert html_tag(page) == f'<html lang="{tag}" dir="{direction}">'
    assert f">{button}</button>" in page.text
    assert page.headers["content-language"] == tag
    assert "Accept-Language" in page.headers["vary"]


async def test_where_the_help_desk_knows_none_the_browser_decides_and_then_the_account(portal: Stage) -> None:
    """A browser that speaks nothing of ours gets the account's language."""
    assert 'lang="ja"' in html_tag(await opened(portal, "ja;q=0.5", account="de"))
    assert 'lang="de-AT"' in html_tag(await opened(portal, "zh-TW,zh", account="de-AT"))


async def test_a_requesters_times_are_in_the_accounts_zone_and_their_own_words(portal: Stage) -> None:
    """The exact time stays for machines and on hover."""
    page = await opened(portal, requester="es")

    stamp = 'datetime="2026-03-02T12:00:00+00:00" title="2026-03-02 21:00:00 JST">2 de marzo de 2026, 21:00</time>'
    assert f'<time dir="auto" {stamp}' in page.text


async def test_an_unknown_link_tells_the_browsers_language_only(portal: Stage) -> None:
    """Nothing is known of who opened it, and the page gives nothing away."""
    unknown = await portal.client.get("/t/unknown", headers={"accept-language": "ar-EG, en;q=0.5"})

    assert unknown.status_code == 404
    assert html_tag(unknown) == '<html lang="ar-EG" dir="rtl">'
    assert "هذا الرابط لا يفتح شيئًا" in unknown.text
    assert unknown.headers["content-language"] == "ar-EG"
    assert "Accept-Language" in unknown.headers["vary"]


async def test_errors_are_told_in_the_language_of_the_form(portal: Stage) -> None:
    """With the number in the form that its language wants."""
    path = await mailed(portal, requester=replace(RITA, locale="ar"))

    empty = await portal.client.post(path, data={"body": " "})
    long = await portal.client.post(path, data={"body": "x" * 20_002})
    robot = await portal.client.post(path, data={"body": "x"})

    assert "يُرجى كتابة ردك." in empty.text
    assert "ردك أطول من المسموح بحرفين." in long.text
    assert "يُرجى إثبات أنك لست روبوتًا." in robot.text
    assert "<title>خطأ: Tent pole broke" in long.text


async def test_what_people_wrote_has_a_direction_of_its_own(portal: Stage) -> None:
    """A Latin name in an Arabic line, and Arabic in a Latin one, leave the line as it was."""
    ticket = a_ticket(requester=replace(RITA, locale="ar", name="Rita (Berlin)"))
    await portal.hears(
        an_account(), a_ticket_created(ticket=ticket), a_ticket_resolved(ticket=replace(ticket, version=3))
    )

    page = (await portal.client.get(await link_of(portal))).text

    assert "تم حل هذه التذكرة بواسطة <bdi>Ada Okafor</bdi>" in page
    assert "طلب من <bdi>Rita (Berlin)</bdi>" in page
    assert '<h1 dir="auto">' in page
    assert 'name="captcha_code" dir="ltr"' in page


async def test_the_recording_is_said_to_speak_english(portal: Stage) -> None:
    """Who cannot see the picture learns before listening what they will hear."""
    assert "Die Aufnahme ist auf Englisch." in (await opened(portal, "de")).text
    assert "The recording speaks English." not in (await opened(portal, "en")).text


@pytest.mark.parametrize("tag", ["tlh", "x", "de_DE.UTF-8", "\N{SNOWMAN}", "a\0b", "y" * 5000])
async def test_a_language_nobody_knows_costs_no_event(portal: Stage, tag: str) -> None:
    """The account is told and its tickets are shown, in a language that somebody speaks."""
    page = await opened(portal, "fr", account=tag)
    assert await portal.dead_letters() == []
    assert 'lang="fr"' in html_tag(page)

    page = await opened(portal, "fr", requester=tag.replace("\0", ""))
    assert await portal.dead_letters() == []
    assert await portal.count(Account) == 1
    assert 'lang="fr"' in html_tag(page) or tag.startswith("de")
