"""Floods: too many requests, from many addresses that are one, over several replicas (S22, S23)."""

import asyncio
import re
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from services.portal import app
from services.portal.tables import RateLimitBucket
from services.portal.ticket import Message
from shared.public_pages import rate_limits
from shared.public_pages.client_address import client_network
from shared.public_pages.rate_limits import ALL, CHALLENGES, SENDING, UNKNOWN_LINKS, Limits, Rate, TooMany
from tests.attacks.conftest import invited
from tests.attacks.visits import COSTLY, SERVICES, VISITS, Visit, named, routes_of
from tests.portal.conftest import mailed, reply
from tests.stage import Stage

DOCUMENT = Path(__file__).parents[2] / "docs/rate-limits.md"
HERE = "127.0.0.1/32"
FEW = Limits(asked="tests", address=Rate(5, timedelta(seconds=10)))


@asynccontextmanager
async def replica(portal: Stage, **settings):
    """Another process of the portal on the same database, with other settings."""
    changed = type(portal.service.settings)(**{**portal.service.settings.model_dump(), **settings})
    service = app.create_service(changed, portal.clock)
    other = Stage(service, app.create_app(service), portal.clock)
    try:
        yield other
    finally:
        await other.close()


async def empties(stage: Stage, limits: Limits, by: str, whose: str, *, hours_ahead: int = 0) -> None:
    """As if somebody had asked as often as they may, just now or by a clock that is ahead."""
    rate = getattr(limits, by)
    at = stage.clock() + timedelta(hours=hours_ahead)
    empty = insert(RateLimitBucket).values(
        name=stage.service.provided["limiter"].bucket(limits, by, whose), full_at=at + rate.at_once * rate.every
    )
    async with stage.service.sessions.begin() as session:
        await session.execute(
            empty.on_conflict_do_update(index_elements=["name"], set_={"full_at": empty.excluded.full_at})
        )


async def everything_was_asked(stage: Stage) -> None:
    """As if this address had asked for everything as often as it may."""
    for limits in (limits for limits in ALL if limits.address):
        await empties(stage, limits, "address", HERE)


@pytest.mark.parametrize("service", SERVICES)
async def test_every_route_is_counted_or_says_why_not(stages: dict[str, Stage], service: str) -> None:
    """Unthrottled side doors: a new route is not served before somebody has decided what it costs."""
    decided = {(visit.method, visit.route) for visit in VISITS if visit.service == service}

    assert routes_of(stages[service]) == decided


@pytest.mark.parametrize("visit", COSTLY, ids=named)
async def test_a_costly_route_refuses_who_asks_too_often(
    stages: dict[str, Stage], pages: dict[str, str], visit: Visit
) -> None:
    """Floods: 429 with the time to wait, and served again after it."""
    stage, page = stages[visit.service], pages[visit.service]
    first = await visit(stage, page)
    assert first.status_code in {200, 303, 422}
    code = re.search(r"/captcha/([^/]+)/", str(first.url))
    await everything_was_asked(stage)

    path = str(first.url.path) if code else None
    refused = await (stage.client.get(path) if path else visit(stage, page))

    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    stage.later(days=1, minutes=1)
    if not code:  # a challenge to read has run out by then
        assert (await visit(stage, page)).status_code in {200, 303, 422}


@pytest.mark.parametrize("visit", [visit for visit in COSTLY if visit.costs.tenant], ids=named)
@pytest.mark.parametrize("by", ["address", "link", "tenant"])
async def test_each_of_address_link_and_tenant_has_its_own_bucket(
    stages: dict[str, Stage], pages: dict[str, str], visit: Visit, by: str
) -> None:
    """Floods from one address, by one link, of one tenant: each ends by itself."""
    stage, page = stages[visit.service], pages[visit.service]
    whose = {"address": HERE, "link": page.split("/")[2], "tenant": "acme"}[by]
    await empties(stage, visit.costs, by, whose)

    assert (await visit(stage, page)).status_code == 429


async def test_who_holds_one_link_does_not_use_up_its_tenants_share(portal: Stage) -> None:
    """Denial of service by proxy: what is refused by link is not counted for all others of the account."""
    path = await mailed(portal)
    for _ in range(SENDING.link.at_once + 20):
        await portal.client.post(path, data={"body": ""})
    limiter = portal.service.provided["limiter"]

    tenant = await portal.row(RateLimitBucket, name=limiter.bucket(SENDING, "tenant", "acme"))

    assert tenant.full_at == portal.clock() + SENDING.link.at_once * SENDING.tenant.every


async def test_a_refused_reply_stays_on_the_page(portal: Stage) -> None:
    """Floods: who shares an address with a robot gets the form again with the text in it, and can send it later."""
    path = await mailed(portal)
    await portal.client.post(path, data={"body": ""})
    await everything_was_asked(portal)

    refused = await reply_unlimited(portal, path, body="My <long> letter")

    assert refused.status_code == 429
    assert ">My &lt;long&gt; letter</textarea>" in refused.text
    assert "Please wait a minute, then send it again." in refused.text
    assert await portal.count(Message) == 1


async def test_a_refused_rating_stays_on_the_page(surveys: Stage) -> None:
    """Floods: stars and comment are still there."""
    path = await invited(surveys)
    await surveys.client.post(path, data={"score": ""})
    await everything_was_asked(surveys)

    refused = await surveys.client.post(path, data={"score": "4", "comment": "Quick & kind"})

    assert refused.status_code == 429
    assert 'value="4" checked' in refused.text
    assert "Quick &amp; kind</textarea>" in refused.text


async def reply_unlimited(portal: Stage, path: str, **fields: str) -> httpx.Response:
    """Send the form as it is."""
    return await portal.client.post(path, data=fields)


async def test_a_refused_challenge_is_told_as_json(portal: Stage) -> None:
    """Floods: the widget is a program; it falls back to the code to read."""
    path = await mailed(portal)
    await portal.client.get(f"{path}/challenge")
    await everything_was_asked(portal)

    refused = await portal.client.get(f"{path}/challenge")

    assert refused.headers["content-type"] == "application/json"
    assert refused.json() == {"detail": "Too many requests."}
    assert int(refused.headers["retry-after"]) >= 1


async def test_fifty_parallel_requests_on_two_replicas_are_counted_exactly(portal: Stage) -> None:
    """Check-then-act in a limiter: replicas that each count for themselves let twice as many through."""

    async def taken(stage: Stage) -> bool:
        try:
            await stage.service.provided["limiter"].take(FEW, a_request(stage))
        except TooMany:
            return False
        return True

    async with replica(portal) as other:
        outcomes = await asyncio.gather(*(taken(stage) for stage in (portal, other) for _ in range(25)))

    assert outcomes.count(True) == FEW.address.at_once


async def test_a_bucket_fills_again_by_the_clock(portal: Stage) -> None:
    """Floods: one request more for each `every`, never more than `at_once`."""

    async def let_through() -> int:
        count = 0
        while True:
            try:
                await portal.service.provided["limiter"].take(FEW, a_request(portal))
            except TooMany:
                return count
            count += 1

    assert await let_through() == 5
    portal.later(seconds=9.9)
    assert await let_through() == 0
    portal.later(seconds=0.1)
    assert await let_through() == 1
    portal.later(seconds=25)
    assert await let_through() == 2
    portal.later(days=3)
    assert await let_through() == 5


async def test_a_clock_that_was_ahead_keeps_nobody_out(portal: Stage) -> None:
    """Clock steps: a replica an hour ahead filled buckets until then; the others go by their own time."""
    await empties(portal, FEW, "address", HERE, hours_ahead=1)

    for _ in range(FEW.address.at_once):
        await portal.service.provided["limiter"].take(FEW, a_request(portal))
    with pytest.raises(TooMany):
        await portal.service.provided["limiter"].take(FEW, a_request(portal))


@pytest.mark.parametrize("seconds", [0.01, 5])
async def test_a_request_that_is_counted_late_fills_no_bucket(portal: Stage, seconds: float) -> None:
    """Floods: requests are counted in another order than they came in, by replicas whose clocks differ a little."""
    limiter = portal.service.provided["limiter"]
    for _ in range(FEW.address.at_once):
        await limiter.take(FEW, a_request(portal))

    portal.later(seconds=-seconds)

    with pytest.raises(TooMany):
        await limiter.take(FEW, a_request(portal))


async def test_guessing_links_ends_after_a_while_and_links_that_work_still_open(portal: Stage) -> None:
    """Token guessing: an address that tries one after the other is refused, its neighbours are not."""
    path = await mailed(portal)

    answers = [await portal.client.get(f"/t/guess-{number}") for number in range(UNKNOWN_LINKS.address.at_once + 1)]

    assert [answer.status_code for answer in answers] == [404] * UNKNOWN_LINKS.address.at_once + [429]
    assert "retry-after" in answers[-1].headers
    assert (await portal.client.get(path)).status_code == 200
    assert (await reply(portal, path)).status_code == 303


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"])
async def test_a_made_up_address_is_not_believed(portal: Stage, header: str) -> None:
    """Spoofed X-Forwarded-For: without a proxy of ours the socket's address counts, whatever is claimed."""
    answers = [
        await portal.client.get(f"/t/guess-{number}", headers={header: f"198.51.100.{number}"})
        for number in range(UNKNOWN_LINKS.address.at_once + 1)
    ]

    assert answers[-1].status_code == 429


async def test_what_a_client_wrote_left_of_our_proxys_word_changes_nothing(portal: Stage) -> None:
    """Spoofed X-Forwarded-For behind a proxy: each proxy adds on the right; what stands left of it is the client's."""
    async with replica(portal, trusted_proxies="127.0.0.0/8, 10.0.0.0/8") as behind:
        spoofed = [
            await behind.client.get("/t/guess", headers={"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.9, 10.0.0.2"})
            for n in range(UNKNOWN_LINKS.address.at_once + 1)
        ]
        neighbour = await behind.client.get("/t/guess", headers={"X-Forwarded-For": "203.0.113.10, 10.0.0.2"})

    assert [answer.status_code for answer in (spoofed[0], spoofed[-1], neighbour)] == [404, 429, 404]


@pytest.mark.parametrize(
    ("peer", "said", "network"),
    [
        ("203.0.113.7", [], "203.0.113.7/32"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7/32"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1/32"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1 , 10.9.9.9"], "198.51.100.1/32"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1", "10.9.9.9"], "198.51.100.1/32"),
        ("10.0.0.1", ["10.0.0.5"], "10.0.0.5/32"),
        ("10.0.0.1", [], "10.0.0.1/32"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1/32"),
        ("10.0.0.1", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["6.6.6.6, unknown"], "10.0.0.1/32"),
        ("10.0.0.1", ["6.6.6.6, "], "10.0.0.1/32"),
        ("10.0.0.1", ["6.6.6.6, <script>"], "10.0.0.1/32"),
        ("::ffff:203.0.113.7", [], "203.0.113.7/32"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1/32"),
        ("2001:db8:1:2:aaaa::1", [], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        (None, ["198.51.100.1"], "unknown"),
    ],
)
async def test_an_address_is_what_the_last_proxy_of_ours_saw(
    portal: Stage, peer: str | None, said: list[str], network: str
) -> None:
    """Spoofed addresses, in every spelling that a proxy or an attacker may use."""
    async with replica(portal, trusted_proxies="10.0.0.0/8") as behind:
        request = a_request(behind, peer=peer, said=said)

        assert client_network(request, behind.service.settings.trusted_proxies) == network


async def test_no_address_and_no_link_can_be_read_in_the_table(portal: Stage) -> None:
    """Leaked database: a bucket's name is an HMAC under the service's key."""
    path = await mailed(portal)
    await portal.client.post(path, data={"body": ""})

    names = [row.name for row in await portal.rows(RateLimitBucket)]

    assert len(names) == 3
    assert {len(name) for name in names} == {32}


async def test_a_limiter_without_its_table_lets_everybody_through(portal: Stage) -> None:
    """Denial of service by a dependency: pages are served though nobody can be counted."""
    path = await mailed(portal)
    async with portal.service.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE rate_limit_buckets RENAME TO gone"))
    try:
        answers = [await portal.client.get("/t/unknown"), await reply(portal, path)]
    finally:
        async with portal.service.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE gone RENAME TO rate_limit_buckets"))

    assert [answer.status_code for answer in answers] == [404, 303]


async def test_full_buckets_are_forgotten_and_others_kept(portal: Stage) -> None:
    """Disk exhaustion by addresses that never come back."""
    path = await mailed(portal)
    await portal.client.post(path, data={"body": ""})
    portal.later(seconds=SENDING.address.every.total_seconds())
    async with portal.service.sessions.begin() as session:
        await portal.service.provided["limiter"].forget_full(session, portal.clock())

    (left,) = await portal.rows(RateLimitBucket)

    assert left.full_at == portal.clock() - SENDING.address.every + SENDING.link.every
    assert any("forget_full" in str(forget) for forget in portal.service.forgets)


async def test_counting_holds_no_connection(portal: Stage) -> None:
    """Pool exhaustion: more requests at a time than there are connections, and none waits for a second one."""
    path = await mailed(portal)

    answers = await asyncio.gather(*(portal.client.get(f"/t/unknown-{number}") for number in range(40)))
    answers += await asyncio.gather(*(portal.client.get(f"{path}/challenge") for _ in range(40)))

    assert {answer.status_code for answer in answers} == {404, 200}
    assert portal.service.engine.pool.checkedout() == 0


def test_the_document_says_what_the_code_does() -> None:
    """Operators must know what they promise (ASVS 5.0, 6.1.1)."""
    written = DOCUMENT.read_text()

    for limits in rate_limits.ALL:
        rates = (limits.address, limits.link, limits.tenant)
        cells = " | ".join(f"{rate.at_once:,}, then {_pace(rate)}" if rate else "–" for rate in rates)
        assert f"| {limits.asked} | {cells} |" in written
    assert CHALLENGES in rate_limits.ALL


def _pace(rate: Rate) -> str:
    a_second = timedelta(seconds=1) / rate.every
    return f"{a_second:g} a second" if a_second >= 1 else f"{a_second * 60:g} a minute"


def a_request(stage: Stage, *, peer: str | None = "127.0.0.1", said: list[str] | None = None):
    """A request as the limiter sees it."""
    from litestar import Request

    return Request(
        {
            "type": "http",
            "litestar_app": stage.app,
            "client": (peer, 4711) if peer else None,
            "headers": [(b"x-forwarded-for", value.encode()) for value in said or []],
        }
    )
