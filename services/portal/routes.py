"""The ticket page. Looking changes nothing, since mail scanners open every link; only a POST does."""

from collections.abc import Sequence
from typing import Any

from litestar import HttpMethod, Request, Response, get, post, route
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.portal import queries
from services.portal.tables import Account
from services.portal.ticket import MAX_REPLY_LENGTH, Ticket, reopened_by_last_reply
from shared.chassis.outbox import emit
from shared.public_pages import honeypot
from shared.public_pages.captcha import CaptchaRefused
from shared.public_pages.forms import fields_of, plain_text
from shared.public_pages.language import Language
from shared.public_pages.pages import Problem, page
from shared.public_pages.reader import language_of_page


@route("/t/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def show_ticket(
    token: FromPath[str], request: Request, state: State, session: NamedDependency[AsyncSession]
) -> Template:
    """Show the ticket, its conversation and, unless it is closed, the reply form. `?sent` adds a word of success."""
    ticket = await _ticket(token, state, session)
    return await _page(request, ticket, state, session, sent="sent" in request.query_params)


@post("/t/{token:str}")
async def receive_reply(
    token: FromPath[str], request: Request, state: State, session: NamedDependency[AsyncSession]
) -> Response | Template:
    """Take the reply once; whatever stands in the way is told and nothing that was typed is lost."""
    form = await fields_of(request)  # before the lock: a slow sender must not hold up the ticket
    ticket = await _ticket(token, state, session, locked=True)
    now = state.clock()
    if honeypot.is_caught(form):
        return _success(token)
    typed = plain_text(form.get("body", ""))
    if not ticket.takes_replies:
        # Who sends a form again since no answer came must not read that it was not sent.
        if await state.gate.has_admitted(form, _purpose(ticket), typed, session, now):
            return _success(token)
        return await _page(request, ticket, state, session, status=409, typed=typed)
    language = await _language(request, ticket, session)
    problems = _problems(typed, language)
    if not problems:
        try:
            first_time = await state.gate.admit(form, _purpose(ticket), typed, session, now)
        except CaptchaRefused as refused:
            problems = [Problem("captcha", refused.explained(language))]
        else:
            if first_time:
                messages, events = ticket.take_reply(typed, now)
                session.add_all(messages)
                for event in events:
                    emit(session, event)
            return _success(token)
    return await _page(request, ticket, state, session, status=422, typed=typed, problems=problems)


@get("/t/{token:str}/challenge")
async def make_challenge(token: FromPath[str], state: State, session: NamedDependency[AsyncSession]) -> dict[str, Any]:
    """Give the browser's widget a fresh challenge for this ticket."""
    ticket = await _ticket(token, state, session)
    return state.gate.proof_of_work.challenge(_purpose(ticket), state.clock())


ROUTES = (show_ticket, receive_reply, make_challenge)


async def _ticket(token: str, state: State, session: AsyncSession, *, locked: bool = False) -> Ticket:
    query = queries.ticket_behind(token, state.clock())
    ticket = await session.scalar(query.with_for_update(of=Ticket) if locked else query)
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
    *,
    status: int = 200,
    sent: bool = False,
    typed: str = "",
    problems: Sequence[Problem] = (),
) -> Template:
    account = await session.get_one(Account, ticket.account_id)
    messages = (await session.scalars(queries.conversation_of(ticket))).all()
    return page(
        "ticket",
        await _language(request, ticket, session),
        status=status,
        action=f"/t/{request.path_params['token']}",
        brand=account.brand,
        zone=account.zone,
        ticket=ticket,
        messages=messages,
        sent=sent,
        reopened=ticket.status == "open" and reopened_by_last_reply(messages),
        typed=typed,
        reply_limit=MAX_REPLY_LENGTH,
        problems=problems,
        wrong_fields={problem.field for problem in problems},
        code_challenge=state.gate.code_to_read.challenge(_purpose(ticket), state.clock()),
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
