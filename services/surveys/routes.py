"""The survey page. Looking changes nothing, since mail scanners open every link; only a POST saves."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from litestar import HttpMethod, Request, Response, Router, get, post, route
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotFoundException, TooManyRequestsException
from litestar.params import FromPath
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys import queries
from services.surveys.survey import Survey
from services.surveys.tables import Account
from shared.chassis.outbox import emit
from shared.contracts.survey import MAX_COMMENT_LENGTH
from shared.public_pages import honeypot
from shared.public_pages.captcha import CaptchaRefused
from shared.public_pages.forms import fields_of, plain_text
from shared.public_pages.labels import star_labels
from shared.public_pages.language import Language
from shared.public_pages.pages import Problem, page, too_many
from shared.public_pages.quarantine import Reason
from shared.public_pages.rate_limits import CHALLENGES, SENDING, UNKNOWN_LINKS, TooMany, tell_programs
from shared.public_pages.reader import language_of_page


async def survey_behind(token: FromPath[str], request: Request, state: State) -> Survey:
    """Find what a link opens. Raises NotFoundException, and TooManyRequestsException for who tries one after the other.

    In a session of its own, so that no connection is held while requests are counted.
    """
    async with state.sessions() as session:
        survey = await session.scalar(queries.survey_behind(token))
    if survey is None:
        await state.limiter.take(UNKNOWN_LINKS, request)
        raise NotFoundException
    return survey


@route("/s/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def show_survey(
    survey: NamedDependency[Survey], request: Request, state: State, session: NamedDependency[AsyncSession]
) -> Template:
    """Show the question, or what became of it. `?score=` of an emailed star chooses that star, no more."""
    account = await session.get_one(Account, survey.account_id)
    if survey.state_at(state.clock()) == "pending":
        chosen = request.query_params.get("score", "")
        return _form(request, survey, account, state, typed={"score": chosen, "comment": ""})
    shown = "submitted" if survey.state == "submitted" else "expired"
    language = _language(request, survey, account)
    return page(
        shown,
        language,
        survey=survey,
        brand=account.brand,
        zone=account.zone,
        meanings=star_labels(language),
        reopened=survey.expired_reason == "reopened",
    )


@post("/s/{token:str}")
async def receive_rating(
    token: FromPath[str],
    survey: NamedDependency[Survey],
    request: Request,
    state: State,
    session: NamedDependency[AsyncSession],
) -> Response | Template:
    """Save the rating once; whatever stands in the way is told and nothing that was typed is lost."""
    form = await fields_of(request)  # before the lock, which a slow sender would hold
    typed = {"score": form.get("score", ""), "comment": plain_text(form.get("comment", ""))}
    thanks = _see_other(f"/s/{token}/thanks")
    try:
        await state.limiter.take(SENDING, request, link=token, tenant=survey.account_id)
    except TooMany as refused:
        account = await session.get_one(Account, survey.account_id)
        return _form(request, survey, account, state, form, typed=typed, refused=refused)
    survey = await _locked(token, session)
    now = state.clock()
    account = await session.get_one(Account, survey.account_id)
    language = _language(request, survey, account)
    problems = _problems(typed, language)
    is_open = survey.state_at(now) == "pending"
    if honeypot.is_caught(form):
        if is_open and not problems:
            await _put_aside("honeypot", survey, typed, state, session)
        return thanks
    if typed == {"score": str(survey.score), "comment": survey.comment}:
        return thanks  # the same answer again, as by a double click
    if not is_open:
        return _see_other(f"/s/{token}")
    if not problems:
        content = f"{typed['score']} {typed['comment']}"
        try:
            first_time = await state.gate.admit(form, _purpose(survey), content, session, now)
        except CaptchaRefused as refused:
            problems = [Problem("captcha", refused.explained(language))]
        else:
            if first_time and state.pace.is_too_fast(form, _purpose(survey), now):
                await _put_aside("too_fast", survey, typed, state, session)
            elif first_time:
                emit(session, survey.answer(int(typed["score"]), typed["comment"], now))
            return thanks
    return _form(request, survey, account, state, form, typed=typed, problems=problems)


@get("/s/{token:str}/thanks")
async def show_thanks(
    token: FromPath[str], survey: NamedDependency[Survey], request: Request, session: NamedDependency[AsyncSession]
) -> Template:
    """Thank whoever sent the form."""
    account = await session.get_one(Account, survey.account_id)
    return page("thanks", _language(request, survey, account), brand=account.brand, token=token)


@get("/s/{token:str}/challenge", exception_handlers={TooManyRequestsException: tell_programs})
async def make_challenge(
    token: FromPath[str], survey: NamedDependency[Survey], request: Request, state: State
) -> dict[str, Any]:
    """Give the browser's widget a fresh challenge for this survey."""
    await state.limiter.take(CHALLENGES, request, link=token, tenant=survey.account_id)
    return state.gate.proof_of_work.challenge(_purpose(survey), state.clock())


ROUTES = (
    Router(
        "/",
        route_handlers=[show_survey, receive_rating, show_thanks, make_challenge],
        dependencies={"survey": Provide(survey_behind)},
    ),
)


async def _locked(token: str, session: AsyncSession) -> Survey:
    survey = await session.scalar(queries.survey_behind(token).with_for_update())
    if survey is None:
        raise NotFoundException
    return survey


async def _put_aside(
    reason: Reason, survey: Survey, typed: dict[str, str], state: State, session: AsyncSession
) -> None:
    await state.quarantine.keep(
        reason, typed, session, state.clock(), account_id=survey.account_id, about=str(survey.survey_id)
    )


def _problems(typed: dict[str, str], language: Language) -> list[Problem]:
    problems = []
    if typed["score"] not in set("12345"):
        problems.append(Problem("score", language.gettext("Please choose 1 to 5 stars.")))
    if (too_many := len(typed["comment"]) - MAX_COMMENT_LENGTH) > 0:
        text = language.ngettext(
            "Your comment is %(number)s character too long.",
            "Your comment is %(number)s characters too long.",
            too_many,
        )
        problems.append(Problem("comment", text))
    return problems


def _form(
    request: Request,
    survey: Survey,
    account: Account,
    state: State,
    form: Mapping[str, str] = MappingProxyType({}),
    *,
    typed: dict[str, str],
    problems: Sequence[Problem] = (),
    refused: TooMany | None = None,
) -> Template:
    language = _language(request, survey, account)
    if refused:
        problems = [too_many(language)]
    return page(
        "survey",
        language,
        status=429 if refused else 422 if problems else 200,
        headers=refused.headers if refused else None,
        action=f"/s/{request.path_params['token']}",
        facts=survey.facts,
        expires_at=survey.expires_at,
        brand=account.brand,
        zone=account.zone,
        meanings=star_labels(language),
        comment_limit=MAX_COMMENT_LENGTH,
        typed=typed,
        problems=problems,
        wrong_fields={problem.field for problem in problems},
        code_challenge=state.gate.code_to_read.challenge(_purpose(survey), state.clock()),
        shown=state.pace.stamp(form, _purpose(survey), state.clock()),
    )


def _language(request: Request, survey: Survey, account: Account) -> Language:
    return language_of_page(request, requester=survey.facts.requester_locale, account=account.locale)


def _purpose(survey: Survey) -> str:
    """Bind a captcha to this survey, so that it opens no other form."""
    return f"survey:{survey.survey_id}"


def _see_other(path: str) -> Redirect:
    return Redirect(path, status_code=303)
