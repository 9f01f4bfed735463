"""Fetch one picture over HTTP or HTTPS for somebody else, without opening a door for them.

Whoever names an address makes this machine connect to it. So every address is checked
before the connection, also after each redirect: a name is resolved once, each of its
addresses must be a public one, and the connection goes to an address that was checked. No
proxy is used and no cookie or credential is sent.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from shelly_local.errors import FileTooLargeError, ShellyError

#: Bound on the whole fetch, redirects included; a picture of 10 MB takes 8 s at 10 Mbit/s.
TIMEOUT_SECONDS = 15.0
#: A shortened link that leads to a moved page needs two or three.
MAX_REDIRECTS = 5
_REDIRECT_CODES = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"Accept": "image/*", "User-Agent": "shelly-local"}
# Addresses of the IPv4 internet, reached through an IPv6 network's gateway (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# All of the public IPv6 internet (RFC 4291).
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# Signs with a meaning of their own in a path or query; the others are percent-encoded.
_URL_SIGNS = "%/:=&?~#+!$,;'@()*[]"


class FetchError(ShellyError):
    """An address could not be fetched.

    Args:
        text: IBM's words where it had some, as programs compare them whole.
        reason: what else there is to say.
    """

    code = 400
    error_id = "input_error"

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(f"URL Fetcher error: Could not fetch URL: {text}")
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.description} ({self.reason})" if self.reason else self.description


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched file and the address, after redirects, that it came from."""

    data: bytes
    resolved_url: str


def fetch(
    url: str, *, max_bytes: int, loopback: bool = False, timeout: float = TIMEOUT_SECONDS
) -> Fetched:
    """Fetch a file.

    Args:
        url: an ``http`` or ``https`` address.
        max_bytes: limit of the file's size.
        loopback: whether this machine's own loopback addresses are allowed too.
        timeout: bound on the whole fetch in seconds. Resolving a name is bounded by the
            system's resolver.

    Raises:
        FetchError: the address is no public HTTP(S) address, or does not answer with a file.
        FileTooLargeError: the file is larger than ``max_bytes``.
    """
    deadline = time.monotonic() + timeout
    for _ in range(MAX_REDIRECTS + 1):
        parts = _split(url)
        addresses = _checked_addresses(parts.hostname or "", loopback)
        try:
            with _connected(parts, addresses, deadline) as connection:
                answer = _get(connection, parts, max_bytes)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise FetchError(_reason(error)) from error
        if isinstance(answer, bytes):
            return Fetched(answer, url)
        url = answer
    raise FetchError(f"The url is redirected more than {MAX_REDIRECTS} times")


@contextlib.contextmanager
def _connected(
    parts: SplitResult, addresses: Sequence[str], deadline: float
) -> Iterator[http.client.HTTPConnection]:
    """A connection to one of the addresses; raises TimeoutError once the deadline passes.

    A socket's own timeout is for one read, so a server that sends a byte now and then could
    hold a reader for hours; a timer that shuts the socket down cannot be held.
    """
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port)
    sock = _connect(addresses, connection.port, deadline)
    if secure:
        sock = ssl.create_default_context().wrap_socket(
            sock, server_hostname=parts.hostname, do_handshake_on_connect=False
        )
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        with contextlib.suppress(OSError):
            # Not the TLS socket's own method, which must not be called during a read.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(deadline - time.monotonic(), expire)
    timer.daemon = True
    timer.start()
    try:
        if isinstance(sock, ssl.SSLSocket):
            sock.do_handshake()
        connection.sock = sock
        yield connection
    except Exception as error:
        if expired.is_set():
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
        sock.close()
    if expired.is_set():
        raise TimeoutError


def _connect(addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
    failure = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), _remaining(deadline))
        except OSError as error:
            failure = error
    raise failure


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


def _get(connection: http.client.HTTPConnection, parts: SplitResult, max_bytes: int) -> bytes | str:
    """The file, or the address that a redirect leads to."""
    path, query = (quote(text, safe=_URL_SIGNS) for text in (parts.path or "/", parts.query))
    connection.request("GET", f"{path}?{query}" if query else path, headers=_HEADERS)
    with contextlib.closing(connection.getresponse()) as response:
        location = response.headers.get("Location")
        if response.status in _REDIRECT_CODES and location:
            return urljoin(parts.geturl(), location)
        if response.status in (401, 403):
            raise FetchError(
                "Access forbidden by target server", f"Its status is {response.status}."
            )
        if response.status != 200:
            raise FetchError(f"The server answered with status {response.status}")
        data = response.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise FileTooLargeError(f"The file at the url has more than {max_bytes} bytes.")
        if response.length:
            raise FetchError("The connection broke off")
    return data


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except (ValueError, AttributeError):
        valid = False
    if not valid or parts.username is not None or any(ord(sign) <= 32 for sign in url):
        raise FetchError(
            "Invalid URL specified",
            f"The url is {url!r}; allowed are http:// and https:// addresses without user name "
            "and blanks.",
        )
    return parts


def _checked_addresses(host: str, loopback: bool) -> list[str]:
    """The host's addresses, resolved once; every one of them may be connected to."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchError("Unable to resolve host name", f"The host is {host!r}.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not _is_allowed(address, loopback):
            raise FetchError(
                f"Access to {host!r} is refused: it is not on the public internet, but a "
                "private, loopback or otherwise reserved address"
            )
    return addresses


def _is_allowed(address: str, loopback: bool) -> bool:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        elif ip.sixtofour or ip.teredo:
            # Tunnels, out of use, that lead to any IPv4 address, private ones included.
            return False
    if ip.is_loopback:
        return loopback
    return ip.is_global and not ip.is_multicast and (ip.version == 4 or ip in _GLOBAL_UNICAST)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "Timeout exceeded when loading resource"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "The server's certificate is not valid"
    if isinstance(error, OSError | http.client.IncompleteRead):
        return "The server cannot be reached, or broke the connection off"
    return "The server's answer is not valid HTTP"
