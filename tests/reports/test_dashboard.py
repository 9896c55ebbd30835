"""The pages, as a browser without scripts gets them."""

import base64
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import get_args
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from services.reports import app, figures
from services.reports.days import PRESETS
from services.reports.erasure import NO_WORDS
from services.reports.formats import NOT_ASKED
from services.reports.satisfaction import Reason
from services.reports.settings import Settings
from services.reports.tables import ApiKey, Rating
from services.reports.view import DEFAULT
from shared.contracts import Agent, Logo, ReasonGiven
from tests.builders import ADA, BEN, NOON, a_ticket, an_account
from tests.reports.told import a_key, a_survey, answered, created, expired, skipped, submitted
from tests.stage import Stage

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def sign_in(stage: Stage, account_id: str = "acme", **headers: str) -> httpx.Response:
    """Type a good key. The client keeps the cookie, though the stage is no https."""
    key = await a_key(stage, account_id)
    response = await stage.client.post("/session", data={"key": key}, headers=headers)
    if "set-cookie" in response.headers:
        stage.client.cookies.set("closeloop_reports", key)
    return response


async def page(stage: Stage, address: str = "/csat", *, status: int = 200) -> str:
    """Get a page's words, without its tags."""
    return words(await html(stage, address, status=status))


async def html(stage: Stage, address: str = "/csat", *, status: int = 200) -> str:
    """Get a page."""
    response = await stage.client.get(address)
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"].startswith("text/html")
    return response.text


def words(markup: str) -> str:
    """What is between the tags, spaces tidied."""
    body = markup.partition("<body>")[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def test_who_is_not_signed_in_is_asked_for_a_key(reports: Stage) -> None:
    """The reports are nobody else's business."""
    first = await reports.client.get("/")
    csat = await reports.client.get("/csat")

    assert (first.status_code, first.headers["Location"]) == (302, "/csat")
    assert (csat.status_code, csat.headers["Location"]) == (303, "/sign-in")
    assert "API key" in await page(reports, "/sign-in")


async def test_a_good_key_signs_in(reports: Stage) -> None:
    """The cookie is out of reach of scripts and of other sites, is sent by https alone, and ends after 30 days."""
    await reports.hears(an_account())

    response = await sign_in(reports)

    assert (response.status_code, response.headers["Location"]) == (303, "/csat")
    cookie = response.headers["Set-Cookie"]
    assert re.match(r"closeloop_reports=cl_[0-9a-f]{12}_[\w-]{43};", cookie)
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
        "httponly",
        "secure",
        "samesite=lax",
        "max-age=2592000",
        "path=/",
    }
    assert "Acme Outdoor" in await page(reports)


async def test_a_key_with_spaces_around_it_signs_in(reports: Stage) -> None:
    """That is how keys come from a clipboard."""
    await reports.hears(an_account())
    key = await a_key(reports)

    assert (await reports.client.post("/session", data={"key": f" {key}\n"})).status_code == 303


async def test_without_https_the_cookie_is_sent_all_the_same(reports: Stage) -> None:
    """On a developer's machine a Secure cookie would be dropped."""
    await reports.hears(an_account())
    service = app.create_service(
        Settings(
            database_url=reports.service.settings.database_url.replace("+asyncpg", ""),
            kafka_bootstrap_servers="127.0.0.1:1",
            public_url="http://127.0.0.1:8004",
            secret_key=SecretStr("r" * 32),
        ),
        reports.clock,
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app.create_app(service)), base_url="http://testserver"
    ) as client:
        response = await client.post("/session", data={"key": await a_key(reports)})
        shown = await client.get("/csat")
    await service.disconnect()

    assert "secure" not in response.headers["Set-Cookie"].lower()
    assert shown.status_code == 200


@pytest.mark.parametrize("key", ["", "cl_wrong", "cl_000000000000_" + "x" * 43, "\0", "é" * 100])
async def test_a_wrong_key_is_refused_kindly(reports: Stage, key: str) -> None:
    """It says what may be the matter, sets nothing and repeats nothing of what was typed."""
    response = await reports.client.post("/session", data={"key": key})

    assert response.status_code == 403
    assert "This key opens no reports." in words(response.text)
    assert 'aria-invalid="true"' in response.text
    assert "Set-Cookie" not in response.headers
    assert not key or key not in response.text


@pytest.mark.parametrize("body", [b"key=a&key=b", b"\xff\xfe"])
async def test_a_form_that_cannot_be_read_signs_nobody_in(reports: Stage, body: bytes) -> None:
    """Whatever is sent, the answer is a page and no crash."""
    response = await reports.client.post(
        "/session", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert response.status_code in {400, 403}
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("address", "site"), [("/session", "cross-site"), ("/sign-out", "cross-site"), ("/sign-out", "same-site")]
)
async def test_no_other_site_can_sign_somebody_in_or_out(reports: Stage, address: str, site: str) -> None:
    """Else it could show a visitor reports of its own choosing. Source: Fetch Metadata, Sec-Fetch-Site."""
    await reports.hears(an_account())
    key = await a_key(reports)

    response = await reports.client.post(address, data={"key": key}, headers={"Sec-Fetch-Site": site})

    assert response.status_code == 403
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("site", ["same-origin", "same-site"])
async def test_our_own_form_and_the_help_desks_sign_in(reports: Stage, site: str) -> None:
    """A help desk on another host or port of the same site opens its reports with one click."""
    await reports.hears(an_account())

    assert (await sign_in(reports, **{"Sec-Fetch-Site": site})).status_code == 303


async def test_signing_out_forgets_the_key(reports: Stage) -> None:
    """The next person at this screen sees nothing."""
    await reports.hears(an_account())
    await sign_in(reports)

    response = await reports.client.post("/sign-out")

    assert (response.status_code, response.headers["Location"]) == (303, "/sign-in")
    assert 'closeloop_reports=""' in response.headers["Set-Cookie"]
    assert "Max-Age=0" in response.headers["Set-Cookie"]


async def test_a_link_cannot_sign_out(reports: Stage) -> None:
    """GET changes nothing."""
    assert (await reports.client.get("/sign-out")).status_code == 405


async def test_revoking_a_key_ends_who_signed_in_with_it(reports: Stage) -> None:
    """From the next page on."""
    await reports.hears(an_account())
    await sign_in(reports)
    async with reports.service.sessions.begin() as session:
        row = await session.get_one(ApiKey, (await reports.row(ApiKey)).key_id)
        row.revoked_at = reports.clock()

    assert (await reports.client.get("/csat")).headers["Location"] == "/sign-in"


async def test_the_page_shows_the_figures_of_the_last_30_days(reports: Stage) -> None:
    """Average, CSAT with its interval and n, response rate, distribution, agents and comments."""
    await reports.hears(
        an_account(),
        *(answered(f"s-{number}", score) for number, score in enumerate([5, 5, 4, 4, 4, 2])),
        answered("b", 5, agent=BEN, comment="Lovely, thank you."),
        answered("nobody", 3, agent=None),
        created(a_survey("open")),
        created(a_survey("open-too")),
    )
    await sign_in(reports)

    text = await page(reports)

    assert "1 February – 2 March 2026" in text
    assert (
        "Average score 4.00 of 5 Too few to compare with the days before. From 8 responses. 95% interval 3.11–4.89."
        in text
    )
    assert (
        "CSAT 75% Too few to compare with the days before. 6 of 8 responses gave 4 or 5. 95% interval 41–93%." in text
    )
    assert "Response rate 80% so far Too few to compare" in text
    assert "8 answers to 10 surveys sent in these days; 2 still open." in text
    assert "5 ★ 38% 3 4 ★ 38% 3 3 ★ 12% 1 2 ★ 12% 1 1 ★ 0% 0" in text
    assert "Ada Okafor 4.00 83% 44–97% 2 × 5, 3 × 4, 1 × 2 6 Ben Suzuki 5.00 too few to rank 1 × 5 1 Nobody’s" in text
    assert "By priority Satisfaction by priority Priority CSAT Responses Normal 75% 41–93% 8" in text
    assert "By channel Satisfaction by channel Channel CSAT Responses Email 75% 41–93% 8" in text
    assert (
        "5 of 5 stars Lovely, thank you. Rita Gómez on “ Tent pole broke ” ( T-b ), Ben Suzuki · Normal · Email ·"
        in text
    )


async def test_surveys_that_count_neither_way_are_told_beside_the_response_rate(reports: Stage) -> None:
    """Nobody wonders where they went: so many were withdrawn, so many never arrived."""
    ended = [a_survey(name) for name in ("bounced", "undone", "undone-too")]
    await reports.hears(
        an_account(),
        answered("s", 4),
        expired(ended[0], "undeliverable"),
        *(expired(survey, "reopened") for survey in ended[1:]),
    )
    await sign_in(reports)

    text = await page(reports)

    assert (
        "Response rate 100% Too few to compare with the days before. 1 answer to 1 survey sent in these days." in text
    )
    assert "3 not counted 2 withdrawn, as the ticket was reopened 1 undeliverable" in text
    assert "not asked" not in text


async def test_who_was_not_asked_is_told_beside_the_response_rate(reports: Stage) -> None:
    """By reason, every reason by a name of its own."""
    reasons = get_args(Reason)
    await reports.hears(
        an_account(),
        answered("s", 4),
        *(skipped(reason, ticket=a_ticket(ticket_id=f"T-{reason}", version=3)) for reason in reasons),
    )
    await sign_in(reports)

    text = await page(reports)

    assert "7 not asked 1 not asked: while surveys were off 1 not asked: without an address" in text
    assert "1 not asked: before any agent had replied" in text
    assert set(NOT_ASKED) == set(reasons)


async def test_every_period_of_the_chart_is_in_a_table_too(reports: Stage) -> None:
    """Who cannot see the picture, or wants the numbers, loses nothing."""
    await reports.hears(an_account(), answered("s", 4))
    await sign_in(reports)

    markup = await html(reports, "/csat?preset=last_7_days")

    assert markup.count('<g class="mark">') == 7
    assert "2 March 2026 4.00 100% 21–100% 1" in words(markup)
    assert "1 March 2026 – – – 0" in words(markup)


async def test_an_account_that_never_asked_anybody_is_told_what_to_expect(reports: Stage) -> None:
    """Not a page of zeros."""
    await reports.hears(an_account())
    await sign_in(reports)

    text = await page(reports)

    assert "No surveys yet" in text
    assert "Average score" not in text


async def test_days_without_responses_say_so(reports: Stage) -> None:
    """And name a way to some."""
    await reports.hears(an_account(), created(), answered("old", 5, at=NOON - timedelta(days=60)))
    await sign_in(reports)

    text = await page(reports)

    assert "No responses in these days" in text
    assert "A longer range may have some: last 90 days ." in text
    filtered = await page(reports, "/csat?preset=last_90_days&priority=urgent")
    assert "No responses fit these filters in these days" in filtered
    assert "Remove the filters to see whether there are others. A longer range may have some: last year ." in filtered
    assert "0 answers to 1 survey sent in these days; 1 still open." in text
    assert "Average score – No responses." in text


async def test_few_responses_come_with_a_warning(reports: Stage) -> None:
    """100% from one answer is no success yet."""
    await reports.hears(an_account(), answered("s", 5))
    await sign_in(reports)

    assert "1 of 1 response gave 4 or 5. 95% interval 21–100%. Too few to tell much." in await page(reports)


async def test_the_last_day_somebody_picks_is_in(reports: Stage) -> None:
    """People say up to and with the 11th."""
    days = {day: datetime(2026, 2, day, 12, tzinfo=UTC) for day in (9, 10, 11, 12)}
    await reports.hears(an_account(), *(answered(f"s-{day}", 5, at=at) for day, at in days.items()))
    await sign_in(reports)

    markup = await html(reports, "/csat?first=2026-02-10&last=2026-02-11")

    assert "10–11 February 2026" in words(markup)
    assert "From 2 responses" in words(markup)
    assert 'name="first" value="2026-02-10"' in markup
    assert 'name="last" value="2026-02-11"' in markup


@pytest.mark.parametrize(
    ("query", "range_"),
    [
        ("", "1 February – 2 March 2026"),
        ("?preset=last_7_days", "24 February – 2 March 2026"),
        ("?preset=last_90_days", "3 December 2025 – 2 March 2026"),
        ("?preset=this_month", "1–2 March 2026"),
        ("?first=2026-02-27", "27 February – 2 March 2026"),
        ("?last=2026-01-30", "1–30 January 2026"),
        ("?first=&last=", "1 February – 2 March 2026"),
    ],
)
async def test_the_days_can_be_chosen(reports: Stage, query: str, range_: str) -> None:
    """By a period, which the page marks as chosen, or by first and last day."""
    await reports.hears(an_account())
    await sign_in(reports)

    markup = await html(reports, f"/csat{query}")

    assert range_ in words(markup)
    assert markup.count('aria-current="true"') == (0 if "-" in query else 1)


@pytest.mark.parametrize(
    "query",
    [
        "first=2026-02-03&last=2026-02-01",
        "first=yesterday",
        "first=2026-02-30",
        "last=9999-12-31",
        "first=0001-01-01",
        "first=2019-01-01&last=2026-01-01",
        "first=2027-01-01",
    ],
)
async def test_days_that_make_no_range_are_explained_beside_the_last_30(reports: Stage, query: str) -> None:
    """A slip of the finger is no error page."""
    await reports.hears(an_account())
    await sign_in(reports)

    markup = await html(reports, f"/csat?{query}", status=400)

    assert 'role="alert"' in markup
    assert "Here are the last 30 days." in words(markup)
    assert "1 February – 2 March 2026" in words(markup)


async def test_an_agents_name_leads_to_that_agents_figures(reports: Stage) -> None:
    """With the same days, by the newest name, also for days in which there is nothing to show."""
    odd = Agent(agent_id="ben&co=1", name="Ben & Co", email="ben@desk.example")
    await reports.hears(an_account(), *(answered(f"a-{number}", 1) for number in range(5)), answered("b", 5, agent=odd))
    await sign_in(reports)

    (address,) = [
        unescape(found) for found in re.findall(r'href="(/csat\?agent=[^"]+)"', await html(reports)) if "ben" in found
    ]
    text = await page(reports, address)
    other_days = await page(reports, "/csat?first=2026-02-01&last=2026-02-02&agent=ben%26co%3D1")

    assert "Agent Ben & Co ×" in text
    assert "From 1 response" in text
    assert "Agents Credited Assignee Last to reply Satisfaction by agent" in text
    assert "Ada Okafor 1.00 0% 0–43%" in text, "stands beside the one who is looked at"
    assert "No responses fit these filters in these days" in other_days
    assert "Agent Ben & Co ×" in other_days


@pytest.mark.parametrize("agent", ["", "%00", "x" * 200])
async def test_an_agent_that_cannot_be_is_nobody_in_particular(reports: Stage, agent: str) -> None:
    """A mangled address shows everybody, and says so."""
    await reports.hears(an_account(), answered("s", 5))
    await sign_in(reports)

    text = await page(reports, f"/csat?agent={agent}", status=400 if agent else 200)

    assert ("The address names an impossible agent, which is left out." in text) == bool(agent)
    assert "From 1 response." in text


async def test_an_account_sees_nothing_of_another(reports: Stage) -> None:
    """A sign-in shows the account of its key, and no address changes that."""
    await reports.hears(an_account(), an_account(account_id="bolt", name="Bolt Cycles"))
    await reports.hears(*(answered(f"s-{number}", 5, comment="secret") for number in range(6)))
    await sign_in(reports, "bolt")

    for address, status in {
        "/csat": 200,
        "/csat?agent=ada": 200,
        "/csat?account_id=acme": 400,
        "/csat?preset=last_90_days": 200,
    }.items():
        text = await page(reports, address, status=status)
        assert "Bolt Cycles" in text
        assert not re.search("secret|Acme|Rita|Okafor", text)


async def test_what_people_wrote_is_shown_as_they_wrote_it(reports: Stage) -> None:
    """Markup in a comment, a name or a subject is text."""
    evil = "<script>alert(1)</script>"
    agent = Agent(agent_id='"><b>', name=f"Ada {evil}", email="ada@desk.example")
    await reports.hears(
        an_account(name=f"Acme {evil}"),
        answered("s", 1, comment=f"Hi {evil}\n& bye", agent=agent, subject=evil, requester_name=f"Rita {evil}"),
    )
    await sign_in(reports)

    markup = await html(reports)

    assert "<script>" not in markup
    assert '"><b>' not in markup
    assert f"Hi {evil} & bye" in words(markup)


async def test_pages_need_no_inline_script_or_style_and_nobody_elses_server(reports: Stage) -> None:
    """The pages' policy would block all three. The one script of ours adds news to a page that works without."""
    await reports.hears(
        an_account(logo=Logo(media_type="image/png", data=DOT)), *(answered(f"s-{number}", 4) for number in range(6))
    )
    shown = [await html(reports, "/sign-in"), await html(reports, "/nothing", status=404)]
    await sign_in(reports)
    shown.append(await html(reports))

    ours = r'<script type="module" src="/static/dashboard\.js\?v=\w+" data-live="/static/live\.js\?v=\w+"></script>'
    to_a_ticket = r'<a href="https://desk\.example/[^"]+">'
    for markup in (re.sub(f"{ours}|{to_a_ticket}", "", each) for each in shown):
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?:|(?:src|href)=\"//", markup)
        for address in re.findall(r'(?:src|href)="([^"#]+)"', markup):
            found = await reports.client.get(unescape(address))
            assert found.status_code in {200, 303}, address
    assert "/logo" in shown[-1]
    policy = (await reports.client.get("/csat")).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


async def test_tables_and_pictures_can_be_read_aloud(reports: Stage) -> None:
    """Every table has a caption and headers with a scope, every drawing is named or out of the way."""
    await reports.hears(an_account(), *(answered(f"s-{number}", 4, comment="Good.") for number in range(6)))
    await sign_in(reports)

    markup = await html(reports)

    assert markup.count("<table") == markup.count("<caption") == 5
    assert all("scope=" in header for header in re.findall(r"<th\b[^>]*>", markup))
    outer = re.findall(r"<svg\b[^>]*class=[^>]*>", markup)
    assert outer
    assert all('aria-hidden="true"' in drawing or 'role="img"' in drawing for drawing in outer)
    for reference in re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', markup):
        assert all(f'id="{name}"' in markup for name in reference.split())


async def test_an_unknown_address_is_explained(reports: Stage) -> None:
    """With a way back."""
    text = await page(reports, "/nothing", status=404)

    assert "There is nothing here" in text
    assert "Go to the reports" in text


@pytest.mark.parametrize(
    ("failure", "status", "says"),
    [
        (OperationalError("SELECT secret", {}, OSError("gone")), 503, "The reports will be right back"),
        (RuntimeError("secret"), 500, "Something went wrong on our side"),
    ],
)
async def test_our_own_failures_are_told_kindly_and_give_nothing_away(
    reports: Stage, monkeypatch: pytest.MonkeyPatch, failure: Exception, status: int, says: str
) -> None:
    """A page in the reports' own dress, and no detail."""

    async def fail(*_: object) -> None:
        raise failure

    await reports.hears(an_account())
    await sign_in(reports)
    monkeypatch.setattr(figures, "totals", fail)

    text = await page(reports, status=status)

    assert says in text
    assert "secret" not in text


async def test_figures_are_compared_with_the_days_before(reports: Stage) -> None:
    """By an arrow, the difference and whether it is more than noise; nothing is told from too few."""
    before = NOON - timedelta(days=31)
    await reports.hears(
        an_account(),
        *(answered(f"old-{number}", 1 + number % 2, at=before) for number in range(30)),
        *(answered(f"new-{number}", 4 + number % 2) for number in range(30)),
    )
    await sign_in(reports)

    markup = await html(reports)

    assert "compared with 2–31 January 2026" in words(markup)
    assert "Average score 4.50 of 5 ↑ Up by 3.00 from 1.50, more than noise" in words(markup)
    assert "CSAT 100% ↑ Up by 100 points from 0%, more than noise" in words(markup)
    assert "Response rate 100% The same as in the days before." in words(markup)
    assert markup.count('class="change up"') == 2
    by_day = words(await html(reports, "/csat?preset=today"))
    assert "Too few to compare with the days before." in by_day


async def test_a_difference_is_that_of_the_figures_that_are_shown(reports: Stage) -> None:
    """Who subtracts in their head comes to what stands there: 4.33 less 4.17 is 0.16, though it is 0.17 exactly."""
    before = NOON - timedelta(days=31)
    await reports.hears(
        an_account(),
        *(answered(f"old-{number}", score, at=before) for number, score in enumerate([5, 4, 4, 4, 4, 4])),
        *(answered(f"new-{number}", score) for number, score in enumerate([5, 5, 4, 4, 4, 4])),
    )
    await sign_in(reports)

    assert "Average score 4.33 of 5 ↑ Up by 0.16 from 4.17, no more than noise" in await page(reports)


async def test_where_all_agree_now_and_before_nothing_has_changed(reports: Stage) -> None:
    """There are enough of them: only the interval cannot be told."""
    before = NOON - timedelta(days=31)
    await reports.hears(
        an_account(),
        *(answered(f"old-{number}", 5, at=before) for number in range(6)),
        *(answered(f"new-{number}", 5) for number in range(6)),
    )
    await sign_in(reports)

    assert "Average score 5.00 of 5 The same as in the days before." in await page(reports)


async def test_a_response_rate_is_no_alarm_while_surveys_are_open(reports: Stage) -> None:
    """Half of the latest surveys were not answered yet: that is no fall from three quarters."""
    before = NOON - timedelta(days=31)
    await reports.hears(
        an_account(),
        *(answered(f"old-{number}", 5, at=before) for number in range(30)),
        *(expired(a_survey(f"never-{number}", created_at=before), "unanswered") for number in range(10)),
        *(answered(f"new-{number}", 5) for number in range(20)),
        *(created(a_survey(f"open-{number}")) for number in range(20)),
    )
    await sign_in(reports)

    text = await page(reports)

    assert "Response rate 50% so far ↓ Down by 25 points from 75%, too early to tell" in text


async def test_a_bar_counts_all_responses_whichever_are_listed(reports: Stage) -> None:
    """Its number is the list it leads to, also from a page that lists a few."""
    await reports.hears(
        an_account(),
        *(answered(f"silent-{number}", 1) for number in range(3)),
        answered("said", 1, comment="Slow."),
        answered("happy", 5),
    )
    await sign_in(reports)

    listed = await html(reports, "/csat?commented=yes&q=slow&score=1")
    addresses = dict(re.findall(r'<a class="row" href="([^"]+)"[^>]*>(\w+)', listed))
    counts = {
        name: (await html(reports, unescape(to).partition("#")[0])).count('<li id="resp')
        for to, name in addresses.items()
    }

    assert listed.count('<li id="response-') == 1
    assert counts == {"5": 1, "1": 4, "Ada": 5, "Normal": 5, "Email": 5}


async def test_it_is_told_what_is_listed(reports: Stage) -> None:
    """How many where that is known, of which days, of whom, and what else they were picked by."""
    await reports.hears(an_account(), *(answered(f"s-{number}", 5 if number else 1) for number in range(4)))
    await sign_in(reports)

    assert "4 responses, 1 February – 2 March 2026 " in await page(reports)
    ones = await page(reports, "/csat?score=1&agent=ada&first=2026-03-01&last=2026-03-02")
    assert "1 response, 1–2 March 2026, Ada Okafor Score 1 ×" in ones
    assert "Days 1–2 March 2026 × Agent Ada Okafor × Remove all" in ones
    assert "Export Only those that are listed: score 1 CSV" in ones
    assert "Search 1 February – 2 March 2026 Only with a comment ×" in await page(reports, "/csat?commented=yes")


async def test_the_trend_is_of_csat_when_asked(reports: Stage) -> None:
    """From 0 to 100 percent; dots of too few are hollow, and what they are is told with the interval."""
    await reports.hears(
        an_account(),
        *(answered(f"s-{number}", 5 if number else 1) for number in range(6)),
        answered("few", 3, at=NOON - timedelta(days=1)),
    )
    await sign_in(reports)

    average, csat = await html(reports), await html(reports, "/csat?of=csat")

    assert "2 March 2026: 4.33 (2.62–5.00) from 6 responses" in words(average)
    assert "CSAT by day Average CSAT" in words(csat)
    assert "2 March 2026: 83% (44–97%) from 6 responses" in words(csat)
    assert csat.count('class="dot few"') == average.count('class="dot few"') == 1
    assert ">75%</text>" in csat


async def test_every_preset_is_on_the_page(reports: Stage) -> None:
    """Last month is what is asked for most; the menu says so when it is chosen."""
    await reports.hears(an_account(), answered("s", 5))
    await sign_in(reports)

    markup = await html(reports, "/csat?preset=last_month")

    assert all(f"preset={preset}" in markup for preset in PRESETS if preset != DEFAULT)
    assert "<summary>Last month</summary>" in markup
    assert 'aria-current="true">Last month</a>' in markup


async def test_whose_a_response_is_follows_the_attribution(reports: Stage) -> None:
    """By who replied last, the list names them, the filter is told and can be taken away."""
    await reports.hears(an_account(), submitted(a_survey("s", agent=ADA, assignee=ADA, last_replier=BEN), 2))
    await sign_in(reports)

    text = await page(reports, "/csat?attribution=last_replier")

    assert "Agents Last to reply ×" in text
    assert "Ben Suzuki · Normal" in text
    assert "A response counts for who replied last alone" in text


async def test_a_page_that_is_looked_at_signs_nobody_out(reports: Stage) -> None:
    """A wall is looked at for longer than a month."""
    await reports.hears(an_account())
    await sign_in(reports)

    renewed = (await reports.client.get("/csat", headers={"Sec-Fetch-Mode": "navigate"})).headers["Set-Cookie"]
    by_script = await reports.client.get("/csat", headers={"Sec-Fetch-Mode": "cors"})

    assert "closeloop_reports=cl_" in renewed
    assert f"Max-Age={30 * 24 * 3600}" in renewed
    assert "Set-Cookie" not in by_script.headers, "it could come behind a sign-out"


async def test_words_that_are_no_longer_kept_leave_a_sentence(reports: Stage) -> None:
    """After an erasure, or when their time is over: not an empty quotation."""
    await reports.hears(an_account(), answered("s", 2, comment="Mine", subject="Mine"))
    async with reports.service.sessions.begin() as session:
        await session.execute(update(Rating).values(NO_WORDS))
    await sign_in(reports)

    assert "2 of 5 stars Somebody whose name is no longer kept ( T-s ), Ada Okafor" in await page(reports)


@pytest.mark.parametrize(
    ("address", "mistake"),
    [
        ("/csat?from=2026-01-01", "The address names an unknown from, which is left out."),
        ("/csat?priority=urgent&priority=high", "The address names more than one priority; the others are left out."),
    ],
)
async def test_nothing_in_an_address_is_passed_over_in_silence(reports: Stage, address: str, mistake: str) -> None:
    """The API has other names, and takes several; a file of more than was meant would mislead."""
    await reports.hears(an_account(), answered("s", 5))
    await sign_in(reports)

    assert mistake in await page(reports, address, status=400)
    file = await reports.client.get(address.replace("/csat", "/csat/responses.csv"))
    assert file.status_code == 400


async def test_every_bar_and_row_leads_to_its_responses(reports: Stage) -> None:
    """Scores, priorities, channels, reasons, agents, and each part of the trend: the figure there is the one here."""
    slow = ReasonGiven(code="too_slow", text="Too slow")
    await reports.hears(
        an_account(),
        *(answered(f"a-{number}", 5, priority="high", channel="chat") for number in range(6)),
        submitted(a_survey("b", agent=BEN), 1, reason=slow, comment="Weeks."),
        answered("c", 4, at=NOON - timedelta(days=3)),
    )
    await sign_in(reports)

    rows = re.findall(r'<a class="row" href="([^"]+)"[^>]*>(.*?)</a>', await html(reports))
    marks = re.findall(r'<a href="([^"]+)#responses" tabindex="-1">', await html(reports))

    found = {}
    for address, name in rows:
        markup = await html(reports, unescape(address).partition("#")[0])
        found[words(f"<body>{name}").strip(" ★")] = markup.count('<li id="response-')
    assert found == {
        "5": 6, "4": 1, "1": 1, "Ada Okafor": 7, "Ben Suzuki": 1,
        "High": 6, "Normal": 2, "Chat": 6, "Email": 2, "Too slow": 1,
    }  # fmt: skip
    assert [(await html(reports, unescape(mark))).count('<li id="response-') for mark in marks] == [1, 7]


async def test_agents_are_sorted_by_links(reports: Stage) -> None:
    """Best CSAT first; a header sorts by its column, once more the other way round. Too few stay behind."""
    eve = Agent(agent_id="eve", name="Eve", email="eve@desk.example")
    await reports.hears(
        an_account(),
        *(answered(f"a-{number}", 5 if number else 1) for number in range(6)),
        *(answered(f"b-{number}", 4, agent=BEN) for number in range(7)),
        answered("e", 5, agent=eve),
    )
    await sign_in(reports)

    async def order(sort: str) -> list[str]:
        agents = (await html(reports, f"/csat{sort}")).partition('class="agents')[2].partition("</table>")[0]
        return re.findall(r'dir="auto">(\w+)', agents)

    assert await order("") == ["Ben", "Ada", "Eve"]
    assert await order("?sort=-csat") == ["Ada", "Ben", "Eve"]
    assert await order("?sort=average") == ["Ada", "Ben", "Eve"]
    assert await order("?sort=-average") == ["Ben", "Ada", "Eve"]
    assert await order("?sort=responses") == ["Ben", "Ada", "Eve"]
    assert await order("?sort=-responses") == ["Eve", "Ada", "Ben"]
    assert await order("?sort=name") == ["Ada", "Ben", "Eve"]
    assert await order("?sort=-name") == ["Eve", "Ben", "Ada"]
    markup = await html(reports, "/csat?sort=average")
    assert '<th scope="col" class="number" aria-sort="descending"><a href="/csat?sort=-average#agents">' in markup
    assert markup.count("aria-sort") == 1


async def test_of_many_agents_the_first_are_shown(reports: Stage) -> None:
    """All of them with one click, and back."""
    agents = [Agent(agent_id=f"a-{number}", name=f"Agent {number}", email="a@desk.example") for number in range(20)]
    await reports.hears(an_account(), *(answered(f"s-{agent.agent_id}", 5, agent=agent) for agent in agents))
    await sign_in(reports)

    first, everybody = await html(reports), await html(reports, "/csat?agents=all")

    assert "Show all 20 agents" in words(first)
    assert first.count('class="unranked"') == 12
    assert everybody.count('class="unranked"') == 20
    assert "Show the first 12" in words(everybody)


async def test_filters_are_shown_as_chips_that_can_be_removed(reports: Stage) -> None:
    """Each by itself, and all at once."""
    await reports.hears(an_account(), answered("s-1", 2, priority="high", channel="web_form", comment="Why?"))
    await sign_in(reports)

    markup = await html(reports, "/csat?agent=ada&priority=high&channel=web_form&score=2&q=why")

    assert "Agent Ada Okafor × Priority High × Channel Web form × Remove all" in words(markup)
    assert "Score 2 × Text why ×" in words(markup)
    removed = re.findall(r'<a href="([^"]+)" aria-label="Remove the filter (\w+)', markup)
    assert {(name, unescape(address)) for address, name in removed} == {
        ("Agent", "/csat?priority=high&channel=web_form&score=2&q=why"),
        ("Priority", "/csat?agent=ada&channel=web_form&score=2&q=why"),
        ("Channel", "/csat?agent=ada&priority=high&score=2&q=why"),
        ("Score", "/csat?agent=ada&priority=high&channel=web_form&q=why#responses"),
        ("Text", "/csat?agent=ada&priority=high&channel=web_form&score=2#responses"),
    }


async def test_responses_can_be_searched_and_turned_over(reports: Stage) -> None:
    """By score, by text, those with a comment alone; a page at a time, each response once."""
    await reports.hears(
        an_account(),
        *(
            answered(f"s-{number:02}", number % 5 + 1, comment="Pegs" * (number % 2), at=NOON - timedelta(hours=number))
            for number in range(30)
        ),
    )
    await sign_in(reports)

    async def listed(address: str) -> list[str]:
        return re.findall(r'<li id="response-([^"]+)"', await html(reports, address))

    pages, address = [], "/csat?commented=yes"
    while True:
        pages += await listed(address)
        older = re.search(r'href="([^"]+)#responses">Older', await html(reports, address))
        if older is None:
            break
        address = unescape(older[1])
    assert pages == [f"s-{number:02}" for number in range(1, 30, 2)]
    assert "Newest" in await html(reports, address)
    assert await listed("/csat?score=1&score=2&q=pEGS") == ["s-01", "s-05", "s-11", "s-15", "s-21", "s-25"]
    assert "None of the responses fits." in await page(reports, "/csat?q=%25")
    assert await listed("/csat?after=nobody") == await listed("/csat")


async def test_a_view_is_exported_as_it_is_filtered(reports: Stage) -> None:
    """As CSV, for Excel and as Parquet; not at all when the address is not understood."""
    await reports.hears(an_account(), answered("s-1", 5), answered("s-2", 1, comment="No."), answered("s-3", 1))
    await sign_in(reports)
    markup = await html(reports, "/csat?score=1&sort=name")
    links = [unescape(link) for link in re.findall(r'href="([^"]+)" download', markup)]
    assert links == [
        "/csat/responses.csv?sort=name&score=1",
        "/csat/responses.csv?sort=name&score=1&excel=yes",
        "/csat/responses.parquet?sort=name&score=1",
    ]

    plain, excel, parquet = [await reports.client.get(link) for link in links]
    mistaken = await reports.client.get("/csat/responses.csv?score=9")

    assert plain.headers["Content-Disposition"].startswith("attachment;")
    assert [row.split(",")[0] for row in plain.text.splitlines()[1:]] == ['"s-3"', '"s-2"']
    assert excel.content == b"\xef\xbb\xbf" + plain.content
    assert parquet.content[:4] == b"PAR1"
    assert mistaken.status_code == 400
    assert "s-1" not in mistaken.text


async def test_a_key_for_one_agent_shows_that_agent_alone(reports: Stage) -> None:
    """Page, export and whatever the address says."""
    await reports.hears(
        an_account(), answered("a", 5, comment="Mine."), answered("b", 1, agent=BEN, comment="Somebody else's.")
    )
    key = await a_key(reports, agent_id="ada")
    reports.client.cookies.set("closeloop_reports", key)

    for address in ("/csat", "/csat?agent=ben", "/csat?agent=", "/csat?attribution=last_replier&agent=ben"):
        text = await page(reports, address)
        assert "Tickets of" in text
        assert not re.search("Suzuki|Somebody else", text)
    assert "Somebody" not in (await reports.client.get("/csat/responses.csv?agent=ben")).text


async def test_a_key_for_figures_shows_no_responses(reports: Stage) -> None:
    """Not on the page and not as a file; one for responses alone opens no page."""
    await reports.hears(an_account(), answered("a", 5, comment="Private."))
    reports.client.cookies.set("closeloop_reports", await a_key(reports, scopes=["figures"]))
    markup = await html(reports)
    files = [await reports.client.get(f"/csat/responses.{kind}") for kind in ("csv", "parquet")]
    reports.client.cookies.set("closeloop_reports", await a_key(reports, scopes=["responses"]))

    assert "From 1 response" in words(markup)
    assert "Private" not in markup
    assert "Export" not in words(markup)
    assert [file.status_code for file in files] == [404, 404]
    assert (await reports.client.get("/csat")).status_code == 303


async def test_whoever_is_signed_in_hears_of_changes(reports: Stage) -> None:
    """On stage nobody listens, so they are asked to come again; nobody else is told anything."""
    await reports.hears(an_account())
    stranger = await reports.client.get("/csat/live")
    await sign_in(reports)
    refused = await reports.client.get("/csat/live")

    assert stranger.status_code == 303
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")


_NAMES = (
    "preset",
    "first",
    "last",
    "by",
    "sort",
    "agents",
    "agent",
    "priority",
    "channel",
    "attribution",
    "score",
    "q",
)
_ODD = (
    "",
    "9999-12-31",
    "20260302",
    "2026-W10-1",
    "٢٠٢٦-٠٣-٠٢",
    "-csat",
    "--csat",
    "all",
    "٣",
    "%",
    "\\",
    "'",
    "\ud800",
)
_values = st.text(max_size=30) | st.sampled_from(_ODD)


@given(
    st.lists(st.tuples(st.sampled_from((*_NAMES, "reason", "commented", "after", "excel", "x")), _values), max_size=5)
)
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
async def test_whatever_the_address_says_the_answer_is_a_page(
    reports_stage: Stage, parameters: list[tuple[str, str]]
) -> None:
    """Fuzzing: what makes sense is shown, and what makes none is told."""
    await reports_stage.clear()
    await reports_stage.hears(an_account(), answered("s", 1, comment="Hm."))
    await sign_in(reports_stage)
    query = urlencode(parameters, errors="surrogatepass")

    response = await reports_stage.client.get(f"/csat?{query}")

    assert response.status_code in {200, 400}, query
    assert "Acme Outdoor" in response.text
