"""Pictures that are more than pictures, or none."""

import struct
import zlib
from io import BytesIO

from PIL import Image


def a_picture(kind: str = "PNG", size: tuple[int, int] = (300, 100), **more) -> bytes:
    """A plain one."""
    out = BytesIO()
    Image.new("RGB", size, "#0b6e4f").save(out, kind, **more)
    return out.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A small file whose header promises a picture of any size, all of it black."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * min((width // 8 + 1) * height, 20_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def gif_of_many_frames(frames: int = 200) -> bytes:
    """A flashing animation."""
    out = BytesIO()
    first, *rest = (Image.new("P", (10, 10), number % 2) for number in range(frames))
    first.putpalette([0, 0, 0, 255, 255, 255])
    first.save(out, "GIF", save_all=True, append_images=rest, duration=20, loop=0, optimize=False)
    return out.getvalue()


def with_exif() -> bytes:
    """A photograph that knows where it was taken."""
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    exif.get_ifd(0x8825)[1] = "N"
    return a_picture("JPEG", exif=exif)


SCRIPT = b"<script>alert(document.domain)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
