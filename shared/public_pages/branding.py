"""An account as strangers see it: name, logo, colour, time zone. Each service keeps its own copy."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from litestar import Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from sqlalchemy import BigInteger, Text, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.chassis.database import Timestamp
from shared.chassis.dead_letters import Awaits
from shared.contracts import AccountUpdated
from shared.public_pages.logos import MEDIA_TYPE, kept_logo

A = TypeVar("A", bound="BrandedAccount")

_FOREVER = "public, max-age=31536000, immutable"


class Branded:
    """What follows from how an account looks."""

    __slots__ = ()

    @property
    def zone(self: Any) -> ZoneInfo:
        """The zone the account's days and times are in."""
        return ZoneInfo(self.time_zone)

    @property
    def brand(self: Any) -> "Brand":
        """What templates need."""
        return Brand(name=self.name, colour=self.colour, logo_digest=self.logo_digest)


class BrandedAccount(Branded):
    """Columns of a service's `accounts` table."""

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(Text)
    colour: Mapped[str] = mapped_column(Text)
    time_zone: Mapped[str] = mapped_column(Text)
    logo_digest: Mapped[str | None] = mapped_column(Text, index=True)
    logo_media_type: Mapped[str | None] = mapped_column(Text)
    logo: Mapped[bytes | None] = mapped_column(deferred=True)  # most look-ups want the rest
    updated_at: Mapped[Timestamp]


@dataclass(frozen=True, slots=True)
class Brand:
    """Name, colour and logo, ready for a template."""

    name: str
    colour: str
    logo_digest: str | None = None

    @property
    def initial(self) -> str:
        """The fallback where there is no logo."""
        return self.name.strip()[:1].upper()

    @property
    def on_colour(self) -> str:
        """Black or white, whichever reads better on the colour; one of them has 4.5:1 or more on any colour."""
        return text_colour_on(self.colour)


NEUTRAL = Brand(name="Support", colour="#3451b2")
"""For pages that must not say whose they are, such as the one an unknown link gets."""


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1, of a colour like #1a2b3c. Source: WCAG 2.2, definition of relative luminance."""
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def text_colour_on(colour: str) -> str:
    """Black or white by contrast ratio (WCAG 2.2): (lighter + 0.05) / (darker + 0.05)."""
    background = luminance(colour)
    return "#ffffff" if 1.05 / (background + 0.05) >= (background + 0.05) / 0.05 else "#000000"


async def keep_account(
    table: type[A], updated: AccountUpdated, session: AsyncSession, now: datetime, **own: Any
) -> None:
    """Store what is newest of an account; `own` are the service's own columns."""
    logo = await kept_logo(updated)
    columns = {
        "version": updated.version,
        "name": updated.name,
        "colour": updated.colour.lower(),
        "time_zone": updated.time_zone,
        "logo_digest": hashlib.sha256(logo).hexdigest() if logo else None,
        "logo_media_type": MEDIA_TYPE if logo else None,
        "logo": logo,
        "updated_at": now,
        **own,
    }
    await session.execute(
        insert(table)
        .values(account_id=updated.account_id, **columns)
        .on_conflict_do_update(
            index_elements=["account_id"],
            set_=columns,
            where=table.version < updated.version,
        )
    )


async def account_of(table: type[A], account_id: str, session: AsyncSession) -> A:
    """Get the account an event belongs to. Raises Awaits when nobody has told of it yet."""
    account = await session.get(table, account_id)
    if account is None:
        raise Awaits(account_id)
    # The session itself holds its objects weakly, and would ask for the account again with each record of a batch.
    session.info[table, account_id] = account
    return account


def brand_routes(table: type[BrandedAccount]) -> list:
    """Serve logos by their digest and colours as a style sheet: pages allow no inline style."""

    @get("/brand/{digest:str}/logo")
    async def show_logo(digest: FromPath[str], state: State) -> Response[bytes]:
        """Serve a logo. Its address is its content, so it can be kept for ever."""
        if not set(digest) <= set("0123456789abcdef"):
            raise NotFoundException
        async with state.service.sessions() as session:  # whoever knows the digest may see the logo, whose it is
            logo = (
                await session.execute(
                    select(table.logo, table.logo_media_type).where(table.logo_digest == digest).limit(1)
                )
            ).first()
        if logo is None:
            raise NotFoundException
        return Response(logo.logo, media_type=logo.logo_media_type, headers={"Cache-Control": _FOREVER})

    @get("/brand/{colour:str}/colours.css", sync_to_thread=False)
    def show_colours(colour: FromPath[str]) -> Response[str]:
        """Serve an account's colours, `colour` being six hexadecimal digits."""
        if len(colour) != 6 or not set(colour) <= set("0123456789abcdef"):
            raise NotFoundException
        sheet = f":root{{--brand:#{colour};--on-brand:{text_colour_on('#' + colour)}}}\n"
        return Response(sheet, media_type="text/css", headers={"Cache-Control": _FOREVER})

    return [show_logo, show_colours]
