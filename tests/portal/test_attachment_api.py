"""The help desk's side of attachments: its agents' files in, its requesters' files out, by HTTP with a key."""

import asyncio
import hashlib
from datetime import timedelta

import httpx
import pytest

from services.portal.attached_files import UNMENTIONED_FOR
from services.portal.storage import StorageFailed
from services.portal.tables import ApiKey, AttachedFile, LooseObject
from services.portal.ticket import Ticket
from tests.attacks.server import serving
from tests.builders import a_reply_sent, an_account
from tests.portal.conftest import mailed
from tests.portal.files import PDF, a_key, a_photo, an_attachment, api_path, objects, put, reply_with
from tests.portal.test_attachments import _empty_folder, sweep_later
from tests.stage import Stage

__all__ = ["_empty_folder"]


async def test_bytes_that_are_put_can_be_got_again(portal: Stage) -> None:
    """Created once; the answer tells what is stored, so that a sender can compare."""
    await portal.hears(an_account())
    key = await a_key(portal)
    photo = a_photo()

    created = await portal.client.put(api_path(), content=photo, headers=key)
    got = await portal.client.get(api_path(), headers=key)

    assert created.status_code == 201
    assert created.json() == {
        "attachment_id": "manual-1",
        "size": len(photo),
        "sha256": hashlib.sha256(photo).hexdigest(),
        "media_type": "image/png",
    }
    assert got.content == photo
    assert got.headers["content-type"] == "image/png"


async def test_the_same_bytes_again_change_nothing_and_other_bytes_clash(portal: Stage) -> None:
    """Whoever got no answer sends again; an id means the same bytes for ever."""
    first = await put(portal)
    again = await put(portal)
    other = await put(portal, PDF + b"more")

    assert [answer.status_code for answer in (first, again, other)] == [201, 200, 409]
    assert again.json() == first.json()
    assert other.headers["content-type"] == "application/problem+json"
    assert other.json()["detail"] == "Other bytes are stored under this id."
    assert (objects(portal), await portal.count(LooseObject)) == (1, 0)


async def test_twenty_at_the_same_moment_store_one(portal: Stage) -> None:
    """One of them is first; nothing of the others stays."""
    await portal.hears(an_account())
    key = await a_key(portal, None)

    answers = await asyncio.gather(
        *(portal.client.put(api_path(), content=PDF, headers=key) for _ in range(10)),
        *(portal.client.put(api_path(), content=PDF + b"other", headers=key) for _ in range(10)),
    )

    codes = [answer.status_code for answer in answers]
    assert (codes.count(201), codes.count(200), codes.count(409)) == (1, 9, 10)
    assert (objects(portal), await portal.count(AttachedFile), await portal.count(LooseObject)) == (1, 1, 0)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}])
async def test_without_a_key_nothing_is_taken_or_given(portal: Stage, headers: dict[str, str]) -> None:
    """401, and how to do better."""
    await put(portal)

    answers = [
        await portal.client.get(api_path(), headers=headers),
        await portal.client.put(api_path(), content=PDF, headers=headers),
    ]

    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('Bearer realm="closeloop portal"')


async def test_a_key_opens_its_own_account_and_no_other(portal: Stage) -> None:
    """Tenants: another account's files are there for its own key and for the platform's only."""
    await portal.hears(an_account(), an_account(account_id="evil", name="Evil"))
    await put(portal)
    evil = await a_key(portal, "evil")

    got = await portal.client.get(api_path(), headers=evil)
    written = await portal.client.put(api_path(attachment_id="new"), content=PDF, headers=evil)
    unknown = await portal.client.get(api_path(attachment_id="unknown"), headers=await a_key(portal))

    assert (got.status_code, written.status_code, unknown.status_code) == (404, 404, 404)
    assert got.json() == unknown.json()
    assert (await portal.client.get(api_path(), headers=await a_key(portal, None))).status_code == 200


async def test_a_revoked_key_opens_nothing(portal: Stage) -> None:
    """From the next request on."""
    await portal.hears(an_account())
    await put(portal)
    key = await a_key(portal)
    async with portal.service.sessions.begin() as session:
        for row in await portal.rows(ApiKey):
            (await session.get_one(ApiKey, row.key_id)).revoked_at = portal.clock()

    assert (await portal.client.get(api_path(), headers=key)).status_code == 401


async def test_empty_large_and_misnamed_files_are_refused_with_problem_details(portal: Stage) -> None:
    """400 and 413, and nothing is stored."""
    answers = [
        await put(portal, b""),
        await put(portal, b"a" * 10_000_001),
        await put(portal, attachment_id="a b"),
        await put(portal, attachment_id=".hidden"),
        await put(portal, attachment_id="a" * 129),
    ]

    assert [answer.status_code for answer in answers] == [400, 413, 400, 400, 400]
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert "10000000 bytes" in answers[1].json()["detail"]
    assert (objects(portal), await portal.count(LooseObject)) == (0, 0)


async def test_a_file_that_no_event_tells_of_goes_after_a_month(portal: Stage) -> None:
    """And one that an event told of stays, whichever came first."""
    await put(portal, attachment_id="mentioned")
    await put(portal, attachment_id="unmentioned")
    await mailed(portal, attachments=(an_attachment(attachment_id="mentioned"),))

    await sweep_later(portal, days=UNMENTIONED_FOR.days - 1)
    assert objects(portal) == 2
    await sweep_later(portal, days=UNMENTIONED_FOR.days + 1)

    (kept,) = await portal.rows(AttachedFile)
    assert (kept.attachment_id, objects(portal)) == ("mentioned", 1)


async def test_bytes_that_come_after_their_event_stay(portal: Stage) -> None:
    """The other order, with the same end."""
    await mailed(portal, attachments=(an_attachment(),))
    await put(portal)

    await sweep_later(portal, days=400)

    assert (await portal.row(AttachedFile)).kept_until is None
    assert objects(portal) == 1


async def test_what_a_requester_sent_is_there_for_the_help_desk(portal: Stage) -> None:
    """`reply.received` tells of it by the id under which it is got."""
    path = await mailed(portal)
    await reply_with(portal, path, ("photo.png", a_photo()))
    ((told,),) = [event.attachments for event in await portal.said()]

    got = await portal.client.get(api_path(told.attachment_id), headers=await a_key(portal))

    assert got.content == a_photo()


async def test_a_storage_that_is_away_is_told(portal: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with a time to try again, and the next try succeeds."""

    async def fails(*_: object) -> None:
        raise StorageFailed("away")

    with monkeypatch.context() as broken:
        broken.setattr(portal.service.provided["attachments"].storage, "put", fails)
        away = await put(portal)

    assert (away.status_code, away.headers["retry-after"]) == (503, "30")
    assert await portal.count(LooseObject) == 0
    assert (await put(portal)).status_code == 201


async def test_an_upload_of_more_than_an_hour_is_refused(portal: Stage) -> None:
    """The sweep takes what lies about for a day; what took so long must not be referred to."""
    await portal.hears(an_account())
    key = await a_key(portal, None)

    async def slow():
        yield PDF + b" " * 20_000
        portal.clock.now += timedelta(hours=2)
        yield PDF

    answer = await portal.client.put(api_path(), content=slow(), headers=key)

    assert answer.status_code == 503
    assert await portal.count(AttachedFile) == 0


async def test_large_files_travel_over_a_real_connection(portal: Stage) -> None:
    """Ten megabytes in and out, as a client and a server do it."""
    content = b"%PDF-1.7\n" + bytes(9_000_000)
    path = await mailed(portal, attachments=(an_attachment(),))
    key = await a_key(portal)
    async with serving(portal) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.put(api_path(), content=content, headers=key)).status_code == 201
        assert (await client.get(f"{path}/attachments/manual-1")).content == content
        assert (await client.get(api_path(), headers=key)).content == content


async def test_redelivered_events_leave_files_as_they_are(portal: Stage) -> None:
    """Repeats and any order of event and bytes end the same."""
    sent = a_reply_sent(attachments=(an_attachment(),))
    await portal.hears(an_account(), sent)
    await put(portal)
    await portal.hears(sent)
    await portal.hears(a_reply_sent(reply_id="a-9", attachments=(an_attachment(),)))

    file = await portal.row(AttachedFile)
    assert file.object_id is not None
    assert file.kept_until is None


async def test_a_file_that_comes_after_its_message_is_news(portal: Stage) -> None:
    """Open pages hear of it, once, and show it; files that nobody awaits are no news."""
    path = await mailed(portal, attachments=(an_attachment(),))
    before = (await portal.row(Ticket)).revision
    assert f"{path}/attachments/manual-1" not in (await portal.client.get(path)).text

    for _ in range(2):
        await put(portal)
    await put(portal, attachment_id="nobodys")

    assert (await portal.row(Ticket)).revision == before + 1
    assert f"{path}/attachments/manual-1" in (await portal.client.get(path)).text


async def test_a_file_that_comes_before_its_message_is_no_news_of_its_own(portal: Stage) -> None:
    """The message is."""
    await put(portal)
    await mailed(portal, attachments=(an_attachment(),))
    told = (await portal.row(Ticket)).revision

    await put(portal)

    assert (await portal.row(Ticket)).revision == told
