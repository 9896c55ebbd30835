"""The survey page. Looking changes nothing, since mail scanners open every link; only a POST saves."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from litestar import HttpMethod, Request, Response, Router, get, post, route
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import TooManyRequestsException
from litestar.params import FromPath
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys import opt_out, thanks
from services.surveys.behind_links import (
    language_of,
    locked,
    purpose_of,
    put_aside,
    see_other,
    session_of_survey,
    survey_behind,
)
from services.surveys.reasons import reasons_in
from services.surveys.survey import LOW_SCORES, Survey
from services.surveys.tables import Account
from shared.chassis.outbox import emit
from shared.contracts import ReasonGiven, SurveyWording
from shared.contracts.survey import MAX_COMMENT_LENGTH
from shared.public_pages.captcha import CaptchaRefused
from shared.public_pages.forms import fields_of, plain_text
from shared.public_pages.labels import star_labels
from shared.public_pages.language import Language
from shared.public_pages.pages import Problem, page, too_many
from shared.public_pages.rate_limits import CHALLENGES, SENDING, TooMany, tell_programs
from shared.public_pages.wording import in_language


@route("/s/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def show_survey(
    survey: NamedDependency[Survey], request: Request, state: State, session: NamedDependency[AsyncSession]
) -> Template:
    """Show the question, or what became of it. `?score=` of an emailed star chooses that star, no more."""
    account = await session.get_one(Account, survey.account_id)
    if survey.state_at(state.clock()) == "pending":
        chosen = request.query_params.get("score", "")
        return _form(request, survey, account, state, typed={"score": chosen, "comment": "", "reason": ""})
    shown = "submitted" if survey.state == "submitted" else "expired"
    language = language_of(request, survey, account)
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
    typed = {
        "score": form.get("score", ""),
        "comment": plain_text(form.get("comment", "")),
        "reason": form.get("reason", ""),
    }
    success = see_other(f"/s/{token}/thanks")
    try:
        await state.limiter.take(SENDING, request, link=token, tenant=survey.account_id)
    except TooMany as refused:
        account = await session.get_one(Account, survey.account_id)
        return _form(request, survey, account, state, form, typed=typed, refused=refused)
    survey = await locked(token, session)
    now = state.clock()
    account = await session.get_one(Account, survey.account_id)
    language = language_of(request, survey, account)
    reason = _picked(typed, account, language)
    problems = _problems(typed, language)
    is_open = survey.state_at(now) == "pending"
    is_repeat = (typed["score"], typed["comment"], reason) == (str(survey.score), survey.comment, survey.reason)
    content, possible = f"{typed['score']} {reason.code if reason else ''} {typed['comment']}", is_open and not problems
    try:
        verdict = await state.admission.decide(form, purpose_of(survey), content, session, now, possible=possible)
    except CaptchaRefused as refused:
        verdict, problems = "impossible", [Problem("captcha", refused.explained(language))]
    match verdict:
        case "admitted":
            emit(session, survey.answer(int(typed["score"]), typed["comment"], now, reason=reason))
        case "honeypot" | "too_fast":
            await put_aside(verdict, survey, _kept(typed, reason), state, session)
        case "impossible" if is_open:
            return _form(request, survey, account, state, form, typed=typed, problems=problems)
        case "impossible" if not is_repeat:
            return see_other(f"/s/{token}")
    return success  # also for the same answer again, as by a double click


@get("/s/{token:str}/challenge", exception_handlers={TooManyRequestsException: tell_programs})
async def make_challenge(
    token: FromPath[str], survey: NamedDependency[Survey], request: Request, state: State
) -> dict[str, Any]:
    """Give the browser's widget a fresh challenge for this survey."""
    await state.limiter.take(CHALLENGES, request, link=token, tenant=survey.account_id)
    return state.gate.proof_of_work.challenge(purpose_of(survey), state.clock())


ROUTES = (
    Router(
        "/",
        route_handlers=[show_survey, receive_rating, make_challenge],
        dependencies={"survey": Provide(survey_behind), "session": Provide(session_of_survey)},
    ),
    *thanks.ROUTES,
    *opt_out.ROUTES,
)


def _picked(typed: dict[str, str], account: Account, language: Language) -> ReasonGiven | None:
    """Find the reason that was picked; with a good score there is none, whatever a hidden field says."""
    if typed["score"] not in map(str, LOW_SCORES):
        return None
    return next((one for one in reasons_in(language, account.survey_policy) if one.code == typed["reason"]), None)


def _kept(typed: dict[str, str], reason: ReasonGiven | None) -> dict[str, str]:
    """Write down a rating that is put aside, its reason as it was read."""
    kept = {name: typed[name] for name in ("score", "comment")}
    return kept | {"reason": reason.code, "reason_text": reason.text} if reason else kept


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
    language = language_of(request, survey, account)
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
        reasons=reasons_in(language, account.survey_policy),
        wording=in_language(account.survey_policy.wording, language) or SurveyWording(),
        comment_limit=MAX_COMMENT_LENGTH,
        typed=typed,
        problems=problems,
        wrong_fields={problem.field for problem in problems},
        code_challenge=state.gate.code_to_read.challenge(purpose_of(survey), state.clock()),
        shown=state.pace.stamp(form, purpose_of(survey), state.clock()),
    )
