"""The pages of Help Desk Reports: sign in with a key, and the CSAT tab. They need no script."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.datastructures import Cookie, State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import (
    ClientException,
    NotAuthorizedException,
    NotFoundException,
    PermissionDeniedException,
)
from litestar.response import Redirect, ServerSentEvent, Stream, Template

from services.reports import figures, queries
from services.reports.api_keys import Access, let_in
from services.reports.asked import Asked, Search
from services.reports.chart import draw
from services.reports.export import CsvWriter, ParquetWriter
from services.reports.formats import FORMATS, figure_of
from services.reports.live import tell_changes
from services.reports.parameters import RESPONSES
from services.reports.response_routes import exported
from services.reports.satisfaction import ENOUGH, Agent
from services.reports.settings import ticket_url
from services.reports.view import (
    ATTRIBUTIONS,
    MAX_SEARCH,
    OTHER_PRESETS,
    PRESET_NAMES,
    SHOWN_AGENTS,
    View,
    view_of,
)
from shared.chassis.prepared import Pool, Row
from shared.chassis.requests import ENDLESS
from shared.public_pages.branding import NEUTRAL
from shared.public_pages.forms import fields_of
from shared.public_pages.rate_limits import TooMany

COOKIE = "closeloop_reports"
"""Holds the key itself: what it shows is what the key shows, and revoking the key ends both."""

SIGNED_IN_SECONDS = 30 * 24 * 3600
RESPONSES_ON_A_PAGE = 12


async def access_signed_in(request: Request, state: State) -> Access:
    """Find what this browser may see. Raises NotAuthorizedException when it has to sign in, NotFoundException (404)."""
    access = await let_in(key, request, state) if (key := request.cookies.get(COOKIE)) else None
    if access is None or "figures" not in access.scopes:
        raise NotAuthorizedException
    if request.route_handler.opt.get("scope", "figures") not in access.scopes:
        raise NotFoundException
    return access


def send_to_sign_in(_: Request, __: NotAuthorizedException) -> Response:
    """Ask for a key first."""
    return Redirect("/sign-in", status_code=303)


@get("/")
async def show_first_tab() -> Redirect:
    """CSAT is the only tab so far."""
    return Redirect("/csat")


@get("/csat")
async def show_csat(request: Request, state: State, access: NamedDependency[Access]) -> Template:
    """Show how satisfied requesters were with a range of days."""
    account = access.account
    now = state.clock().astimezone(account.zone)
    may_read = "responses" in access.scopes
    view = view_of(request.query_params, now.date(), only=access.agent_id)
    if not may_read:
        view = view.without_search
    asked, pool = view.asked(account), state.pool
    totals, before = await figures.totals(asked, pool)
    page, older = await _page_of_responses(view, asked, pool) if may_read else ([], None)
    agent_name = view.agent and (await queries.name_of_agent(asked, pool) or view.agent)
    context = {
        **FORMATS,
        "ticket_url": ticket_url,
        "account": account,
        "brand": account.brand,
        "view": view,
        "presets": PRESET_NAMES,
        "other_presets": OTHER_PRESETS,
        "attributions": ATTRIBUTIONS,
        "today": now.date(),
        "now": now,
        "agent_name": agent_name,
        "chips": view.chips(agent_name),
        "response_chips": view.response_chips,
        "most_agents": SHOWN_AGENTS,
        "longest_search": MAX_SEARCH,
        "enough": ENOUGH,
        "figure_of": figure_of(view.measure),
        "narrowed": bool(view.agent or view.priority or view.channel),
        "longer": view.longer(now.date()),
        "has_surveys": await queries.has_surveys(account.account_id, pool),
        "totals": totals,
        "scores": totals.scores,
        "surveys": totals.surveys,
        "before": before,
        # Each table is of all that it has a row for: the one that is looked at stands among the others.
        "agents": sorted_agents(await figures.agents(replace(asked, agent_id=access.agent_id), pool), view),
        "priorities": await figures.parts("priority", replace(asked, priorities=()), pool),
        "channels": await figures.parts("channel", replace(asked, channels=()), pool),
        "reasons": await figures.reasons(asked, pool),
        "chart": draw(await figures.trend(asked, view.by, pool), view.measure),
        "may_read": may_read,
        "tickets_at": state.service.settings.ticket_url,
        "responses": page,
        "listed": view.listed(totals.scores),
        "whose": attrgetter(asked.shape.agent_name.key),
        "older": older,
    }
    # Who looks at it stays signed in. Not by what its script asks for: that could come behind a sign-out, and undo it.
    is_opened = request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
    cookies = [_cookie(state, request.cookies[COOKIE], SIGNED_IN_SECONDS)] if is_opened else []
    return Template("csat.html", context=context, status_code=400 if view.mistakes else 200, cookies=cookies)


async def _page_of_responses(view: View, asked: Asked, pool: Pool) -> tuple[Sequence[Row], str | None]:
    """Find the responses to list, newest first, and the last of them when there are older ones."""
    after = view.after and await queries.response(asked, pool, view.after)
    found = await queries.responses(asked, pool, RESPONSES_ON_A_PAGE + 1, after=after or None, search=view.search)
    page = found[:RESPONSES_ON_A_PAGE]
    return page, page[-1].survey_id if len(found) > RESPONSES_ON_A_PAGE else None


def sorted_agents(agents: Sequence[Agent], view: View) -> list[Agent]:
    """Put ranked agents in the order of the view. Who has too few responses comes behind, unless it is by name or n."""
    keys: dict[str, Callable[[Agent], Any]] = {
        "csat": lambda agent: -(agent.rank or 0),
        "average": lambda agent: agent.scores.average or 0.0,
        "responses": lambda agent: agent.scores.n,
        "name": lambda agent: (agent.name or "").casefold(),
    }
    ordered = sorted(agents, key=keys[view.sort], reverse=(view.sort == "name") == view.turned)
    return sorted(ordered, key=lambda agent: view.sort in {"csat", "average"} and agent.rank is None)


@get("/csat/responses.csv", opt=RESPONSES)
async def download_csv(request: Request, state: State, access: NamedDependency[Access]) -> Stream:
    """Give the responses of a view as CSV, with `excel=yes` as Excel takes it."""
    asked, search = _to_download(request, state, access)
    tickets_at, excel = state.service.settings.ticket_url, request.query_params.get("excel") == "yes"
    return await exported("csv", asked, search, state, lambda: CsvWriter(tickets_at, excel=excel))


@get("/csat/responses.parquet", opt=RESPONSES)
async def download_parquet(request: Request, state: State, access: NamedDependency[Access]) -> Stream:
    """Give the responses of a view as Apache Parquet."""
    asked, search = _to_download(request, state, access)
    tickets_at = state.service.settings.ticket_url
    return await exported("parquet", asked, search, state, lambda: ParquetWriter(tickets_at))


def _to_download(request: Request, state: State, access: Access) -> tuple[Asked, Search]:
    """Understand what a file is to hold. Raises ClientException (400): one with more in it than was meant misleads."""
    today = state.clock().astimezone(access.account.zone).date()
    view = view_of(request.query_params, today, only=access.agent_id)
    if view.mistakes:
        raise ClientException(" ".join(view.mistakes))
    return view.asked(access.account), view.search


@get("/csat/live", opt={ENDLESS: True})
async def tell_page(access: NamedDependency[Access], state: State) -> ServerSentEvent:
    """Tell the open page that it should ask for itself anew."""
    return tell_changes(access.account, state.live)


@get("/sign-in", sync_to_thread=False)
def ask_for_key() -> Template:
    """Ask for the key that opens an account's reports."""
    return Template("sign_in.html", context={"brand": NEUTRAL, "mistake": ""})


@post("/session")
async def sign_in(request: Request, state: State) -> Response:
    """Remember the key in the browser when it opens something, else say so kindly."""
    # Another host or port of this site may: a help desk opens its reports with a form of its own.
    _refuse_forms_from(request, "cross-site")
    key = (await fields_of(request)).get("key", "").strip()
    try:
        access = await let_in(key, request, state)
    except TooMany as refused:
        return _not_signed_in("That was a lot of tries in a short time. Please wait a minute, then try again.", refused)
    if access is None or "figures" not in access.scopes:
        return _not_signed_in("This key opens no reports. It may be mistyped or cut off, or it was revoked.")
    return Redirect("/csat", status_code=303, cookies=[_cookie(state, key, SIGNED_IN_SECONDS)])


@post("/sign-out", sync_to_thread=False)
def sign_out(request: Request, state: State) -> Redirect:
    """Forget the key."""
    _refuse_forms_from(request, "cross-site", "same-site")
    return Redirect("/sign-in", status_code=303, cookies=[_cookie(state, "", 0)])


def _not_signed_in(mistake: str, refused: TooMany | None = None) -> Template:
    return Template(
        "sign_in.html",
        context={"brand": NEUTRAL, "mistake": mistake},
        status_code=429 if refused else 403,
        headers=refused.headers if refused else None,
    )


def _cookie(state: State, key: str, seconds: int) -> Cookie:
    secure = state.service.settings.public_url.startswith("https://")
    return Cookie(COOKIE, value=key, max_age=seconds, httponly=True, samesite="lax", secure=secure)


def _refuse_forms_from(request: Request, *places: str) -> None:
    """Refuse a form from there. Every browser of today says where one came from.

    Source: Fetch Metadata Request Headers, section 2.2 (Sec-Fetch-Site).
    """
    if request.headers.get("Sec-Fetch-Site") in places:
        raise PermissionDeniedException


dashboard = Router(
    "/",
    route_handlers=[
        show_first_tab,
        ask_for_key,
        sign_in,
        sign_out,
        Router(
            "/",
            route_handlers=[show_csat, download_csv, download_parquet, tell_page],
            dependencies={"access": Provide(access_signed_in)},
            exception_handlers={NotAuthorizedException: send_to_sign_in},
        ),
    ],
)
