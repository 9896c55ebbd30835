"""Pictures from outside: markup in disguise, two files in one, bombs, metadata (S18)."""

from io import BytesIO

import pytest
from PIL import Image

from shared.contracts import Logo
from shared.contracts.account import MAX_LOGO_BYTES
from shared.public_pages.logos import LARGEST, NotAPicture, redrawn
from tests.attacks.pictures import SCRIPT, SVG, a_picture, gif_of_many_frames, png_that_claims, with_exif
from tests.builders import an_account
from tests.notifier.builders import a_brand, a_letter, an_email
from tests.portal.conftest import mailed
from tests.stage import Stage

NO_PICTURES = {
    "an SVG that says it is a PNG": ("image/png", SVG),
    "HTML": ("image/gif", b"<html>" + SCRIPT),
    "a GIF that says it is a PNG": ("image/png", a_picture("GIF")),
    "a TIFF": ("image/png", a_picture("TIFF", (30, 10))),
    "a header and HTML": ("image/gif", b"GIF89a" + SCRIPT),
    "half a picture": ("image/png", a_picture()[:60]),
    "a PNG of 30,000 x 30,000": ("image/png", png_that_claims(30_000, 30_000)[:MAX_LOGO_BYTES]),
    "a PNG of 65,000 x 62": ("image/png", png_that_claims(65_000, 62)),
    "a PNG of 2 thousand million pixels a side": ("image/png", png_that_claims(2**31 - 1, 2**31 - 1)[:MAX_LOGO_BYTES]),
    "PostScript": ("image/jpeg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"),
}

HOSTILE_PICTURES = {
    "a PNG with HTML behind it": ("image/png", a_picture() + SCRIPT),
    "a JPEG with a comment of HTML": ("image/jpeg", a_picture("JPEG", comment=SCRIPT)),
    "a GIF with a comment of HTML": ("image/gif", a_picture("GIF", comment=SCRIPT)),
    "a GIF with a ZIP behind it": ("image/gif", a_picture("GIF") + b"PK\x03\x04" + b"\0" * 200),
    "a photograph that knows its place": ("image/jpeg", with_exif()),
    "an animation": ("image/gif", gif_of_many_frames()),
    "a WebP": ("image/webp", a_picture("WEBP")),
    "one pixel": ("image/png", a_picture(size=(1, 1))),
    "4 megapixels in a line": ("image/png", a_picture(size=(40_000, 100))),
}


@pytest.mark.parametrize(("media_type", "data"), NO_PICTURES.values(), ids=NO_PICTURES)
async def test_what_is_no_picture_is_left_out_and_the_account_still_counts(
    portal: Stage, media_type: str, data: bytes
) -> None:
    """Disguised files and decompression bombs: not kept, not served; requesters see the account's initial."""
    logo = Logo(media_type=media_type, data=data)
    with pytest.raises(NotAPicture):
        redrawn(logo)

    await portal.hears(an_account(logo=logo, name="Bolt"))

    page = (await portal.client.get(await mailed(portal))).text
    assert '<span class="logo initial" aria-hidden="true">B</span>' in page
    assert await portal.dead_letters() == []


@pytest.mark.parametrize(("media_type", "data"), HOSTILE_PICTURES.values(), ids=HOSTILE_PICTURES)
def test_a_picture_is_kept_as_pixels_and_nothing_else(media_type: str, data: bytes) -> None:
    """Polyglots, comments, EXIF, animations: drawn anew, so that nothing of the sent file is left but what it shows."""
    drawn = redrawn(Logo(media_type=media_type, data=data))

    picture = Image.open(BytesIO(drawn))
    picture.load()
    assert picture.format == "PNG"
    assert picture.size <= LARGEST
    assert getattr(picture, "n_frames", 1) == 1
    assert picture.info == {}
    assert SCRIPT not in drawn
    assert b"PK\x03\x04" not in drawn
    assert b"taken at home" not in drawn
    assert drawn.endswith(b"IEND\xaeB`\x82")


async def test_a_logo_is_served_as_a_png_that_nothing_takes_for_anything_else(portal: Stage) -> None:
    """Content sniffing: the type is ours, the name is the hash of what is served, and no script may run in it."""
    await portal.hears(an_account(logo=Logo(media_type="image/gif", data=gif_of_many_frames())))
    page = (await portal.client.get(await mailed(portal))).text
    address = page.split('<img class="logo" src="')[1].split('"')[0]

    answer = await portal.client.get(address)

    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("digest", ["0" * 63, "x" * 64, "%00", "..", "' OR 1=1", "A" * 64, "", "0" * 10_000])
async def test_a_logo_has_no_other_address(portal: Stage, digest: str) -> None:
    """Path tricks."""
    assert (await portal.client.get(f"/brand/{digest}/logo")).status_code == 404


@pytest.mark.parametrize("colour", ["red", "fff", "0b6e4", "0b6e4f;", "}body{x", "%0a", "0B6E4F", "٠١٢٣٤٥", "0" * 9000])
async def test_a_colour_cannot_become_a_style_sheet(portal: Stage, colour: str) -> None:
    """CSS injection: six hexadecimal digits or nothing."""
    assert (await portal.client.get(f"/brand/{colour}/colours.css")).status_code == 404


def test_a_letter_carries_the_picture_under_a_name_of_ours() -> None:
    """File names: what an account sends chooses no name in an email."""
    drawn = redrawn(Logo(media_type="image/gif", data=gif_of_many_frames()))
    letter = a_letter(an_email(), a_brand(logo=drawn, logo_media_type="image/png"))

    names = [part.get_filename() for part in letter.walk() if part.get_filename()]

    assert names == ["logo.png"]
