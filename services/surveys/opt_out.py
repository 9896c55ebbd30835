"""The page on which a requester chooses not to be asked any more, and the one click of mail programs (RFC 8058).

Looking changes nothing, since mail scanners open every link; a POST does, at once and without a captcha: it comes from
mail providers' machines. Nor is it counted: those share few addresses, and what it costs is one row.
"""

from litestar import HttpMethod, Request, Router, post, route
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.response import Template
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys.behind_links import language_of, session_of_survey, survey_behind_opt_out
from services.surveys.survey import Survey
from services.surveys.tables import Account, OptOut
from shared.public_pages.forms import fields_of
from shared.public_pages.pages import page

AGAIN = "again"
"""The form's `ask` when somebody wants to be asked after all. Whatever else is sent means that they do not."""


@route("/u/{token:str}", http_method=[HttpMethod.GET, HttpMethod.HEAD])
async def show_choice(
    survey: NamedDependency[Survey], request: Request, session: NamedDependency[AsyncSession]
) -> Template:
    """Show whether the requester is asked, with a button to change it."""
    return await _page(request, survey, session)


@post("/u/{token:str}", status_code=200)
async def receive_choice(
    survey: NamedDependency[Survey], request: Request, state: State, session: NamedDependency[AsyncSession]
) -> Template:
    """Ask no more, or again. Answers with the page itself: a mail program follows no redirect (RFC 8058, 3.1)."""
    form = await fields_of(request)
    requester = {"account_id": survey.account_id, "requester_id": survey.requester_id}
    if form.get("ask") == AGAIN:
        await session.execute(delete(OptOut).filter_by(**requester))
    else:
        await session.execute(insert(OptOut).values(**requester, opted_out_at=state.clock()).on_conflict_do_nothing())
    return await _page(request, survey, session)


ROUTES = (
    Router(
        "/",
        route_handlers=[show_choice, receive_choice],
        dependencies={"survey": Provide(survey_behind_opt_out), "session": Provide(session_of_survey)},
    ),
)


async def _page(request: Request, survey: Survey, session: AsyncSession) -> Template:
    account = await session.get_one(Account, survey.account_id)
    return page(
        "opt_out",
        language_of(request, survey, account),
        brand=account.brand,
        action=f"/u/{request.path_params['token']}",
        opted_out=await session.get(OptOut, (survey.account_id, survey.requester_id)) is not None,
        again=AGAIN,
    )
