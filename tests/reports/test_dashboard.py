"""The pages, as a browser without scripts gets them."""

import base64
import re
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from services.reports import app, figures
from services.reports.settings import Settings
from services.reports.tables import ApiKey
from shared.contracts import Agent, Logo
from tests.builders import BEN, NOON, an_account
from tests.reports.told import a_key, a_survey, answered, created, expired
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
    await service.engine.dispose()

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
    assert "Average score 4.00 of 5 from 8 responses" in text
    assert "CSAT 75% 6 of 8 responses gave 4 or 5. 95% interval 41–93%." in text
    assert "Response rate 80% 8 answers to 10 surveys sent in these days; 2 still open." in text
    assert "5 ★ 38% 3 4 ★ 38% 3 3 ★ 12% 1 2 ★ 12% 1 1 ★ 0% 0" in text
    assert "Ada Okafor 4.00 83% 44–97% 6 Ben Suzuki 5.00 too few to rank 1 Nobody’s tickets" in text
    assert "5 of 5 stars Lovely, thank you. Rita Gómez on “Tent pole broke” (T-b), Ben Suzuki" in text


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

    assert "Response rate 100% 1 answer to 1 survey sent in these days." in text
    assert "Not counted: 2 withdrawn (reopened), 1 undeliverable." in text


async def test_every_period_of_the_chart_is_in_a_table_too(reports: Stage) -> None:
    """Who cannot see the picture, or wants the numbers, loses nothing."""
    await reports.hears(an_account(), answered("s", 4))
    await sign_in(reports)

    markup = await html(reports, "/csat?period=7")

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
    assert "the last 90 days" in text
    assert "0 answers to 1 survey sent in these days; 1 still open." in text
    assert "Average score – no responses" in text


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
    assert "from 2 responses" in words(markup)
    assert 'name="first" value="2026-02-10"' in markup
    assert 'name="last" value="2026-02-11"' in markup


@pytest.mark.parametrize(
    ("query", "range_"),
    [
        ("", "1 February – 2 March 2026"),
        ("?period=7", "24 February – 2 March 2026"),
        ("?period=90", "3 December 2025 – 2 March 2026"),
        ("?period=month", "1–2 March 2026"),
        ("?period=nonsense", "1 February – 2 March 2026"),
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
        unescape(found)
        for found in re.findall(r'href="(/csat\?first=[^"]+agent=[^"]+)"', await html(reports))
        if "ben" in found
    ]
    text = await page(reports, address)
    other_days = await page(reports, "/csat?first=2026-02-01&last=2026-02-02&agent=ben%26co%3D1")

    assert "Only tickets of Ben & Co" in text
    assert "from 1 response" in text
    assert "Ada Okafor" not in text
    assert "Nobody rated a ticket of Ben & Co then." in other_days


@pytest.mark.parametrize("agent", ["", "%00", "x" * 200])
async def test_an_agent_that_cannot_be_is_nobody_in_particular(reports: Stage, agent: str) -> None:
    """A mangled address shows everybody."""
    await reports.hears(an_account(), answered("s", 5))
    await sign_in(reports)

    assert "Only tickets of" not in await page(reports, f"/csat?agent={agent}")


async def test_an_account_sees_nothing_of_another(reports: Stage) -> None:
    """A sign-in shows the account of its key, and no address changes that."""
    await reports.hears(an_account(), an_account(account_id="bolt", name="Bolt Cycles"))
    await reports.hears(*(answered(f"s-{number}", 5, comment="secret") for number in range(6)))
    await sign_in(reports, "bolt")

    for address in ("/csat", "/csat?agent=ada", "/csat?account_id=acme", "/csat?period=90"):
        text = await page(reports, address)
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

    assert "<script" not in markup
    assert '"><b>' not in markup
    assert f"Hi {evil} & bye" in words(markup)


async def test_pages_need_no_script_no_inline_style_and_nobody_elses_server(reports: Stage) -> None:
    """The pages' policy would block all three."""
    await reports.hears(
        an_account(logo=Logo(media_type="image/png", data=DOT)), *(answered(f"s-{number}", 4) for number in range(6))
    )
    shown = [await html(reports, "/sign-in"), await html(reports, "/nothing", status=404)]
    await sign_in(reports)
    shown.append(await html(reports))

    for markup in shown:
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

    assert markup.count("<table") == markup.count("<caption") == 3
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
