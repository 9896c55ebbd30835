"""A logo as it is kept: drawn anew as a small PNG, whatever a publisher sent.

What comes out is a picture and nothing else: no metadata, no second frame, no other file inside or behind it, and small
enough for every mail program.
"""

import asyncio
from io import BytesIO

import structlog
from PIL import Image, ImageOps

from shared.contracts.account import AccountUpdated, Logo

MEDIA_TYPE = "image/png"
LARGEST = (480, 120)
"""Pixels across and down: more than twice of what any page or email shows."""

MAX_PIXELS = 4_000_000
"""Of the picture that was sent, by its header. What claims more is not unpacked."""

_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "image/gif": "GIF"}

log = structlog.get_logger()


class NotAPicture(Exception):
    """These bytes are no picture of the type they say, or one that is too large."""


def redrawn(logo: Logo) -> bytes:
    """Draw a logo anew, its first frame, at most LARGEST. Raises NotAPicture."""
    try:
        return _drawn(_opened(logo))
    except NotAPicture:
        raise
    except Exception as failure:  # noqa: BLE001 - decoders fail in many ways; none of them is ours to mend
        raise NotAPicture(f"not {logo.media_type} ({type(failure).__name__})") from None


def _opened(logo: Logo) -> Image.Image:
    picture = Image.open(BytesIO(logo.data), formats=[_FORMATS[logo.media_type]])  # reads no more than the header
    if picture.width * picture.height > MAX_PIXELS:
        raise NotAPicture(f"{picture.width} x {picture.height} pixels are too many")
    return picture


def _drawn(sent: Image.Image) -> bytes:
    picture = ImageOps.exif_transpose(sent).convert("RGBA")
    picture.thumbnail(LARGEST)
    # A picture of nothing but these pixels: `info` would carry comments and colour profiles over.
    clean = Image.frombytes("RGBA", picture.size, picture.tobytes())
    drawn = BytesIO()
    clean.save(drawn, "PNG", optimize=True)
    return drawn.getvalue()


async def kept_logo(updated: AccountUpdated) -> bytes | None:
    """Tell which picture to keep of an account; None without one, or when what was sent is none, which is logged.

    The rest of the account counts all the same: its requesters must not wait for a picture to be mended.
    """
    if updated.logo is None:
        return None
    try:
        return await asyncio.to_thread(redrawn, updated.logo)
    except NotAPicture as refused:
        log.warning("logo refused", account_id=updated.account_id, version=updated.version, reason=str(refused))
        return None
