"""Every address that strangers can ask for, and how one asks for it.

`VISITS` names a route by service, method and pattern. A route that is not here fails test_headers.py and
test_rate_limits.py, which go through all of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from services.surveys.survey import Survey
from shared.public_pages.rate_limits import CHALLENGES, CODES, DOWNLOADS, FRESH_LINKS, SENDING, Limits
from tests.stage import Stage


@dataclass(frozen=True, slots=True)
class Visit:
    """How a route is asked for: `path` with {page} for the path of a mailed link, and what it costs, or why nothing."""

    service: str
    method: str
    route: str
    path: str
    costs: Limits | str
    form: tuple[tuple[str, str], ...] = ()

    async def __call__(self, stage: Stage, page: str, **more) -> httpx.Response:
        """Ask for it."""
        path = self.path.format(
            page=page,
            code=await code_of(stage, page) if "{code}" in self.path else "",
            opt_out=await opt_out_of(stage) if "{opt_out}" in self.path else "",
        )
        return await stage.client.request(self.method, path, data=dict(self.form) or None, **more)


ONE_CLICK = "one row, however often; mail providers' machines share few addresses"
LINK = "opens with a link only; looking is free, for mail scanners and people alike"
CHEAP = "served from memory, or by a look-up of a public hash"
READERS = "as many at a time as live.py has room for; without a listener, as on stage, 503"
OPERATORS = "for operators; not exposed to strangers"
KEY = "opens with a key of 256 random bits only, which costs one look-up"


def _visits() -> Iterator[Visit]:
    for service, root in (("portal", "/t/{token}"), ("surveys", "/s/{token}")):
        form = (("body", "hello"),) if service == "portal" else (("score", "4"), ("comment", "hello"))
        yield Visit(service, "GET", root, "{page}", LINK)
        yield Visit(service, "HEAD", root, "{page}", LINK)
        yield Visit(service, "POST", root, "{page}", SENDING, form)
        yield Visit(service, "GET", f"{root}/challenge", "{page}/challenge", CHALLENGES)
        yield Visit(service, "GET", "/captcha/{challenge}/image.png", "/captcha/{code}/image.png", CODES)
        yield Visit(service, "GET", "/captcha/{challenge}/audio.wav", "/captcha/{code}/audio.wav", CODES)
        yield Visit(service, "GET", "/brand/{digest}/logo", f"/brand/{'0' * 64}/logo", CHEAP)
        yield Visit(service, "GET", "/brand/{colour}/colours.css", "/brand/0b6e4f/colours.css", CHEAP)
        yield Visit(service, "GET", "/static/{file_path}", "/static/page.css", CHEAP)
        yield Visit(service, "HEAD", "/static/{file_path}", "/static/page.css", CHEAP)
        yield Visit(service, "GET", "/health/live", "/health/live", OPERATORS)
        yield Visit(service, "GET", "/health/ready", "/health/ready", OPERATORS)
        yield Visit(service, "GET", "/metrics", "/metrics", OPERATORS)
    yield Visit("portal", "POST", "/t/{token}", "{page}?fresh-link=yes", FRESH_LINKS)
    yield Visit("portal", "POST", "/t/{token}/solved", "{page}/solved", SENDING)
    yield Visit("portal", "GET", "/t/{token}/events", "{page}/events", READERS)
    yield Visit("surveys", "GET", "/s/{token}/thanks", "{page}/thanks", LINK)
    yield Visit("surveys", "POST", "/s/{token}/follow-up", "{page}/follow-up", SENDING, (("message", "hello"),))
    yield Visit("surveys", "GET", "/u/{token}", "{opt_out}", LINK)
    yield Visit("surveys", "HEAD", "/u/{token}", "{opt_out}", LINK)
    yield Visit("surveys", "POST", "/u/{token}", "{opt_out}", ONE_CLICK, (("List-Unsubscribe", "One-Click"),))
    download = "/t/{token}/attachments/{attachment_id}"
    yield Visit("portal", "GET", download, "{page}/attachments/manual-1", DOWNLOADS)
    for method in ("GET", "PUT"):
        api = "/api/v1/accounts/{account_id}/attachments/{attachment_id}"
        yield Visit("portal", method, api, "/api/v1/accounts/acme/attachments/manual-1", KEY)
    for rest in ("", "/openapi.json", "/{path}"):
        document = f"/api/v1/openapi.json{rest}"
        yield Visit("portal", "GET", document, document.replace("{path}", "else"), CHEAP)


VISITS = tuple(_visits())
COSTLY = tuple(visit for visit in VISITS if isinstance(visit.costs, Limits))
SERVICES = ("portal", "surveys")


def named(visit: Visit) -> str:
    """What the test of a visit is called."""
    return f"{visit.service} {visit.method} {visit.route}"


def routes_of(stage: Stage) -> set[tuple[str, str]]:
    """Every method and pattern the service's app answers, but the OPTIONS that Litestar adds."""
    found = set()
    for route in stage.app.routes:
        pattern = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path_format)
        for handler in route.route_handlers:
            found |= {(str(method), pattern) for method in handler.http_methods if method != "OPTIONS"}
    return found


async def opt_out_of(stage: Stage) -> str:
    """The path at which the requester of a survey chooses not to be asked any more."""
    survey = (await stage.rows(Survey, account_id="acme"))[0]
    return stage.service.provided["links"].to_opt_out(survey.survey_id).removeprefix("https://surveys.example")


async def code_of(stage: Stage, page: str) -> str:
    """A challenge to read that the page offers."""
    return (await stage.client.get(page)).text.split('name="captcha_challenge" value="')[1].split('"', maxsplit=1)[0]
