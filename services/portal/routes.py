"""The ticket page. Looking changes nothing, since mail scanners open every link; only a POST does."""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from litestar import HttpMethod, Request, Response, Router, get, post, route
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotFoundException, TooManyRequestsException
from litestar.params import FromPath
from litestar.response import Redirect, ServerSentEvent, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.portal import fresh_links, queries
from services.portal.attached_files import keep
from services.portal.attachment_routes import download_attachment
from services.portal.chosen_files import Files, not_stored, problems_of
from services.portal.file_types import label
from services.portal.live import news_of
from services.portal.replies import SOLVED, put_aside, take_reply, take_solution
from services.portal.storage import StorageFailed
from services.portal.tables import Account
from services.portal.ticket import MAX_REPLY_LENGTH, Ticket, reopened_by_last_reply
from services.portal.uploads import read_form
from shared.chassis.requests import ENDLESS
from shared.chassis.tenancy import transaction_of
from shared.public_pages import honeypot
from shared.public_pages.access_links import digest
from shared.public_pages.captcha import CaptchaRefused
from shared.public_pages.forms import fields_of, plain_text
from shared.public_pages.language import Language
from shared.public_pages.pages import Problem, page, too_many
from shared.public_pages.rate_limits import CHALLENGES, SENDING, UNKNOWN_LINKS, TooMany, tell_programs
from shared.public_pages.reader import language_of_page


async def ticket_behind(token: FromPath[str], request: Request, state: State) -> Ticket:
    """Find what a link opens. Raises NotFoundException, and TooManyRequestsException for who tries one after the other.

    In a session of its own: the link is to tell whose rows may be seen, and no connection is held while requests are
    counted.
    """
    async with state.service.sessions() as session:
        ticket = await session.scalar(queries.ticket_behind(token, state.clock()))
    if ticket is None:
        await state.limiter.take(UNKNOWN_LINKS, request)
        raise NotFoundException
    return ticket


async def session_of_ticket(ticket: NamedDependency[Ticket], state: State) -> AsyncIterator[AsyncSession]:
    """Give a route its session, which sees the rows of the ticket's account and no others."""
    async with transaction_of(ticket.account_id, state.sessions) as session:
        yield session


@route("/t/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def show_ticket(
    ticket: NamedDependency[Ticket], request: Request, state: State, session: NamedDependency[AsyncSession]
) -> Template:
    """Show the ticket, its conversation and, unless it is closed, its forms. `?sent` and `?solved` thank for that."""
    asked = request.query_params
    return await _page(request, ticket, state, session, sent="sent" in asked, solved="solved" in asked)


@post("/t/{token:str}", request_max_body_size=None)  # counted while it is read
async def receive_form(token: FromPath[str], request: Request, state: State) -> Response | Template:
    """Take a reply, or with `?fresh-link` the form of a dead link's page, which has this address, too."""
    if fresh_links.ASKED in request.query_params:
        return await fresh_links.send_fresh_link(token, request, state)
    ticket = await ticket_behind(token, request, state)
    async with transaction_of(ticket.account_id, state.sessions) as session:
        return await _receive_reply(token, ticket, request, state, session)


async def _receive_reply(
    token: str, ticket: Ticket, request: Request, state: State, session: AsyncSession
) -> Response | Template:
    """Take the reply once; whatever stands in the way is told and nothing that was typed is lost."""
    # All is read before the lock: a slow sender must not hold up the ticket.
    posted = await read_form(request, most_bytes=state.attachments.limits.form_bytes)
    form = posted.fields
    typed = plain_text(form.get("body", ""))
    try:
        await state.limiter.take(SENDING, request, link=token, tenant=ticket.account_id)
    except TooMany as refused:
        return await _page(request, ticket, state, session, form, status=429, typed=typed, refused=refused)
    # Files are stored of people only, and while they can have an effect.
    store = ticket.takes_replies and state.gate.is_solved(form, _purpose(ticket), state.clock())
    try:
        files = await state.attachments.take(posted, state.sessions, state.clock, store=store)
    except StorageFailed:
        language = await _language(request, ticket, session)
        problem = Problem("files", not_stored(language))
        return await _page(request, ticket, state, session, form, status=503, typed=typed, problems=[problem])
    answer = await _answer(request, state, session, form=form, typed=typed, files=files)
    if not files.kept:
        answer.background = BackgroundTask(state.attachments.drop, files, state.sessions)
    return answer


async def _answer(
    request: Request, state: State, session: AsyncSession, *, form: Mapping[str, str], typed: str, files: Files
) -> Response | Template:
    token = request.path_params["token"]
    ticket = await _locked(token, state, session)
    now = state.clock()
    language = await _language(request, ticket, session)
    problems = _problems(typed, language) + problems_of(files, state.attachments.limits, language)
    content, possible = typed + files.content, ticket.takes_replies and not problems
    try:
        verdict = await state.admission.decide(form, _purpose(ticket), content, session, now, possible=possible)
    except CaptchaRefused as refused:
        verdict, problems = "impossible", [Problem("captcha", refused.explained(language))]
    match verdict:
        case "admitted":
            await keep(files, session, now, account_id=ticket.account_id)
            take_reply(ticket, typed, session, now, files.attachments)
        case "honeypot" | "too_fast":
            await put_aside(verdict, ticket, typed, files, session, quarantine=state.quarantine, now=now)
        case "impossible" if ticket.takes_replies:
            if files.stored:
                problems = [*problems, Problem("files", language.gettext("Please choose your files again."))]
            return await _page(request, ticket, state, session, form, status=422, typed=typed, problems=problems)
        # Who sends a form again since no answer came must not read that it was not sent.
        case "impossible" if not await state.gate.has_admitted(form, _purpose(ticket), content, session, now):
            return await _page(request, ticket, state, session, form, status=409, typed=typed)
    return _success(token)


@post("/t/{token:str}/solved")
async def mark_solved(token: FromPath[str], request: Request, state: State) -> Redirect:
    """Take the requester's word that they need no more help, once.

    No captcha: there is nothing to write, it is done once until something changes, and a reply takes it back.
    """
    try:
        ticket = await ticket_behind(token, request, state)
    except NotFoundException:
        return Redirect(f"/t/{quote(token, safe='')}", status_code=303)  # its page says that it is dead, and what to do
    form = await fields_of(request)
    await state.limiter.take(SENDING, request, link=token, tenant=ticket.account_id)
    async with transaction_of(ticket.account_id, state.sessions) as session:
        ticket = await _locked(token, state, session)
        now = state.clock()
        if ticket.can_be_solved and honeypot.is_caught(form):
            whose = {"account_id": ticket.account_id, "about": ticket.ticket_id}
            await state.quarantine.keep("honeypot", {SOLVED: "yes"}, session, now, **whose)
        elif ticket.can_be_solved:
            take_solution(ticket, session, now)
    return Redirect(f"/t/{token}?solved=yes#solved", status_code=303)


@get("/t/{token:str}/events", opt={ENDLESS: True})
async def tell_news(
    ticket: NamedDependency[Ticket], request: Request, state: State
) -> ServerSentEvent | Response[None]:
    """Tell the open page of news as it happens, beginning after `Last-Event-ID` or else the revision in `?since`.

    503 when this replica cannot, or has too many readers.
    """
    if not state.live.has_room(ticket.account_id, ticket.ticket_id):
        return Response(None, status_code=503, headers={"Retry-After": "60"})
    seen = request.headers.get("last-event-id") or request.query_params.get("since", "")
    since = min(int(seen) if seen.isdecimal() and len(seen) < 19 else ticket.revision, ticket.revision)
    return ServerSentEvent(news_of(ticket, since, state.live, state.sessions), headers={"Cache-Control": "no-store"})


@get("/t/{token:str}/challenge", exception_handlers={TooManyRequestsException: tell_programs})
async def make_challenge(
    token: FromPath[str], ticket: NamedDependency[Ticket], request: Request, state: State
) -> dict[str, Any]:
    """Give the browser's widget a fresh challenge for this ticket."""
    await state.limiter.take(CHALLENGES, request, link=token, tenant=ticket.account_id)
    return state.gate.proof_of_work.challenge(_purpose(ticket), state.clock())


_BEHIND_A_LINK = {"ticket": Provide(ticket_behind), "session": Provide(session_of_ticket)}

ROUTES = (
    Router(
        "/",
        route_handlers=[show_ticket, receive_form, mark_solved, tell_news, make_challenge],
        dependencies=_BEHIND_A_LINK,
        exception_handlers={NotFoundException: fresh_links.offer_fresh_link},
    ),
    Router("/", route_handlers=[download_attachment], dependencies=_BEHIND_A_LINK),
)


async def _locked(token: str, state: State, session: AsyncSession) -> Ticket:
    ticket = await session.scalar(queries.ticket_behind(token, state.clock()).with_for_update(of=Ticket))
    if ticket is None:
        raise NotFoundException
    return ticket


def _problems(typed: str, language: Language) -> list[Problem]:
    if not typed:
        return [Problem("body", language.gettext("Please write your reply."))]
    if (too_many := len(typed) - MAX_REPLY_LENGTH) > 0:
        text = language.ngettext(
            "Your reply is %(number)s character too long.", "Your reply is %(number)s characters too long.", too_many
        )
        return [Problem("body", text)]
    return []


async def _page(
    request: Request,
    ticket: Ticket,
    state: State,
    session: AsyncSession,
    form: Mapping[str, str] = MappingProxyType({}),
    *,
    status: int = 200,
    sent: bool = False,
    solved: bool = False,
    typed: str = "",
    problems: Sequence[Problem] = (),
    refused: TooMany | None = None,
) -> Template:
    account = await session.get_one(Account, ticket.account_id)
    language = await _language(request, ticket, session)
    if refused:
        problems = [too_many(language)]
    messages = (await session.scalars(queries.conversation_of(ticket))).all()
    attached = [attachment for message in messages for attachment in message.attachments]
    files_there = await session.scalars(queries.files_there(ticket.account_id, attached)) if attached else ()
    return page(
        "ticket",
        language,
        status=status,
        headers=refused.headers if refused else None,
        action=f"/t/{request.path_params['token']}",
        brand=account.brand,
        zone=account.zone,
        ticket=ticket,
        messages=messages,
        files_there=set(files_there),
        file_label=label,
        file_limits=state.attachments.limits,
        sent=sent,
        solved=solved and ticket.status == "resolved",
        reopened=ticket.status == "open" and reopened_by_last_reply(messages),
        typed=typed,
        reply_limit=MAX_REPLY_LENGTH,
        problems=problems,
        wrong_fields={problem.field for problem in problems},
        code_challenge=state.gate.code_to_read.challenge(_purpose(ticket), state.clock()),
        shown=state.pace.stamp(form, _purpose(ticket), state.clock()),
        draft=digest(_purpose(ticket)).hex()[:16],
    )


async def _language(request: Request, ticket: Ticket, session: AsyncSession) -> Language:
    account = await session.get_one(Account, ticket.account_id)
    return language_of_page(request, requester=ticket.snapshot.requester.locale, account=account.locale)


def _purpose(ticket: Ticket) -> str:
    """Bind a captcha to this ticket, so that it opens no other form."""
    return f"ticket:{ticket.account_id}/{ticket.ticket_id}"


def _success(token: str) -> Redirect:
    """Show the conversation with the reply in it. The address is the same for a first reply, its repeat and a robot."""
    return Redirect(f"/t/{token}?sent=yes#sent", status_code=303)
