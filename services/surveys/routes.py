"""The survey page. Looking changes nothing, since mail scanners open every link; only a POST saves."""

from collections.abc import Sequence
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
from shared.contracts.survey import MAX_COMMENT_LENGTH, SCORES
from shared.public_pages import honeypot
from shared.public_pages.captcha import CaptchaRefused
from shared.public_pages.forms import fields_of, plain_text
from shared.public_pages.pages import Problem, page, too_many
from shared.public_pages.rate_limits import CHALLENGES, SENDING, UNKNOWN_LINKS, TooMany, tell_programs


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
    token: FromPath[str],
    survey: NamedDependency[Survey],
    request: Request,
    state: State,
    session: NamedDependency[AsyncSession],
) -> Template:
    """Show the question, or what became of it. `?score=` of an emailed star chooses that star, no more."""
    account = await session.get_one(Account, survey.account_id)
    if survey.state_at(state.clock()) == "pending":
        chosen = request.query_params.get("score", "")
        return _form(token, survey, account, state, typed={"score": chosen, "comment": ""})
    shown = "submitted" if survey.state == "submitted" else "expired"
    return page(
        shown,
        survey=survey,
        brand=account.brand,
        zone=account.zone,
        meanings=SCORES,
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
    try:
        await state.limiter.take(SENDING, request, link=token, tenant=survey.account_id)
    except TooMany as refused:
        account = await session.get_one(Account, survey.account_id)
        return _form(token, survey, account, state, typed=typed, problems=[too_many(refused)], refused=refused)
    survey = await _locked(token, session)
    now = state.clock()
    if honeypot.is_caught(form):
        return _see_other(f"/s/{token}/thanks")
    if typed == {"score": str(survey.score), "comment": survey.comment}:
        return _see_other(f"/s/{token}/thanks")  # the same answer again, as by a double click
    if survey.state_at(now) != "pending":
        return _see_other(f"/s/{token}")
    problems = _problems(typed)
    if not problems:
        try:
            await state.gate.admit(form, _purpose(survey), f"{typed['score']} {typed['comment']}", session, now)
        except CaptchaRefused as refused:
            problems = [Problem("captcha", str(refused))]
    if problems:
        account = await session.get_one(Account, survey.account_id)
        return _form(token, survey, account, state, typed=typed, problems=problems)
    emit(session, survey.answer(int(typed["score"]), typed["comment"], now))
    return _see_other(f"/s/{token}/thanks")


@get("/s/{token:str}/thanks")
async def show_thanks(
    token: FromPath[str], survey: NamedDependency[Survey], session: NamedDependency[AsyncSession]
) -> Template:
    """Thank whoever sent the form."""
    account = await session.get_one(Account, survey.account_id)
    return page("thanks", brand=account.brand, token=token)


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


def _problems(typed: dict[str, str]) -> list[Problem]:
    problems = []
    if typed["score"] not in {str(score) for score, _ in SCORES}:
        problems.append(Problem("score", "Please choose 1 to 5 stars."))
    if (too_many := len(typed["comment"]) - MAX_COMMENT_LENGTH) > 0:
        problems.append(Problem("comment", f"Your comment is {too_many:,} characters too long."))
    return problems


def _form(
    token: str,
    survey: Survey,
    account: Account,
    state: State,
    *,
    typed: dict[str, str],
    problems: Sequence[Problem] = (),
    refused: TooMany | None = None,
) -> Template:
    return page(
        "survey",
        status=429 if refused else 422 if problems else 200,
        headers=refused.headers if refused else None,
        action=f"/s/{token}",
        facts=survey.facts,
        expires_at=survey.expires_at,
        brand=account.brand,
        zone=account.zone,
        meanings=SCORES,
        comment_limit=MAX_COMMENT_LENGTH,
        typed=typed,
        problems=problems,
        wrong_fields={problem.field for problem in problems},
        code_challenge=state.gate.code_to_read.challenge(_purpose(survey), state.clock()),
    )


def _purpose(survey: Survey) -> str:
    """Bind a captcha to this survey, so that it opens no other form."""
    return f"survey:{survey.survey_id}"


def _see_other(path: str) -> Redirect:
    return Redirect(path, status_code=303)
