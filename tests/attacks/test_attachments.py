"""Files of strangers and agents: what they are called, what is in them, how many, how large, and whose they are."""

import asyncio
import re
import tracemalloc
from pathlib import Path

import httpx
import pytest
from schemathesis import GenerationMode

from services.portal.link import AccessLink
from services.portal.tables import AttachedFile, LooseObject, Quarantined
from services.portal.ticket import Message
from tests.attacks.browser_view import elements
from tests.attacks.corpus import HOSTILE
from tests.attacks.pictures import png_that_claims
from tests.attacks.server import serving
from tests.attacks.test_reports_api import ask_everything
from tests.attacks.test_scanners import rows
from tests.builders import a_reply_sent, a_ticket, an_account
from tests.captcha import solved_widget
from tests.portal.conftest import mailed
from tests.portal.files import PDF, a_key, a_photo, an_attachment, api_path, multipart, objects, put, reply_with, send
from tests.stage import Stage

SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
NAMES = {
    "../../etc/passwd": "passwd.pdf",
    "..\\..\\windows\\system32\\x.pdf": "x.pdf",
    "/etc/cron.d/x.pdf": "x.pdf",
    "C:\\x.pdf": "x.pdf",
    "..": "file.pdf",
    "x.pdf\0.exe": "x.pdf.exe.pdf",
    "a\tb.pdf": "a b.pdf",
    "invoice\u202efdp.exe": "invoice fdp.exe.pdf",
    "a\u2066b\u2069\u200e.pdf": "a b.pdf",
    "x.html": "x.html.pdf",
    "x.exe": "x.exe.pdf",
    "x.pdf:evil.exe": "x.pdf_evil.exe.pdf",
    ".htaccess": "htaccess.pdf",
    "x.PDF": "x.PDF",
    "   x.pdf.   ": "x.pdf",
    "e\u0301te\u0301.pdf": "été.pdf",
    "\u200b": "file.pdf",
    "قائمة.pdf": "قائمة.pdf",
    "日本語" * 60 + ".pdf": ("日本語" * 60)[: (255 - 4) // 3] + ".pdf",
}
REFUSED = {
    "HTML": b"<!DOCTYPE html><script>alert(1)</script>",
    "HTML behind a mark": b"\xef\xbb\xbf  \n<html>",
    "HTML in UTF-16": "<html><script>alert(1)</script>".encode("utf-16"),
    "SVG": SVG,
    "XML": b"<?xml version='1.0'?><a/>",
    "a program for Windows": b"MZ\x90\0" + b"\0" * 200,
    "a program for Linux": b"\x7fELF\x02\x01\x01" + b"\0" * 200,
    "a shell's script": b"#!/bin/sh\nrm -rf /\n",
    "an archive": b"PK\x03\x04\x14\0\0\0\0\0" + b"\0" * 20 + b"evil.exe" + b"\0" * 60,
    "an old document": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
    "Flash": b"CWS\x0a" + b"\0" * 60,
    "a Java archive": b"PK\x03\x04" + b"\0" * 26 + b"META-INF/MANIFEST.MF",
    "bytes": bytes(range(256)),
}
POLYGLOTS = {
    "GIF and HTML": b"GIF89a/*\x01\0\x01\0\x80\0\0*/<script>alert(1)</script>",
    "PNG and HTML": a_photo() + b"<html><script>alert(1)</script></html>",
    "JPEG and HTML": a_photo("JPEG") + b"<svg onload=alert(1)>",
    "PDF and HTML": b"%PDF-1.7\n<html><script>alert(1)</script>",
}


@pytest.mark.parametrize(("name", "shown"), NAMES.items(), ids=range(len(NAMES)))
async def test_a_name_is_a_name_and_nothing_else(portal: Stage, name: str, shown: str) -> None:
    """Traversal, overridden directions, double endings, streams: one harmless name, in the page, event and header."""
    path = await mailed(portal)

    answer = await reply_with(portal, path, (name, PDF))

    assert answer.status_code == 303
    ((told,),) = [event.attachments for event in await portal.said()]
    assert told.name == shown
    assert len(told.name.encode()) <= 255
    page = (await portal.client.get(path)).text
    assert [element.text for element in elements(page) if ("class", "file-name") in element.attributes] == [shown]
    disposition = (await portal.client.get(f"{path}/attachments/{told.attachment_id}")).headers["content-disposition"]
    assert re.fullmatch(r"attachment; filename=\"[ -!#-~]*\"; filename\*=UTF-8''[\w.%~-]+", disposition)
    assert disposition.isprintable()


async def test_names_in_the_help_desks_event_inject_nothing(portal: Stage) -> None:
    """Stored XSS and header injection through file names and types: text on the page, one header of a download."""
    path = await mailed(portal)
    harmless = (await portal.client.get(path)).text
    files = tuple(
        an_attachment(attachment_id=f"f-{number}", name=f"{payload}\r\nSet-Cookie: a=b", media_type=payload)
        for number, payload in enumerate(HOSTILE)
    )
    await portal.hears(a_reply_sent(reply_id="a-2", attachments=files))
    await put(portal, attachment_id="f-0")
    await put(portal, attachment_id="f-7")

    page = (await portal.client.get(path)).text
    downloads = [await portal.client.get(f"{path}/attachments/{id_}") for id_ in ("f-0", "f-7")]

    tags = {element.tag for element in elements(page)}
    assert tags <= {element.tag for element in elements(harmless)} | {"ul", "li", "a", "span"}
    assert not [name for element in elements(page) for name, _ in element.attributes if name.startswith("on")]
    for file in downloads:
        assert file.status_code == 200
        assert "set-cookie" not in file.headers
        assert file.headers["content-type"] == "application/pdf"
        assert "\n" not in file.headers["content-disposition"]


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
async def test_what_could_run_is_not_taken(portal: Stage, content: bytes) -> None:
    """HTML, SVG, programs, archives, under a picture's name and with a picture's type claimed."""
    path = await mailed(portal)
    solved = await solved_widget(portal.client, f"{path}/challenge")
    body = multipart({"body": "x", **solved}, [("photo.png", content)], kind="image/png")

    refused = await portal.client.post(path, content=body, headers=FORM)

    assert refused.status_code == 422
    assert "“photo.png” is not of a type that we take." in refused.text
    assert (objects(portal), await portal.count(AttachedFile), await portal.said()) == (0, 0, [])


@pytest.mark.parametrize("content", POLYGLOTS.values(), ids=POLYGLOTS)
async def test_what_is_two_things_at_once_is_given_out_as_the_harmless_one(portal: Stage, content: bytes) -> None:
    """Polyglots: a download that browsers neither show nor sniff nor run, with the ending of what it was taken for."""
    path = await mailed(portal)
    await reply_with(portal, path, ("page.html", content))
    ((told,),) = [event.attachments for event in await portal.said()]

    file = await portal.client.get(f"{path}/attachments/{told.attachment_id}")

    assert told.name.endswith((".gif", ".png", ".jpg", ".pdf"))
    assert file.headers["content-disposition"].startswith("attachment;")
    assert file.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in file.headers["content-security-policy"]
    assert "html" not in file.headers["content-type"]
    assert file.headers["cache-control"] == "no-store"


async def test_an_agents_html_is_a_download_of_bytes(portal: Stage) -> None:
    """Stored XSS through the help desk: agents may send anything, and nothing of it is shown by a browser."""
    path = await mailed(portal)
    page = an_attachment(attachment_id="page", name="page.html", media_type="text/html")
    await portal.hears(a_reply_sent(reply_id="a-2", attachments=(page,)))
    await put(portal, SVG, attachment_id="page")

    for file in (
        await portal.client.get(f"{path}/attachments/page"),
        await portal.client.get(api_path("page"), headers=await a_key(portal)),
    ):
        assert file.content == SVG
        assert file.headers["content-type"] == "application/octet-stream"
        assert file.headers["content-disposition"].startswith("attachment;")
        assert "sandbox" in file.headers["content-security-policy"]


async def test_a_picture_that_unpacks_to_gigabytes_is_never_unpacked(portal: Stage) -> None:
    """Pixel bombs: bytes go in and out; nothing here looks further than their first ones."""
    path = await mailed(portal)
    bomb = png_that_claims(60_000, 60_000)

    tracemalloc.start()
    await reply_with(portal, path, ("bomb.png", bomb))
    ((told,),) = [event.attachments for event in await portal.said()]
    file = await portal.client.get(f"{path}/attachments/{told.attachment_id}")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert file.content == bomb
    assert most < 50_000_000


FORM = {"content-type": "multipart/form-data; boundary=x"}
HEAD = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
BROKEN = {
    "no boundary": ({"content-type": "multipart/form-data"}, multipart({"body": "x"}, [("a.txt", b"a")])),
    "an empty boundary": ({"content-type": "multipart/form-data; boundary="}, HEAD + b"a\r\n--x--\r\n"),
    "a file without an end": (FORM, HEAD + b"a" * 100_000),
    "a file with a megabyte of headers": (FORM, HEAD[:-2] + b"X: y\r\n" * 80_000 + b"\r\na\r\n--x--\r\n"),
    "a text behind the files": (
        FORM,
        HEAD + b'a\r\n--x\r\nContent-Disposition: form-data; name="body"\r\n\r\na\r\n--x--\r\n',
    ),
    "10,000 files": (FORM, (HEAD + b"a\r\n") * 10_000 + b"--x--\r\n"),
    "300 empty files": (FORM, HEAD.replace(b"a.txt", b"") * 300 + b"--x--\r\n"),
    "300 texts": (FORM, b'--x\r\nContent-Disposition: form-data; name="b"\r\n\r\n1\r\n' * 300 + b"--x--\r\n"),
    "a text of a megabyte": (FORM, multipart({"body": "a" * 1_000_000}, [])),
    "texts of a megabyte together": (FORM, multipart({f"f{n}": "a" * 60_000 for n in range(20)}, [])),
    "half surrogates": (FORM, multipart({}, []).replace(b"--x--", HEAD[:60] + b"\xed\xa0\x80")),
}


@pytest.mark.parametrize(("headers", "body"), BROKEN.values(), ids=BROKEN)
async def test_a_form_that_no_browser_sends_leaves_nothing(portal: Stage, headers: dict[str, str], body: bytes) -> None:
    """Malformed multipart forms and their floods (S28): refused with a page, and nothing is stored."""
    path = await mailed(portal)

    answer = await portal.client.post(path, content=body, headers=headers)

    assert answer.status_code in {400, 413, 422}
    assert answer.headers["content-type"].startswith("text/html")
    assert (objects(portal), await portal.count(LooseObject), await portal.said()) == (0, 0, [])
    assert portal.service.engine.pool.checkedout() == 0


@pytest.mark.parametrize("solved", [True, False])
async def test_a_file_without_end_is_given_up(portal: Stage, solved: bool) -> None:
    """Endless bodies (S28): whatever its sender claims, no more is read than a person could have meant."""
    path = await mailed(portal)
    fields = {"body": "x", **(await solved_widget(portal.client, f"{path}/challenge") if solved else {})}
    sent = 0

    async def endless():
        nonlocal sent
        yield multipart(fields, [("a.txt", b"")]).removesuffix(b"\r\n--x--\r\n")
        while True:
            sent += 1_000_000
            yield b"a" * 1_000_000

    tracemalloc.start()
    answer = await portal.client.post(path, content=endless(), headers=FORM)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.status_code == 413
    assert sent < 100_000_000
    assert most < 20_000_000
    assert (objects(portal), await portal.count(LooseObject)) == (0, 0)


async def test_a_sender_who_leaves_halfway_leaves_nothing(portal: Stage) -> None:
    """Broken connections: half a file is no file."""
    path = await mailed(portal)
    fields = {"body": "x", **await solved_widget(portal.client, f"{path}/challenge")}
    body = multipart(fields, [("a.txt", b"a" * 400_000)])
    async with serving(portal) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['content-type']}\r\n"
        writer.write(f"{head}Content-Length: {len(body) + 9}\r\n\r\n".encode() + body[:300_000])
        await writer.drain()
        async with asyncio.timeout(10):
            while not await portal.count(LooseObject):
                await asyncio.sleep(0.02)
        writer.transport.abort()
        async with asyncio.timeout(10):
            while await portal.count(LooseObject):
                await asyncio.sleep(0.02)

    assert (objects(portal), await portal.said()) == (0, [])
    assert portal.service.engine.pool.checkedout() == 0


async def test_many_slow_files_hold_no_connection_to_the_database(portal: Stage) -> None:
    """Slow bodies (S28): more of them than there are connections; others are served."""
    path = await mailed(portal)
    pool = portal.service.engine.pool
    challenges = [await solved_widget(portal.client, f"{path}/challenge") for _ in range(pool.size() + 5)]
    async with serving(portal) as port:
        writers = []
        for fields in challenges:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            body = multipart({"body": "x", **fields}, [("a.txt", b"a" * 400_000)])
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM['content-type']}\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:20_000])
            writers.append(writer)
        async with asyncio.timeout(20):
            while await portal.count(LooseObject) < len(writers):
                await asyncio.sleep(0.05)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            assert pool.checkedout() == 0
            assert (await client.get(path)).status_code == 200
        for writer in writers:
            writer.transport.abort()
        async with asyncio.timeout(20):
            while await portal.count(LooseObject):
                await asyncio.sleep(0.05)


async def test_a_file_that_is_refused_early_is_told_over_a_real_connection(portal: Stage) -> None:
    """A browser that still sends must get the page and not a broken connection."""
    path = await mailed(portal)
    fields = {"body": "kept text", **await solved_widget(portal.client, f"{path}/challenge")}
    async with serving(portal) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for file in (("page.html", SVG + b" " * 15_000_000), ("a.txt", b"a" * 15_000_000)):
            refused = await client.post(path, content=multipart(fields, [file]), headers=FORM)
            assert refused.status_code == 422
            assert ">kept text</textarea>" in refused.text


async def test_another_tickets_file_is_not_given_out(portal: Stage) -> None:
    """IDOR: an id opens with the link of its own ticket only, and unknown ids are answered alike."""
    mine = await mailed(portal)
    await reply_with(portal, mine, ("secret.pdf", PDF))
    received = (await portal.said())[-1]
    (secret,) = (each.attachment_id for each in received.attachments)
    theirs = await mailed(portal, ticket_id="T-2")
    await portal.hears(an_account(account_id="evil", name="Evil"))
    await portal.hears(a_reply_sent(account_id="evil", ticket=a_ticket(ticket_id="T-3", version=2)))
    elsewhere = (await portal.said())[-1].link.removeprefix("https://portal.example")

    assert (await portal.client.get(f"{mine}/attachments/{secret}")).content == PDF
    answers = [
        await portal.client.get(f"{path}/attachments/{id_}")
        for path in (theirs, elsewhere, "/t/unknown")
        for id_ in (secret, "unknown", secret.upper(), f"{secret}/", f"../attachments/{secret}", "%2e%2e", "%00")
    ]

    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}


async def test_a_forged_event_of_another_account_opens_no_file_of_this_one(portal: Stage) -> None:
    """Poisoned events (S33): an id means a file of the event's own account."""
    await put(portal)
    await portal.hears(an_account(), an_account(account_id="evil", name="Evil"))
    await portal.hears(
        a_reply_sent(account_id="evil", ticket=a_ticket(ticket_id="T-3", version=2), attachments=(an_attachment(),))
    )
    path = (await portal.said())[-1].link.removeprefix("https://portal.example")

    assert "Not available yet" in (await portal.client.get(path)).text
    assert (await portal.client.get(f"{path}/attachments/manual-1")).status_code == 404


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_a_dead_link_gives_out_no_file(portal: Stage, how: str) -> None:
    """Dead links: a file's address is worth what its ticket's link is."""
    path = await mailed(portal)
    await reply_with(portal, path, ("a.pdf", PDF))
    ((told,),) = [event.attachments for event in await portal.said()]
    link = f"{path}/attachments/{told.attachment_id}"
    assert (await portal.client.get(link)).status_code == 200

    async with portal.service.sessions.begin() as session:
        row = await session.get_one(AccessLink, (await portal.row(AccessLink)).digest)
        if how == "revoked":
            row.revoke(portal.clock())
        else:
            row.expires_at = portal.clock()

    assert (await portal.client.get(link)).status_code == 404


async def test_downloading_a_hundred_times_changes_nothing(portal: Stage) -> None:
    """Link scanners (S5): GET and HEAD of a file leave every row as it was."""
    path = await mailed(portal)
    await reply_with(portal, path, ("a.pdf", PDF))
    ((told,),) = [event.attachments for event in await portal.said()]
    before = await rows(portal)

    answers = {
        (await portal.client.request(method, f"{path}/attachments/{told.attachment_id}")).status_code
        for method in ("GET", "HEAD")
        for _ in range(100)
    }

    assert answers == {200, 405, 429}
    assert await rows(portal) == before
    assert objects(portal) == 1


async def test_quarantined_files_are_given_to_nobody(portal: Stage) -> None:
    """What may be a robot's is not there, for its sender and for the help desk."""
    path = await mailed(portal)
    await reply_with(portal, path, ("a.pdf", PDF), website="x")
    file = await portal.row(AttachedFile)
    assert await portal.count(Quarantined) == 1

    by_link = await portal.client.get(f"{path}/attachments/{file.attachment_id}")
    by_key = await portal.client.get(api_path(file.attachment_id), headers=await a_key(portal))

    assert (by_link.status_code, by_key.status_code) == (404, 404)


async def test_fifty_parallel_posts_store_one_file(portal: Stage) -> None:
    """Double submission (S6): one reply, one file, and nothing lies about."""
    path = await mailed(portal)
    form = {"body": "once", **await solved_widget(portal.client, f"{path}/challenge")}

    answers = await asyncio.gather(*(send(portal, path, form, [("a.pdf", PDF)]) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {303}
    assert len(await portal.said()) == 1
    assert (objects(portal), await portal.count(AttachedFile), await portal.count(LooseObject)) == (1, 1, 0)
    assert await portal.count(Message) == 2


@pytest.fixture(autouse=True)
def _empty_folder(portal: Stage) -> None:
    """Nothing is left of other tests."""
    folder: Path = portal.service.provided["attachments"].storage._folder
    for file in folder.iterdir() if folder.exists() else ():
        file.unlink()


MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
async def test_the_api_answers_as_its_document_says_whatever_it_is_asked(portal: Stage, mode: GenerationMode) -> None:
    """Fuzzing (S8, S28): no 5xx, and every answer has the status, type and shape that the document promises."""
    await portal.hears(an_account())
    await put(portal)
    async with serving(portal) as port:
        asked = await asyncio.to_thread(ask_everything, port, await a_key(portal, None), mode)

    assert len(asked) == 2
