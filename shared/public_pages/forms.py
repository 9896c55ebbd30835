"""Reading a form that strangers send: every field once, text as people typed it, bad input told apart."""

from litestar import Request
from litestar.exceptions import ClientException


async def fields_of(request: Request) -> dict[str, str]:
    """Read the form's text fields. Raises ClientException (400) for a field given twice or a file in a text's place."""
    try:
        form = await request.form()
    except ClientException:
        raise
    except Exception:  # noqa: BLE001 - a body that is no form, however broken, is the sender's mistake
        raise ClientException("The form could not be read.") from None
    fields: dict[str, str] = {}
    for name, value in form.multi_items():
        if not isinstance(value, str):
            raise ClientException("The form holds a file where text was expected.")
        if name in fields:
            raise ClientException("The form holds a field twice.")
        fields[name] = value
    return fields


def plain_text(typed: str) -> str:
    """Unify line ends and drop what no keyboard types and no database takes: NUL, half surrogates."""
    unified = typed.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return unified.encode("utf-8", "ignore").decode().strip()
