"""Whose request it is, by address: the socket's, or what a proxy of ours says. Nobody else's word counts."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from litestar import Request
from pydantic import BeforeValidator
from pydantic_settings import NoDecode

Network = IPv4Network | IPv6Network


def _networks(text: object) -> object:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


TrustedProxies = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
"""The setting: networks of proxies that set X-Forwarded-For, like `10.0.0.0/8, 2001:db8::/32`. None without it."""


def client_network(request: Request, proxies: Sequence[Network]) -> str:
    """Tell the network a request comes from: an IPv4 address, or the /64 that IPv6 gives to one household or machine.

    X-Forwarded-For is read from the right, since each proxy adds on that side whom it saw: the first address that is no
    proxy of ours is the client's. What stands left of it, anybody may have written.
    """
    seen = _parsed(request.client.host if request.client else "")
    said = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    while said and seen and any(seen in proxy for proxy in proxies):
        before = _parsed(said.pop())
        if before is None:  # not an address: the last one we know of is that proxy's
            break
        seen = before
    if seen is None:
        return "unknown"
    return str(ip_network((seen, 64 if seen.version == 6 else 32), strict=False))


def _parsed(text: str):
    """Read an address as proxies write it, with or without a port; None when it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # An IPv4 client of an IPv6 socket.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
