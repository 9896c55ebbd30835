"""What reports needs to know beyond what every service does."""

from typing import Annotated, Self
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, model_validator

from shared.chassis.settings import Days, PublicUrl, SecretKey
from shared.chassis.settings import Settings as ChassisSettings
from shared.public_pages.client_address import TrustedProxies

_UNSET = BeforeValidator(lambda text: text or None)
"""Takes an empty variable for none, as compose files give it."""


def _leads_to_a_ticket(template: str) -> str:
    if not template.startswith(("http://", "https://")) or "{ticket}" not in template:
        raise ValueError("must start with http:// or https:// and hold {ticket}")
    if set("{}") & set(ticket_url(template, "", "")):
        raise ValueError("may hold {account} and {ticket}, and no other braces")
    return template


def ticket_url(template: str, account_id: str, ticket_id: str) -> str:
    """Write the address of a ticket. An id stays in its place, whatever it consists of."""
    for name, value in (("{account}", account_id), ("{ticket}", ticket_id)):
        template = template.replace(name, quote(value, safe=""))
    return template


class Settings(ChassisSettings):
    """`public_url` is this service's address as browsers reach it; where it is https, cookies are for https alone.

    `secret_key` names what rate limits count, so that their table shows no address. Comments,
    names and subjects are kept for `comment_days` after a survey ended; what figures count, for ever.
    `ticket_url` is the address of a ticket at the help desk, with {account} and {ticket} in the places of their ids.
    With `jwks_url`, tokens of `jwt_issuer` for `jwt_audience` let in as keys do.
    """

    port: int = 8004
    public_url: PublicUrl
    secret_key: SecretKey
    trusted_proxies: TrustedProxies = ()
    comment_days: Days = 730
    ticket_url: Annotated[Annotated[str, AfterValidator(_leads_to_a_ticket)] | None, _UNSET] = None
    jwks_url: Annotated[PublicUrl | None, _UNSET] = None
    jwt_issuer: Annotated[str | None, _UNSET] = None
    jwt_audience: Annotated[str | None, _UNSET] = None

    @model_validator(mode="after")
    def _tokens_can_be_checked(self) -> Self:
        if len({bool(self.jwks_url), bool(self.jwt_issuer), bool(self.jwt_audience)}) > 1:
            raise ValueError("JWKS_URL, JWT_ISSUER and JWT_AUDIENCE go together")
        return self
