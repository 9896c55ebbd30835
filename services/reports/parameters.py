"""What every route of the API is given: who asks, and what they ask for."""

from datetime import date
from functools import cache
from typing import Annotated, Literal, TypeVar

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Meta

from services.reports.api_keys import Access, Scope, let_in
from services.reports.asked import Asked, Attribution, Search, Tenant
from services.reports.days import Preset, WrongDays, days_between, preset_days
from services.reports.problems import wrong_parameter
from shared.contracts.event import MAX_ID_LENGTH
from shared.contracts.ticket import Priority
from shared.public_pages.api_keys import brought_key, opens_nothing

REALM = "closeloop reports"

REPEATABLE = {"priority", "channel", "score"}
MAX_CHANNELS = 20
MAX_TEXT_LENGTH = 100

RESPONSES: dict[str, Scope] = {"scope": "responses"}
"""The option of routes that a key needs this scope for; the others need `figures`."""

T = TypeVar("T")
Name = Annotated[str, Meta(min_length=1, max_length=MAX_ID_LENGTH)]
Score = Literal[1, 2, 3, 4, 5]


async def access_of_key(request: Request, state: State) -> Access:
    """Let in who brings a key or a token that opens what is asked for.

    Raises TooMany (429), KeysAway (503), NotAuthorizedException (401) and PermissionDeniedException (403); the last two
    say what is missing (RFC 6750, section 3).
    """
    access = await let_in(brought_key(request, REALM), request, state)
    if access is None:
        raise opens_nothing(REALM)
    scope: Scope = request.route_handler.opt.get("scope", "figures")
    if scope not in access.scopes:
        raise PermissionDeniedException(
            f"This key does not open {scope}.",
            headers={"WWW-Authenticate": f'Bearer realm="{REALM}", error="insufficient_scope", scope="{scope}"'},
        )
    return access


def account_of(access: NamedDependency[Access]) -> Tenant:
    """Give whose figures are shown."""
    return access.account


def asked_for(
    request: Request,
    state: State,
    access: NamedDependency[Access],
    *,
    from_: Annotated[
        date | None,
        QueryParameter(name="from", description="First day; without it, 30 days before `to`."),
    ] = None,
    to: Annotated[
        date | None,
        QueryParameter(description="The day after the last one; without it, tomorrow, so that today is in."),
    ] = None,
    preset: Annotated[
        Preset | None,
        QueryParameter(
            description="A range with a name, in the place of `from` and `to`. Those of so many days, and this week,"
            " month, quarter and year, end with today."
        ),
    ] = None,
    agent: Annotated[
        str | None,
        QueryParameter(description="Id of an agent; without it, all.", min_length=1, max_length=MAX_ID_LENGTH),
    ] = None,
    priority: Annotated[
        list[Priority] | None, QueryParameter(description="Any of these; without it, all. May be repeated.")
    ] = None,
    channel: Annotated[
        list[Name] | None,
        QueryParameter(description="Any of these; without it, all. May be repeated.", max_items=MAX_CHANNELS),
    ] = None,
    attribution: Annotated[
        Attribution,
        QueryParameter(
            description="Whose a ticket is, as it was at the resolution: `credited` its assignee's and else of who"
            " replied last, `assignee` its assignee's alone, `last_replier` of who replied last alone."
        ),
    ] = "credited",
) -> Asked:
    """Understand what every report takes, and keep to the agent of the key if it is limited to one.

    Raises ValidationException (400) and PermissionDeniedException (403).
    """
    refuse_unknown_parameters(request)
    account = access.account
    for name, values in {"agent": [agent or ""], "channel": channel or []}.items():
        if not all(value.isprintable() for value in values):
            raise wrong_parameter(name, "has unprintable characters")
    if preset and (from_ or to):
        raise wrong_parameter("preset", "goes without `from` and `to`")
    if access.agent_id is not None and agent not in {None, access.agent_id}:
        raise PermissionDeniedException("This key shows one agent, and not this one.")
    today, compared_with = state.clock().astimezone(account.zone).date(), None
    if preset:
        days, compared_with = preset_days(preset, today)
    else:
        try:
            days = days_between(from_, to, today=today)
        except WrongDays as wrong:
            raise wrong_parameter({"start": "from", "end": "to"}[wrong.end], str(wrong)) from None
    return Asked(
        account,
        days,
        access.agent_id or agent,
        _once(priority),
        _once(channel),
        attribution,
        compared_with=compared_with,
    )


def search_for(
    *,
    score: Annotated[
        list[Score] | None, QueryParameter(description="Any of these; without it, all. May be repeated.")
    ] = None,
    reason: Annotated[
        str | None,
        QueryParameter(description="Code of what was picked with a low score.", min_length=1, max_length=MAX_ID_LENGTH),
    ] = None,
    commented: Annotated[bool, QueryParameter(description="Only those with a comment.")] = False,
    q: Annotated[
        str | None,
        QueryParameter(
            description="Text in the comment, the subject or the requester's name; upper and lower case are one.",
            min_length=1,
            max_length=MAX_TEXT_LENGTH,
        ),
    ] = None,
) -> Search:
    """Understand which responses to list. Raises ValidationException (400)."""
    for name, value in (("reason", reason), ("q", q)):
        if value is not None and not value.isprintable():
            raise wrong_parameter(name, "has unprintable characters")
    return Search(_once(score), reason, commented, q or "")


def _once(values: list[T] | None) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values or ()))


@cache  # it takes half a millisecond
def _parameters_of(route: HTTPRouteHandler) -> frozenset[str]:
    return frozenset(parameter.field_alias for parameter in route.create_kwargs_model({}).expected_query_params)


def refuse_unknown_parameters(request: Request) -> None:
    """Refuse what would be ignored: a mistyped filter must not look like an answer for all."""
    known = _parameters_of(request.route_handler)
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            raise wrong_parameter(name[:50], f"is unknown; there are {', '.join(sorted(known)) or 'none'}")
        if name not in REPEATABLE and given.count(name) > 1:
            raise wrong_parameter(name, "is given twice")


DEPENDENCIES = {
    "access": Provide(access_of_key),
    "account": Provide(account_of, sync_to_thread=False),
    "asked": Provide(asked_for, sync_to_thread=False),
    "search": Provide(search_for, sync_to_thread=False),
}
