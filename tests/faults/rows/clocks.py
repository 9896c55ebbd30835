"""F16: the clock of one service is an hour ahead or behind, and goes back while it runs."""

from datetime import UTC, datetime, timedelta

from shared.public_pages.captcha import CodeToRead
from tests.faults.scene import Fault, Scene
from tests.product import KEY, SERVICES

HOUR = 3600.0
DAY = 24 * HOUR


async def shift(scene: Scene) -> None:
    """Each service in turn: an hour ahead, then an hour behind. What links and captchas say of time is kept."""
    for name in SERVICES:
        for seconds in (HOUR, -HOUR):
            await scene.did("shift the clock", service=name, seconds=seconds)
            scene.system.levers(name).shift_clock(seconds)
            await scene.lasting(2)
        scene.system.levers(name).release()
    await _links_expire(scene)
    await _captchas_expire(scene)


async def _links_expire(scene: Scene) -> None:
    """A ticket's link opens nothing after its time, and is a link again when the clock was wrong."""
    case = next(case for case in scene.workload.desk.cases if case.is_told)
    opened = await scene.visitors.ask("portal", "GET", "/t/{token}", case.token)
    scene.system.levers("portal").shift_clock(100 * DAY)
    expired = await scene.visitors.ask("portal", "GET", "/t/{token}", case.token)
    scene.system.levers("portal").release()
    again = await scene.visitors.ask("portal", "GET", "/t/{token}", case.token)
    statuses = opened.status_code, expired.status_code, again.status_code
    scene.demand(statuses == (200, 404, 200), "O8", f"a link now, in 100 days, and now again: {statuses}")


async def _captchas_expire(scene: Scene) -> None:
    """A challenge made three hours ago lets nobody through."""
    case = next(case for case in scene.workload.desk.cases if case.is_told)
    captcha = CodeToRead(KEY)
    challenge = captcha.challenge(case.purpose, datetime.now(UTC) - timedelta(hours=3))
    form = {"body": "too late", "captcha_challenge": challenge, "captcha_code": captcha.code(challenge)}
    answer = await scene.visitors.ask("portal", "POST", "/t/{token}", case.token, form=form)
    scene.demand(answer.status_code == 422, "O8", f"a captcha of three hours ago: {answer.status_code}")


CLOCKS = [Fault("F16", "clock of each service an hour ahead, then behind", shift)]
