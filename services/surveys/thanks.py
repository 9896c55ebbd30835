"""The page after a rating: thanks, and a way to talk again by choice. A rating alone opens nothing."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from litestar import Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys.behind_links import (
    language_of,
    locked,
    purpose_of,
    put_aside,
    see_other,
    session_of_survey,
    survey_behind,
)
from services.surveys.survey import Survey
from services.surveys.tables import Account
from shared.chassis.outbox import emit
from shared.contracts import SurveyWording
from shared.contracts.survey import MAX_COMMENT_LENGTH
from shared.public_pages.captcha import CaptchaRefused
from shared.public_pages.forms import fields_of, plain_text
from shared.public_pages.language import Language
from shared.public_pages.pages import Problem, page, too_many
from shared.public_pages.rate_limits import SENDING, TooMany
from shared.public_pages.wording import in_language


@get("/s/{token:str}/thanks")
async def show_thanks(
    survey: NamedDependency[Survey], request: Request, state: State, session: NamedDependency[AsyncSession]
) -> Template:
    """Thank whoever sent the form. `?sent` adds a word of success after a message."""
    account = await session.get_one(Account, survey.account_id)
    return _page(request, survey, account, state, sent="sent" in request.query_params)


@post("/s/{token:str}/follow-up")
async def receive_follow_up(
    token: FromPath[str],
    survey: NamedDependency[Survey],
    request: Request,
    state: State,
    session: NamedDependency[AsyncSession],
) -> Response | Template:
    """Take what the requester wants to talk about, once; whatever stands in the way is told and nothing is lost."""
    form = await fields_of(request)  # before the lock, which a slow sender would hold
    message = plain_text(form.get("message", ""))
    success = see_other(f"/s/{token}/thanks?sent=yes#sent")
    try:
        await state.limiter.take(SENDING, request, link=token, tenant=survey.account_id)
    except TooMany as refused:
        account = await session.get_one(Account, survey.account_id)
        return _page(request, survey, account, state, form, message=message, refused=refused)
    survey = await locked(token, session)
    now = state.clock()
    account = await session.get_one(Account, survey.account_id)
    language = language_of(request, survey, account)
    if survey.follow_up_at:
        return success  # the same message again, as by a double click; or another one: it is open, they can reply
    problems = _problems(message, language)
    content, possible = f"follow-up {message}", not problems
    try:
        verdict = await state.admission.decide(form, purpose_of(survey), content, session, now, possible=possible)
    except CaptchaRefused as refused:
        verdict, problems = "impossible", [Problem("captcha", refused.explained(language))]
    match verdict:
        case "admitted":
            emit(session, survey.follow_up(message, now))
        case "honeypot" | "too_fast":
            await put_aside(verdict, survey, {"message": message}, state, session)
        case "impossible":
            return _page(request, survey, account, state, form, message=message, problems=problems)
    return success


ROUTES = (
    Router(
        "/",
        route_handlers=[show_thanks, receive_follow_up],
        dependencies={"survey": Provide(survey_behind), "session": Provide(session_of_survey)},
    ),
)


def _problems(message: str, language: Language) -> list[Problem]:
    if not message:
        return [Problem("message", language.gettext("Please write a message."))]
    if (beyond := len(message) - MAX_COMMENT_LENGTH) > 0:
        text = language.ngettext(
            "Your message is %(number)s character too long.", "Your message is %(number)s characters too long.", beyond
        )
        return [Problem("message", text)]
    return []


def _page(
    request: Request,
    survey: Survey,
    account: Account,
    state: State,
    form: Mapping[str, str] = MappingProxyType({}),
    *,
    message: str = "",
    sent: bool = False,
    problems: Sequence[Problem] = (),
    refused: TooMany | None = None,
) -> Template:
    language = language_of(request, survey, account)
    if refused:
        problems = [too_many(language)]
    wording = in_language(account.survey_policy.wording, language) or SurveyWording()
    return page(
        "thanks",
        language,
        status=429 if refused else 422 if problems else 200,
        headers=refused.headers if refused else None,
        brand=account.brand,
        page_of_survey=f"/s/{request.path_params['token']}",
        thanks=wording.thanks,
        low=survey.score is not None and survey.score <= 2,
        sent=sent,
        asked=survey.follow_up_at is not None,
        typed=message,
        message_limit=MAX_COMMENT_LENGTH,
        problems=problems,
        wrong_fields={problem.field for problem in problems},
        code_challenge=state.gate.code_to_read.challenge(purpose_of(survey), state.clock()),
        shown=state.pace.stamp(form, purpose_of(survey), state.clock()),
    )
