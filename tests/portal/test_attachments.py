"""Files on replies: chosen, stored, told of, shown and downloaded again."""

import re
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from services.portal.attached_files import SWEPT_AFTER
from services.portal.replies import restore_reply
from services.portal.retention import periods
from services.portal.storage import StorageFailed
from services.portal.tables import AttachedFile, LooseObject, Quarantined, SpentChallenge
from services.portal.ticket import Message
from shared.contracts import ReplyReceived, RequesterErased
from shared.public_pages.quarantine_commands import let_in
from tests.builders import (
    NOON,
    a_reply_received,
    a_reply_sent,
    a_ticket,
    a_ticket_created,
    a_ticket_updated,
    an_account,
)
from tests.captcha import read_code, solved_widget
from tests.portal.conftest import KEY, everything_stored, link_of, mailed
from tests.portal.files import (
    PDF,
    TEXT,
    a_document,
    a_photo,
    an_attachment,
    objects,
    put,
    reply_with,
    send,
)
from tests.stage import Stage

AN_ID = UUID("01950000-0000-7000-8000-000000000009")


@pytest.fixture(autouse=True)
def _empty_folder(portal: Stage) -> None:
    """Nothing is left of other tests."""
    folder: Path | None = portal.service.provided["attachments"].storage._folder
    for file in folder.iterdir() if folder and folder.exists() else ():
        file.unlink()


def links_in(page: str) -> list[str]:
    """The addresses of the files a page offers, in order."""
    return re.findall(r'<a href="(/t/[^"]+/attachments/[^"]+)" download', page)


async def test_files_come_with_a_reply_and_can_be_downloaded_again(portal: Stage) -> None:
    """What was sent is told, shown in order and given out byte for byte, under its name and the type its bytes have."""
    path = await mailed(portal)
    photo = a_photo()

    answer = await reply_with(
        portal, path, ("Größe 日本.png", photo), ("notes.txt", TEXT), ("offer.docx", a_document())
    )

    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?sent=yes#sent")
    (received,) = await portal.said()
    assert isinstance(received, ReplyReceived)
    assert [(each.name, each.media_type, each.size) for each in received.attachments] == [
        ("Größe 日本.png", "image/png", len(photo)),
        ("notes.txt", "text/plain", len(TEXT)),
        (
            "offer.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            len(a_document()),
        ),
    ]
    page = (await portal.client.get(path)).text
    assert "Größe 日本.png" in page
    assert "<bdi>PNG</bdi> · <bdi>1 kB</bdi>" in page
    files = [await portal.client.get(link) for link in links_in(page)]
    assert [file.content for file in files] == [photo, TEXT, a_document()]
    assert files[0].headers["content-type"] == "image/png"
    assert files[0].headers["content-length"] == str(len(photo))
    assert "filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%E6%97%A5%E6%9C%AC.png" in files[0].headers["content-disposition"]
    assert objects(portal) == 3
    assert await portal.count(LooseObject) == 0


async def test_a_reply_without_files_is_as_it_was(portal: Stage) -> None:
    """Browsers send a nameless empty file when none was chosen; old pages send no multipart form at all."""
    path = await mailed(portal)

    answer = await reply_with(portal, path, ("", b""))

    assert answer.status_code == 303
    assert (await portal.said())[0].attachments == ()
    assert await portal.count(AttachedFile) == 0


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.txt", b"", "“empty.txt” is empty."),
        ("page.png", b"<!doctype html><script>alert(1)</script>", "“page.png” is not of a type that we take."),
        ("large.txt", b"a" * 10_000_001, "“large.txt” is larger than 10 MB."),
    ],
    ids=["empty", "type", "large"],
)
async def test_a_refused_file_is_named_with_the_reason_and_nothing_typed_is_lost(
    portal: Stage, name: str, content: bytes, told: str
) -> None:
    """The captcha is not spent on a form that has to be sent again, and no good file beside the bad one is kept."""
    path = await mailed(portal, status="resolved")

    refused = await reply_with(portal, path, ("good.pdf", PDF), (name, content), body="My <long> letter")

    assert refused.status_code == 422
    assert told in refused.text
    assert "Please choose your files again." in refused.text
    assert '<a href="#files">' in refused.text
    assert ">My &lt;long&gt; letter</textarea>" in refused.text
    assert await portal.count(SpentChallenge) == 0
    assert await portal.count(Message) == 1
    assert (objects(portal), await portal.count(LooseObject), await portal.count(AttachedFile)) == (0, 0, 0)


async def test_too_many_files_and_too_much_together_are_refused(portal: Stage) -> None:
    """Five files, 20 MB together."""
    path = await mailed(portal)
    part = b"a" * 7_000_000

    many = await reply_with(portal, path, *((f"{n}.txt", b"a") for n in range(6)))
    much = await reply_with(portal, path, *((f"{n}.txt", part) for n in range(3)))

    assert many.status_code == much.status_code == 422
    assert "You can send 5 files with a reply." in many.text
    assert "With “2.txt” your files are larger than 20 MB together." in much.text
    assert objects(portal) == 0
    assert await portal.said() == []


async def test_without_a_captcha_no_file_is_stored_and_files_are_asked_for_again(portal: Stage) -> None:
    """A browser cannot choose files again by itself; the text is still there."""
    path = await mailed(portal)

    refused = await send(portal, path, {"body": "kept text"}, [("a.pdf", PDF)])

    assert refused.status_code == 422
    assert "show that you are a person" in refused.text
    assert "Please choose your files again." in refused.text
    assert ">kept text</textarea>" in refused.text
    assert objects(portal) == 0


async def test_the_same_form_again_stores_once(portal: Stage) -> None:
    """A double click is one reply with one file; the same captcha with another file is none."""
    path = await mailed(portal)
    form = {"body": "once", **await solved_widget(portal.client, f"{path}/challenge")}

    answers = [await send(portal, path, form, [("a.pdf", PDF)]) for _ in range(2)]
    other = await send(portal, path, form, [("a.pdf", PDF + b"more")])

    assert {(answer.status_code, answer.headers["location"]) for answer in answers} == {(303, f"{path}?sent=yes#sent")}
    assert other.status_code == 422
    assert len(await portal.said()) == 1
    assert await portal.count(AttachedFile) == objects(portal) == 1
    assert await portal.count(LooseObject) == 0


async def test_a_reply_with_files_sent_again_after_the_ticket_was_closed_is_not_called_unsent(portal: Stage) -> None:
    """Its first answer may have got lost: the files tell that it is the same form, and are not stored again."""
    path = await mailed(portal)
    form = {"body": "Thank you!", **await solved_widget(portal.client, f"{path}/challenge")}
    await send(portal, path, form, [("a.pdf", PDF)])
    await portal.hears(a_ticket_updated(ticket=a_ticket(version=9, status="closed")))

    again = await send(portal, path, form, [("a.pdf", PDF)])
    another = await send(portal, path, form, [("a.pdf", PDF + b"more")])

    assert (again.status_code, another.status_code) == (303, 409)
    assert objects(portal) == 1


async def test_when_the_storage_is_away_the_text_is_kept_and_the_reason_told(
    portal: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply is not taken without the files it speaks of."""
    path = await mailed(portal)

    async def fails(*_: object) -> None:
        raise StorageFailed("away")

    monkeypatch.setattr(portal.service.provided["attachments"].storage, "put", fails)
    refused = await reply_with(portal, path, ("a.pdf", PDF), body="kept text")

    assert refused.status_code == 503
    assert "Your files could not be stored." in refused.text
    assert ">kept text</textarea>" in refused.text
    assert await portal.said() == []
    assert await portal.count(SpentChallenge) == 0


async def test_when_the_storage_is_away_a_download_says_that_it_will_be_back(
    portal: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind 503 with a time to try again."""
    path = await mailed(portal)
    await reply_with(portal, path, ("a.pdf", PDF))
    (link,) = links_in((await portal.client.get(path)).text)

    async def fails(*_: object) -> None:
        raise StorageFailed("away")

    monkeypatch.setattr(portal.service.provided["attachments"].storage, "get", fails)
    answer = await portal.client.get(link)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert "We will be right back" in answer.text


async def test_an_upload_that_nobody_refers_to_is_swept_after_a_day(portal: Stage) -> None:
    """A process may die between the last byte and the commit: the bytes were written down before the first."""
    path = await mailed(portal)
    await reply_with(portal, path, ("kept.pdf", PDF))
    attachments = portal.service.provided["attachments"]
    (kept,) = await portal.rows(AttachedFile)
    async with portal.service.sessions.begin() as session:
        session.add(LooseObject(object_id=AN_ID, since=portal.clock()))
    await attachments.storage.put(AN_ID, _chunks(b"abandoned"))
    assert objects(portal) == 2

    await attachments.sweep(portal.service.sessions, portal.clock() + SWEPT_AFTER - timedelta(minutes=1))
    assert objects(portal) == 2
    await attachments.sweep(portal.service.sessions, portal.clock() + SWEPT_AFTER + timedelta(minutes=1))

    assert objects(portal) == 1
    assert await portal.count(LooseObject) == 0
    assert (await portal.row(AttachedFile)).object_id == kept.object_id


async def test_what_cannot_be_deleted_is_tried_again(portal: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that is away keeps nothing from being swept later, and no sweep runs hot meanwhile."""
    attachments = portal.service.provided["attachments"]
    async with portal.service.sessions.begin() as session:
        session.add(LooseObject(object_id=AN_ID, since=portal.clock()))
    much_later = portal.clock() + timedelta(days=2)

    async def fails(*_: object) -> None:
        raise StorageFailed("away")

    with monkeypatch.context() as broken:
        broken.setattr(attachments.storage, "delete", fails)
        assert not await attachments.sweep(portal.service.sessions, much_later)
    assert await portal.count(LooseObject) == 1
    await attachments.sweep(portal.service.sessions, much_later)

    assert await portal.count(LooseObject) == 0


async def test_a_quarantined_reply_keeps_its_files_until_it_is_restored(portal: Stage) -> None:
    """With the files, in the order they were chosen; nobody can have them before."""
    path = await mailed(portal)
    await reply_with(portal, path, ("a.pdf", PDF), ("b.txt", TEXT), website="http://filled.example")
    held = await portal.row(Quarantined)
    assert objects(portal) == 2
    assert links_in((await portal.client.get(path)).text) == []
    file, _ = await portal.rows(AttachedFile)
    assert (await portal.client.get(f"{path}/attachments/{file.attachment_id}")).status_code == 404
    await sweep_later(portal, days=20)
    assert objects(portal) == 2

    await let_in(portal.service, table=Quarantined, id_=held.quarantine_id, restore_one=restore_reply)

    (received,) = await portal.said()
    assert [each.name for each in received.attachments] == ["a.pdf", "b.txt"]
    contents = [(await portal.client.get(link)).content for link in links_in((await portal.client.get(path)).text)]
    assert contents == [PDF, TEXT]
    await forget_old_quarantine(portal)
    await sweep_later(portal, days=40)
    assert objects(portal) == 2


async def test_files_of_a_quarantined_reply_go_when_it_does(portal: Stage) -> None:
    """Purged by an operator or forgotten after 30 days: the bytes are deleted soon after."""
    path = await mailed(portal)
    await reply_with(portal, path, ("a.pdf", PDF), website="x")
    await forget_old_quarantine(portal)

    await sweep_later(portal, days=40)

    assert (objects(portal), await portal.count(AttachedFile), await portal.count(LooseObject)) == (0, 0, 0)


async def test_a_robot_without_a_captcha_stores_nothing(portal: Stage) -> None:
    """Its words are put aside, its files are not."""
    path = await mailed(portal)

    caught = await send(portal, path, {"body": "Buy now", "website": "x"}, [("a.pdf", PDF)])

    assert caught.status_code == 303
    assert (await portal.row(Quarantined)).form == {"body": "Buy now"}
    assert objects(portal) == 0


async def test_an_agents_file_can_be_told_of_before_and_after_it_comes(portal: Stage) -> None:
    """Events and bytes take different ways; the page says which files have not come yet."""
    early = an_attachment(attachment_id="early", name="Early.pdf")
    late = an_attachment(attachment_id="late", name="Late.pdf")
    await put(portal, attachment_id="early")
    path = await mailed(portal)
    await portal.hears(a_reply_sent(reply_id="a-2", attachments=(early, late)))

    before = (await portal.client.get(path)).text
    missing = await portal.client.get(f"{path}/attachments/late")
    await put(portal, attachment_id="late")
    after = (await portal.client.get(path)).text

    assert "Not available yet" in before
    assert links_in(before) == [f"{path}/attachments/early"]
    assert missing.status_code == 404
    assert links_in(after) == [f"{path}/attachments/early", f"{path}/attachments/late"]
    assert (await portal.client.get(f"{path}/attachments/late")).content == PDF
    await sweep_later(portal, days=400)
    assert objects(portal) == 2


async def test_files_of_other_channels_are_shown(portal: Stage) -> None:
    """What came with the request itself, even without a text, and with a reply by email."""
    await portal.hears(
        an_account(),
        a_ticket_created(description="", attachments=(an_attachment(),)),
        a_reply_received(attachments=(an_attachment(attachment_id="e", name="From email.pdf"),)),
    )
    await put(portal)
    path = await link_of(portal)

    page = (await portal.client.get(path)).text

    assert links_in(page) == [f"{path}/attachments/manual-1"]
    assert "From email.pdf" in page


async def test_an_internal_notes_file_is_not_given_out(portal: Stage) -> None:
    """Nothing of a note is kept, so its file belongs to no conversation."""
    path = await mailed(portal)
    await put(portal)
    await portal.hears(a_reply_sent(reply_id="n", visibility="internal", attachments=(an_attachment(),)))

    assert (await portal.client.get(f"{path}/attachments/manual-1")).status_code == 404


async def test_names_from_the_help_desk_are_made_harmless(portal: Stage) -> None:
    """A publisher's names are no better than a stranger's."""
    path = await mailed(portal)
    named = an_attachment(name="../\u202egpj.exe\r\n")
    await portal.hears(a_reply_sent(reply_id="a-2", attachments=(named,)))

    (message,) = await portal.rows(Message, message_id="a-2")

    assert [each.name for each in message.attachments] == ["gpj.exe"]
    assert "\u202e" not in (await portal.client.get(path)).text


async def test_a_form_works_with_the_code_to_read(portal: Stage) -> None:
    """Without scripts: six digits, a file, one button."""
    path = await mailed(portal)
    page = (await portal.client.get(path)).text
    assert 'enctype="multipart/form-data"' in page
    assert page.index('name="captcha_code"') < page.index('type="file"')

    answer = await send(portal, path, {"body": "Hello", **read_code(page, KEY)}, [("a.pdf", PDF)])

    assert answer.status_code == 303
    assert objects(portal) == 1


async def test_sizes_are_written_in_the_readers_language(portal: Stage) -> None:
    """Unit and decimal comma."""
    path = await mailed(portal)
    await reply_with(portal, path, ("a.txt", b"a" * 1_500_000))

    page = (await portal.client.get(path, headers={"accept-language": "fr"})).text

    assert re.search(r"1,5\sMo", page)


async def _chunks(*chunks: bytes):
    for chunk in chunks:
        yield chunk


async def sweep_later(portal: Stage, **by: float) -> None:
    """Let the sweep come, some time from now, twice: what it lets go of is deleted in the same round or the next."""
    for _ in range(2):
        await portal.service.provided["attachments"].sweep(portal.service.sessions, portal.clock() + timedelta(**by))


async def forget_old_quarantine(portal: Stage) -> None:
    """As the hourly housekeeping does 31 days later."""
    async with portal.service.sessions.begin() as session:
        await portal.service.provided["quarantine"].forget_old(session, portal.clock() + timedelta(days=31))


async def test_who_is_erased_leaves_no_file(portal: Stage) -> None:
    """Bytes, names and those that were put aside, whoever sent them; late events about them bring nothing back."""
    path = await mailed(portal, attachments=(an_attachment(),))
    await put(portal)
    await reply_with(portal, path, ("mine.pdf", PDF))
    await reply_with(portal, path, ("robot.pdf", PDF), website="x")
    assert objects(portal) == 3

    await portal.hears(RequesterErased(account_id="acme", requester_id="rita", request_id="e-1", erased_at=NOON))
    await portal.hears(a_reply_received(reply_id="late", attachments=(an_attachment(name="Passport.pdf"),)))
    await sweep_later(portal, minutes=1)

    assert (objects(portal), await portal.count(AttachedFile), await portal.count(Message)) == (0, 0, 0)
    assert "Passport" not in await everything_stored(portal)
    assert "mine.pdf" not in await everything_stored(portal)


async def test_a_ticket_that_is_forgotten_for_its_age_takes_its_files_along(portal: Stage) -> None:
    """Nothing is kept longer than docs/privacy.md says."""
    path = await mailed(portal, status="resolved", attachments=(an_attachment(),))
    await put(portal)
    await portal.hears(a_ticket_updated(ticket=a_ticket(version=9, status="closed")))
    assert (await portal.client.get(f"{path}/attachments/manual-1")).status_code == 200
    portal.later(days=2000)

    (tickets, *_) = periods(portal.service.settings)
    async with portal.service.sessions.begin() as session:
        assert await tickets.drop(session, portal.clock() - timedelta(days=730), 100) == 1
    await sweep_later(portal, minutes=1)

    assert (objects(portal), await portal.count(AttachedFile)) == (0, 0)
