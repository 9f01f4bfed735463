"""Under which names a server may be asked for, and whether another web site's page asks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from werkzeug.datastructures import Headers

#: The names under which a client reaches a server on its own machine.
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_name(host: str) -> str:
    """The name in a Host header (RFC 9110, section 7.2), without port, in lower case."""
    return re.sub(r":\d*$", "", host).lower()


def allowed_hosts(host: str, names: Sequence[str] = ()) -> tuple[str, ...] | None:
    """The names that a request may ask for; None for any.

    Args:
        host: what the server listens on.
        names: further ones that its user named.
    """
    if is_loopback(host):
        own = f"[{host.strip('[]')}]" if ":" in host else host.lower()
        return tuple(dict.fromkeys((*LOOPBACK_HOSTS, own, *names)))
    # The names by which others reach it are not known, unless they were named.
    return (*LOOPBACK_HOSTS, *names) if names else None


def is_another_site(headers: Headers, host: str, allowed_origins: Collection[str] = ()) -> bool:
    """Whether a page of another web site sends a request.

    Browsers send Origin with every POST (Fetch, 3.2), and newer ones Sec-Fetch-Site, which a page
    cannot set (Fetch Metadata, 2.3). A program sends neither.

    Args:
        headers: of the request.
        host: its Host header.
        allowed_origins: web sites that count as this one, such as ``https://shelly.example``.
    """
    origin = headers.get("Origin")
    if origin is not None and origin in allowed_origins:
        return False
    if headers.get("Sec-Fetch-Site", "none").lower() not in ("none", "same-origin"):
        return True
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != host.lower()
    except ValueError:  # such as "http://[", an unfinished IPv6 address
        return True
