"""What every page of surveys begins with: the survey behind its link, and the language of who opened it."""

from collections.abc import AsyncIterator

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys import queries
from services.surveys.survey import Survey
from services.surveys.tables import Account
from shared.chassis.tenancy import transaction_of
from shared.public_pages.language import Language
from shared.public_pages.quarantine import Reason
from shared.public_pages.rate_limits import UNKNOWN_LINKS
from shared.public_pages.reader import language_of_page


async def survey_behind(token: FromPath[str], request: Request, state: State) -> Survey:
    """Find what a link opens. Raises NotFoundException, and TooManyRequestsException for who tries one after the other.

    In a session of its own: the link is to tell whose rows may be seen, and no connection is held while requests are
    counted.
    """
    return await _found(queries.survey_behind(token), request, state)


async def survey_behind_opt_out(token: FromPath[str], request: Request, state: State) -> Survey:
    """Find the survey whose requester may choose not to be asked. Raises as `survey_behind` does."""
    return await _found(queries.survey_behind_opt_out(token), request, state)


async def _found(query: Select[Survey], request: Request, state: State) -> Survey:
    async with state.service.sessions() as session:
        survey = await session.scalar(query)
    if survey is None:
        await state.limiter.take(UNKNOWN_LINKS, request)
        raise NotFoundException
    return survey


async def session_of_survey(survey: NamedDependency[Survey], state: State) -> AsyncIterator[AsyncSession]:
    """Give a route its session, which sees the rows of the survey's account and no others."""
    async with transaction_of(survey.account_id, state.sessions) as session:
        yield session


async def locked(token: str, session: AsyncSession) -> Survey:
    """Get the survey for a change."""
    survey = await session.scalar(queries.survey_behind(token).with_for_update())
    if survey is None:
        raise NotFoundException
    return survey


async def put_aside(reason: Reason, survey: Survey, typed: dict[str, str], state: State, session: AsyncSession) -> None:
    """Keep what looks like a robot's out of the way; the survey is locked."""
    await state.quarantine.keep(
        reason, typed, session, state.clock(), account_id=survey.account_id, about=str(survey.survey_id)
    )


def language_of(request: Request, survey: Survey, account: Account) -> Language:
    """Choose the language of a page."""
    return language_of_page(request, requester=survey.facts.requester_locale, account=account.locale)


def purpose_of(survey: Survey) -> str:
    """Bind a captcha to this survey, so that it opens no other's form."""
    return f"survey:{survey.survey_id}"


def see_other(path: str) -> Redirect:
    """Show another page after a form."""
    return Redirect(path, status_code=303)
