"""The sandbox's pages: an agent's view of tickets, and everybody's mailbox."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.sandbox.desk import files, mailbox, work
from deploy.sandbox.desk.demo import AGENTS
from deploy.sandbox.desk.settings import Settings
from deploy.sandbox.desk.tables import Account, DeskTicket, Mail, Message, Rating
from shared.chassis.outbox import OutboxMessage
from shared.contracts import Agent, Requester
from shared.public_pages.forms import fields_of, plain_text
from shared.public_pages.language import ENGLISH
from shared.public_pages.pages import Problem

STATUSES = ("open", "pending", "resolved", "closed")
PRIORITIES = ("low", "normal", "high", "urgent")
LOCALES = {
    "": "not known",
    "en": "English",
    "de": "Deutsch",
    "fr": "Français",
    "es": "Español",
    "pt": "Português",
    "ar": "العربية",
    "ja": "日本語",
}

# An email is shown as it is, style sheets included; it runs nothing and loads nothing.
LETTER_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


@get("/")
async def show_desk(state: State, session: NamedDependency[AsyncSession]) -> Template:
    """Show the tickets of all accounts and a form for a new one."""
    return await _page("desk", state, session, typed={}, problems=[])


@post("/tickets")
async def open_ticket(request: Request, state: State, session: NamedDependency[AsyncSession]) -> Redirect | Template:
    """Open a ticket in somebody's name."""
    form = {name: plain_text(value) for name, value in (await fields_of(request)).items()}
    account = await session.get(Account, form.get("account", ""))
    problems = [
        Problem(field, f"Please fill in the {field}.")
        for field in ("subject", "name", "email")
        if not form.get(field, "").strip()
    ]
    if account is None:
        problems.append(Problem("account", "Please choose an account."))
    if account is None or problems:
        return await _page("desk", state, session, status=422, typed=form, problems=problems)
    agents = AGENTS.get(account.account_id, ())
    ticket = await work.create_ticket(
        session,
        state.clock(),
        account_id=account.account_id,
        subject=form["subject"],
        description=form.get("description", ""),
        requester=Requester(
            requester_id=form["email"], name=form["name"], email=form["email"], locale=form.get("locale") or None
        ),
        assignee=agents[0] if agents else None,
        watchers=agents[1:2],
        priority=form.get("priority") if form.get("priority") in PRIORITIES else "normal",  # type: ignore[arg-type]
        channel="web",
    )
    return _back_to(ticket)


@get("/tickets/{number:int}")
async def show_ticket(number: FromPath[int], state: State, session: NamedDependency[AsyncSession]) -> Template:
    """Show a ticket as its agent sees it, notes included, and the emails about it."""
    ticket = await _ticket(number, session)
    messages = (await session.scalars(select(Message).filter_by(number=number).order_by(Message.sent_at))).all()
    ratings = (await session.scalars(select(Rating).filter_by(number=number).order_by(Rating.submitted_at))).all()
    subject = ticket.snapshot.subject
    about = [letter for letter in await mailbox.newest_letters(session) if subject and subject in letter.subject]
    return await _page(
        "ticket",
        state,
        session,
        ticket=ticket,
        messages=messages,
        ratings=ratings,
        letters=about,
        agents=AGENTS.get(ticket.account_id, ()),
        statuses=STATUSES,
    )


@post("/tickets/{number:int}/{action:str}", request_max_body_size=files.MAX_BYTES)
async def work_on_ticket(
    number: FromPath[int],
    action: FromPath[str],
    request: Request,
    state: State,
    session: NamedDependency[AsyncSession],
) -> Redirect:
    """Do what an agent, or the requester by email, does with a ticket."""
    ticket = await _ticket(number, session)
    form, chosen = await files.fields_and_files(request)
    body, now = plain_text(form.get("body", "")), state.clock()
    agent = _agent(ticket, form.get("agent", ""))
    match action:
        case "reply" if body:
            attachments = await files.put(ticket.account_id, chosen, state.settings)
            work.reply(ticket, agent, body, session, now, attachments=attachments)
        case "note" if body:
            work.write_note(ticket, agent, body, session, now)
        case "email" if body:
            work.receive_email(ticket, body, session, now)
        case "status" if (status := form.get("status", "")) in STATUSES:
            if status != ticket.snapshot.status:
                work.set_status(ticket, status, agent, session, now)  # type: ignore[arg-type]
        case "erase" if not ticket.snapshot.requester.erased:
            await work.erase_requester(ticket.account_id, ticket.snapshot.requester, session, now)
        case _:
            pass  # an empty text: nothing was said
    return _back_to(ticket)


@get("/tickets/{number:int}/attachments/{attachment_id:str}")
async def download_attachment(
    number: FromPath[int], attachment_id: FromPath[str], state: State, session: NamedDependency[AsyncSession]
) -> Response[bytes]:
    """Give an agent a file of a ticket, as a download that runs nothing."""
    ticket = await _ticket(number, session)
    messages = await session.scalars(select(Message).filter_by(number=number))
    if all(each.attachment_id != attachment_id for message in messages for each in message.attachments):
        raise NotFoundException
    content = await files.get(ticket.account_id, attachment_id, state.settings)
    headers = {"Content-Disposition": "attachment", "Content-Security-Policy": "sandbox; default-src 'none'"}
    return Response(content, media_type="application/octet-stream", headers=headers)


@get("/mailbox")
async def show_mailbox(request: Request, state: State, session: NamedDependency[AsyncSession]) -> Template:
    """Show the newest emails, `?to=` one person's."""
    address = request.query_params.get("to")
    letters = await mailbox.newest_letters(session, address)
    people = (await session.scalars(select(Mail.recipient).distinct().order_by(Mail.recipient))).all()
    return await _page("mailbox", state, session, letters=letters, people=people, address=address, chosen=None)


@get("/mailbox/{mail_id:uuid}")
async def show_letter(mail_id: FromPath[UUID], state: State, session: NamedDependency[AsyncSession]) -> Template:
    """Show an email as a mail client would."""
    letters = await mailbox.newest_letters(session)
    people = (await session.scalars(select(Mail.recipient).distinct().order_by(Mail.recipient))).all()
    return await _page(
        "mailbox", state, session, letters=letters, people=people, address=None, chosen=await _letter(mail_id, session)
    )


@get("/mailbox/{mail_id:uuid}/html")
async def show_html(mail_id: FromPath[UUID], session: NamedDependency[AsyncSession]) -> Response[str]:
    """Give the email's HTML part to the frame it is shown in."""
    letter = await _letter(mail_id, session)
    return Response(letter.html, media_type=MediaType.HTML, headers={"Content-Security-Policy": LETTER_POLICY})


ROUTES = (
    show_desk,
    open_ticket,
    show_ticket,
    work_on_ticket,
    download_attachment,
    show_mailbox,
    show_letter,
    show_html,
)


async def _page(name: str, state: State, session: AsyncSession, *, status: int = 200, **context: Any) -> Template:
    """Answer with a page; each has the list of tickets beside it."""
    settings: Settings = state.settings
    accounts = (await session.scalars(select(Account).order_by(Account.account_id))).all()
    tickets = (await session.scalars(select(DeskTicket).order_by(DeskTicket.changed_at.desc()).limit(100))).all()
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        f"frame-src 'self'; form-action 'self' {settings.reports_url}; frame-ancestors 'none'; base-uri 'none'"
    )
    return Template(
        template_name=f"{name}.html",
        context={
            "accounts": {account.account_id: account.facts for account in accounts},
            "tickets": tickets,
            "unread": await session.scalar(select(func.count()).select_from(Mail)),
            "waiting": await session.scalar(select(func.count()).select_from(OutboxMessage)),
            "settings": settings,
            "keys": settings.reports_keys(),
            "priorities": PRIORITIES,
            "locales": LOCALES,
            "now": state.clock(),
            "ago": _ago,
            "file_size": ENGLISH.file_size,
            **context,
        },
        status_code=status,
        media_type=MediaType.HTML,
        headers={"Content-Security-Policy": policy},
    )


async def _ticket(number: int, session: AsyncSession) -> DeskTicket:
    ticket = await work.ticket_numbered(number, session)
    if ticket is None:
        raise NotFoundException
    return ticket


async def _letter(mail_id: UUID, session: AsyncSession) -> mailbox.Letter:
    mail = await session.get(Mail, mail_id)
    if mail is None:
        raise NotFoundException
    return mailbox.Letter(mail)


def _agent(ticket: DeskTicket, agent_id: str) -> Agent:
    """Find who acts: the agent chosen, else the assignee, else the account's first."""
    agents = {agent.agent_id: agent for agent in AGENTS[ticket.account_id]}
    return agents.get(agent_id) or ticket.snapshot.assignee or next(iter(agents.values()))


def _back_to(ticket: DeskTicket) -> Redirect:
    return Redirect(f"/tickets/{ticket.number}", status_code=303)


def _ago(moment: datetime, now: datetime) -> str:
    """Say how long ago something was, roughly."""
    minutes = int((now - moment).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"
