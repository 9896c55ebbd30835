"""Bodies and clients that are out of proportion: huge, deep, endless, slow, or of another kind (S28)."""

import asyncio
import socket

import httpx
import pytest

from services.portal.ticket import Message
from shared.public_pages.pages import MAX_BODY_BYTES
from tests.attacks.conftest import invited
from tests.attacks.server import serving
from tests.attacks.visits import SERVICES
from tests.builders import a_reply_sent, an_account
from tests.portal.conftest import mailed
from tests.stage import Stage, delivery_of

FORM = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=x"}


def parts(count: int, name: str = "f{}", more: str = "") -> bytes:
    """A multipart body of so many fields."""
    fields = (
        f'--x\r\nContent-Disposition: form-data; name="{name.format(n)}"{more}\r\n\r\n1\r\n' for n in range(count)
    )
    return ("".join(fields) + "--x--\r\n").encode()


BODIES = {
    "half a megabyte and a byte": (FORM, b"body=" + b"a" * (MAX_BODY_BYTES - 4)),
    "one field of 500,000 bytes": (FORM, b"body=" + b"a" * 500_000),
    "100,000 fields": (FORM, b"&".join(b"f%d=" % n for n in range(60_000))),
    "100,000 separators": (FORM, b"&" * 500_000),
    "percent signs": (FORM, b"body=" + b"%" * 400_000),
    "half surrogates": (FORM, b"body=" + b"%ed%a0%80" * 1000),
    "broken UTF-8": (FORM, b"body=%ff%fe%80&score=%c0%af"),
    "NULs": (FORM, b"body=%00&score=%00&comment=%00"),
    "a name of 400,000 bytes": (FORM, b"a" * 400_000 + b"=1"),
    "brackets, as other frameworks nest them": (FORM, b"body" + b"[a]" * 10_000 + b"=1&__proto__[x]=1&constructor=1"),
    "5,000 parts": (MULTIPART, parts(5_000)),
    "300 parts": (MULTIPART, parts(300)),
    "300 files": (MULTIPART, parts(300, more='; filename="a.txt"')),
    "a part without an end": (MULTIPART, b'--x\r\nContent-Disposition: form-data; name="body"\r\n\r\n' + b"a" * 1000),
    "a part with a megabyte of headers": (MULTIPART, b"--x\r\n" + b"X: y\r\n" * 80_000 + b"\r\n1\r\n--x--\r\n"),
    "no boundary": ({"content-type": "multipart/form-data"}, parts(3)),
    "an endless boundary": ({"content-type": "multipart/form-data; boundary=" + "x" * 5000}, parts(3)),
    "a boundary of nothing": ({"content-type": "multipart/form-data; boundary="}, parts(3)),
    "a file name that climbs": (MULTIPART, parts(1, "body", '; filename="../../etc/passwd"')),
    "deep JSON": ({"content-type": "application/json"}, b"[" * 400_000),
    "JSON of a form": ({"content-type": "application/json"}, b'{"body": "hello", "score": 5}'),
    "a JSON bomb of keys": ({"content-type": "application/json"}, b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "XML with entities": (
        {"content-type": "application/xml"},
        b'<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c SYSTEM "file:///etc/passwd">]><a>&b;&c;</a>',
    ),
    "msgpack": ({"content-type": "application/vnd.msgpack"}, b"\xdd\xff\xff\xff\xff"),
    "plain text": ({"content-type": "text/plain"}, b"body=hello&score=5"),
    "no content type": ({}, b"body=hello&score=5"),
    "an absurd content type": (
        {"content-type": "application/x-www-form-urlencoded; charset=utf-7"},
        b"body=+ADw-b+AD4-",
    ),
    "a charset that is none": ({"content-type": "application/x-www-form-urlencoded; charset=\x00"}, b"body=a"),
    "gzip": ({**FORM, "content-encoding": "gzip"}, b"\x1f\x8b" + b"\0" * 100),
    "another method": ({**FORM, "x-http-method-override": "DELETE"}, b"_method=DELETE"),
    "nothing": (FORM, b""),
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("headers", "body"), BODIES.values(), ids=BODIES)
async def test_no_body_is_more_than_a_form_to_be_sent_again(
    stages: dict[str, Stage], pages: dict[str, str], service: str, headers: dict[str, str], body: bytes
) -> None:
    """Malformed and oversized bodies: refused with a page, never an error of ours, and nothing is stored."""
    stage = stages[service]

    answer = await stage.client.post(pages[service], content=body, headers=headers)

    assert answer.status_code in {400, 413, 415, 422}
    assert answer.headers["content-type"].startswith("text/html")
    assert await stage.said() == []
    assert service != "portal" or await stage.count(Message) == 1
    assert stage.service.engine.pool.checkedout() == 0


async def test_many_slow_senders_hold_no_connection_to_the_database(portal: Stage) -> None:
    """Slow bodies: clients that send a byte a second, more of them than there are connections; others are served."""
    path = await mailed(portal)
    pool = portal.service.engine.pool
    async with serving(portal) as port:
        slow = [await a_slow_sender(port, path) for _ in range(pool.size() * 3)]
        try:
            for writer in slow:
                writer.write(b"b")
                await writer.drain()
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                await until_all_wait(client)
                assert pool.checkedout() == 0
                served = [await client.get(path) for _ in range(3)]
        finally:
            for writer in slow:
                writer.close()

    assert {answer.status_code for answer in served} == {200}


async def test_a_sender_who_leaves_halfway_leaves_nothing(portal: Stage) -> None:
    """Broken connections: a body that never ends is no reply, and its request holds nothing."""
    path = await mailed(portal)
    async with serving(portal) as port:
        writer = await a_slow_sender(port, path)
        writer.write(b"body=half")
        await writer.drain()
        writer.transport.abort()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get(path)).status_code == 200

    assert portal.service.engine.pool.checkedout() == 0
    assert await portal.said() == []


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"1" * 500_000,
        b"\xff" * 1000,
        b"",
        b"null",
        b"{}",
        b'"' + b"x" * 900_000 + b'"',
    ],
    ids=range(8),
)
async def test_a_record_out_of_proportion_is_a_dead_letter(portal: Stage, value: bytes) -> None:
    """Parser bombs through Kafka: the record dies with a reason, the others of its batch have their effect."""
    bomb = delivery_of(a_reply_sent(reply_id="bomb"))
    bomb.value = value
    await portal.hears(an_account())

    await portal.hears(bomb, a_reply_sent())

    assert len(await portal.dead_letters()) == 1
    assert await portal.count(Message) == 1


async def test_a_survey_is_not_rated_by_a_body_that_is_cut_off(surveys: Stage) -> None:
    """Truncation: a score without the rest of the form has no captcha and rates nothing."""
    path = await invited(surveys)

    answer = await surveys.client.post(path, content=b"score=5&comm", headers=FORM)

    assert answer.status_code == 422


async def a_slow_sender(port: int, path: str) -> asyncio.StreamWriter:
    """A client that has announced a reply and begins to send it."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, family=socket.AF_INET)
    head = f"POST {path} HTTP/1.1\r\nHost: portal\r\nContent-Type: {FORM['content-type']}\r\nContent-Length: 60\r\n\r\n"
    writer.write(head.encode())
    await writer.drain()
    return writer


async def until_all_wait(client: httpx.AsyncClient) -> None:
    """Give each of the slow requests its turn: whatever they do before their body has come, they have done."""
    for _ in range(20):
        await client.get("/health/live")
        await asyncio.sleep(0.02)


async def test_clients_that_never_finish_their_headers_keep_nobody_else_out(portal: Stage) -> None:
    """Slowloris: two hundred connections that send a header a byte at a time; pages are served meanwhile."""
    path = await mailed(portal)
    async with serving(portal) as port:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        for _, writer in slow:
            writer.write(b"POST " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            for number in range(10):
                for _, writer in slow[number::10]:
                    writer.write(b"a")
                assert (await client.get(path)).status_code == 200
        assert portal.service.engine.pool.checkedout() == 0  # pyright: ignore[reportAttributeAccessIssue]
        for _, writer in slow:
            writer.close()
