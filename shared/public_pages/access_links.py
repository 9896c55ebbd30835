"""Links that open one thing for whoever holds them (capability URLs).

A token is an HMAC-SHA256 over purpose and object, 256 bits that nobody without the key can tell from random. It is
computed anew whenever a link is mailed, so databases hold only its digest, and one made for a survey opens no ticket.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode


class AccessLinks:
    """Makes the links of one purpose, `base_url`/`path`/token."""

    def __init__(self, key: str, *, purpose: str, base_url: str, path: str) -> None:
        self._key = key.encode()
        self._purpose = purpose
        self._url = f"{base_url}/{path}/"

    def token(self, *parts: str | int) -> str:
        """Compute the token of the object that `parts` name."""
        # Lengths before the parts: ("ab", "c") and ("a", "bc") must not meet.
        message = "".join(f"{len(str(part))}:{part}" for part in (self._purpose, *parts))
        return urlsafe_b64encode(hmac.digest(self._key, message.encode(), "sha256")).rstrip(b"=").decode("ascii")

    def url(self, token: str) -> str:
        """Put a token into the address that is mailed."""
        return self._url + token


def digest(token: str) -> bytes:
    """Hash a token for storage and look-up. Any text has a digest, so a malformed token is simply unknown."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
