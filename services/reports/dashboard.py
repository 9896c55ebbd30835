"""The pages of Help Desk Reports: sign in with a key, and the CSAT tab. They need no script."""

from collections.abc import Mapping
from datetime import date, timedelta

from litestar import Request, Response, Router, get, post
from litestar.datastructures import Cookie, State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.response import Redirect, Template

from services.reports import figures, queries
from services.reports.api_keys import Access, let_in
from services.reports.chart import draw, granularity_for
from services.reports.days import Days, WrongDays, days_between
from services.reports.formats import FORMATS
from services.reports.queries import Asked, Search
from services.reports.satisfaction import response_rate
from shared.chassis.tenancy import session_of
from shared.contracts.event import MAX_ID_LENGTH
from shared.public_pages.branding import NEUTRAL
from shared.public_pages.forms import fields_of
from shared.public_pages.rate_limits import TooMany

COOKIE = "closeloop_reports"
"""Holds the key itself: what it shows is what the key shows, and revoking the key ends both."""

SIGNED_IN_SECONDS = 30 * 24 * 3600
RECENT_COMMENTS = 6

PERIODS = {"7": "7 days", "30": "30 days", "90": "90 days", "month": "This month"}


async def access_signed_in(request: Request, state: State) -> Access:
    """Find what this browser may see. Raises NotAuthorizedException when it has to sign in."""
    access = await let_in(key, request, state) if (key := request.cookies.get(COOKIE)) else None
    if access is None or "figures" not in access.scopes:
        raise NotAuthorizedException
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
    today = state.clock().astimezone(account.zone).date()
    agent_id = request.query_params.get("agent") or None
    if agent_id is not None and not (len(agent_id) <= MAX_ID_LENGTH and agent_id.isprintable()):
        agent_id = None
    agent_id = access.agent_id or agent_id
    mistake = ""
    try:
        period, days = chosen_days(request.query_params, today)
    except WrongDays as wrong:
        mistake = str(wrong)
        period, days = "30", days_between(None, None, today=today)
    asked = Asked(account.account_id, days, agent_id)

    granularity = granularity_for(days)
    async with session_of(account.account_id, state.sessions) as session:
        totals = await figures.totals(asked, session)
        context = {
            **FORMATS,
            "account": account,
            "brand": account.brand,
            "days": days,
            "period": period,
            "periods": PERIODS,
            "mistake": mistake,
            "today": today,
            "agent_id": agent_id,
            "agent_name": (agent_id and await session.scalar(queries.name_of_agent(asked))) or agent_id,
            "granularity": granularity,
            "has_surveys": await session.scalar(queries.has_surveys(account.account_id)),
            "scores": totals.scores,
            "surveys": totals.surveys,
            "response_rate": response_rate(totals.surveys),
            "agents": await figures.agents(asked, session),
            "chart": draw(await figures.trend(asked, granularity, session)),
            "comments": (
                await session.scalars(queries.responses(asked, RECENT_COMMENTS, search=Search(commented=True)))
            ).all()
            if "responses" in access.scopes
            else [],
        }
    return Template("csat.html", context=context, status_code=400 if mistake else 200)


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


def chosen_days(query: Mapping[str, str], today: date) -> tuple[str, Days]:
    """Read the days from the address: `first` and `last`, both of them in, or else a `period`.

    Raises WrongDays when they are no days or no range.
    """
    if query.get("first") or query.get("last"):
        try:
            first, last = (date.fromisoformat(query[name]) if query.get(name) else None for name in ("first", "last"))
            end = last + timedelta(days=1) if last else None
        except (ValueError, OverflowError):
            raise WrongDays("start", "Please write days like 2026-03-31.") from None
        return "", days_between(first, end, today=today)
    period = query.get("period", "30")
    if period == "month":
        return period, days_between(today.replace(day=1), None, today=today)
    if period not in PERIODS:
        period = "30"
    return period, days_between(today - timedelta(days=int(period) - 1), None, today=today)


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
            route_handlers=[show_csat],
            dependencies={"access": Provide(access_signed_in)},
            exception_handlers={NotAuthorizedException: send_to_sign_in},
        ),
    ],
)
