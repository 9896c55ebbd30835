"""The survey page. Looking changes nothing, since mail scanners open every link; only a POST saves."""

from collections.abc import Sequence
from typing import Any

from litestar import HttpMethod, Request, Response, get, post, route
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
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
from shared.public_pages.pages import Problem, page
from shared.public_pages.reader import language_of_page


@route("/s/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def show_survey(
    token: FromPath[str], request: Request, state: State, session: NamedDependency[AsyncSession]
) -> Template:
    """Show the question, or what became of it. `?score=` of an emailed star chooses that star, no more."""
    survey = await _survey(token, session)
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
    token: FromPath[str], request: Request, state: State, session: NamedDependency[AsyncSession]
) -> Response | Template:
    """Save the rating once; whatever stands in the way is told and nothing that was typed is lost."""
    form = await fields_of(request)  # before the lock, which a slow sender would hold
    survey = await _survey(token, session, locked=True)
    now = state.clock()
    if honeypot.is_caught(form):
        return _see_other(f"/s/{token}/thanks")
    typed = {"score": form.get("score", ""), "comment": plain_text(form.get("comment", ""))}
    if typed == {"score": str(survey.score), "comment": survey.comment}:
        return _see_other(f"/s/{token}/thanks")  # the same answer again, as by a double click
    if survey.state_at(now) != "pending":
        return _see_other(f"/s/{token}")
    account = await session.get_one(Account, survey.account_id)
    language = _language(request, survey, account)
    problems = _problems(typed, language)
    if not problems:
        try:
            await state.gate.admit(form, _purpose(survey), f"{typed['score']} {typed['comment']}", session, now)
        except CaptchaRefused as refused:
            problems = [Problem("captcha", refused.explained(language))]
    if problems:
        return _form(request, survey, account, state, typed=typed, problems=problems)
    emit(session, survey.answer(int(typed["score"]), typed["comment"], now))
    return _see_other(f"/s/{token}/thanks")


@get("/s/{token:str}/thanks")
async def show_thanks(token: FromPath[str], request: Request, session: NamedDependency[AsyncSession]) -> Template:
    """Thank whoever sent the form."""
    survey = await _survey(token, session)
    account = await session.get_one(Account, survey.account_id)
    return page("thanks", _language(request, survey, account), brand=account.brand, token=token)


@get("/s/{token:str}/challenge")
async def make_challenge(token: FromPath[str], state: State, session: NamedDependency[AsyncSession]) -> dict[str, Any]:
    """Give the browser's widget a fresh challenge for this survey."""
    survey = await _survey(token, session)
    return state.gate.proof_of_work.challenge(_purpose(survey), state.clock())


ROUTES = (show_survey, receive_rating, show_thanks, make_challenge)


async def _survey(token: str, session: AsyncSession, *, locked: bool = False) -> Survey:
    query = queries.survey_behind(token)
    survey = await session.scalar(query.with_for_update() if locked else query)
    if survey is None:
        raise NotFoundException
    return survey


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
    *,
    typed: dict[str, str],
    problems: Sequence[Problem] = (),
) -> Template:
    language = _language(request, survey, account)
    return page(
        "survey",
        language,
        status=422 if problems else 200,
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
    )


def _language(request: Request, survey: Survey, account: Account) -> Language:
    return language_of_page(request, requester=survey.facts.requester_locale, account=account.locale)


def _purpose(survey: Survey) -> str:
    """Bind a captcha to this survey, so that it opens no other form."""
    return f"survey:{survey.survey_id}"


def _see_other(path: str) -> Redirect:
    return Redirect(path, status_code=303)
