"""``shelly web``: Shelly's page, served from this machine."""

from __future__ import annotations

import argparse
import socket
import threading
import time
import webbrowser
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from shelly_local.output import complain

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 4000
#: A photo keeps one thread busy for well under a second; more threads than this only queue.
DEFAULT_THREADS = 4
MAX_PORT = 65535
#: How long --open waits for the server to answer, in seconds.
OPEN_TIMEOUT = 10.0

DESCRIPTION = """\
Serve Shelly's page: show her a photo of your face and she gives you a more or less
helpful piece of advice. Photos are neither stored nor sent anywhere.
"""

EXAMPLES = """\
examples:
  shelly web                        http://127.0.0.1:4000, for this machine only
  shelly web --open                 the same, and open it in the browser
  shelly web --port 8080            another port; 0 takes any free one
  shelly web --host 0.0.0.0         for everyone in your network, too

Ctrl-C stops the server. Exit codes: 0 stopped, 1 cannot start, 2 wrong usage.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``shelly web`` to the parser of ``shelly``."""
    parser = subparsers.add_parser(
        "web",
        help="serve Shelly's page on this machine",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--host",
        default=DEFAULT_HOST,
        help="address to listen on (default: %(default)s, this machine only)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help=f"port to listen on, 0 to {MAX_PORT} (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        metavar="DIR",
        type=Path,
        help="folder of the emotion model (default: the one that comes with Shelly)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=_threads,
        default=DEFAULT_THREADS,
        help="how many requests are answered at the same time (default: %(default)s)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C or SIGTERM.

    Raises:
        ShellyError: the model cannot be loaded or the address cannot be used.
    """
    webapp, server = _load_webapp()

    from shelly_local.classifier import EmotionClassifier

    host, port = arguments.host, arguments.port
    config: dict[str, Any] = {}
    if not server.is_loopback(host):
        config["ALLOWED_HOSTS"] = None  # the names by which others reach it are not known
        complain(
            f"warning: with --host {host} anyone in your network can reach this page and send "
            "photos to it; there is no password and no encryption"
        )
    app = webapp.create_app(classifier=EmotionClassifier(model=arguments.model), config=config)
    if arguments.open:
        port = port or _free_port()
    if arguments.open and not _answers(host, port):  # else the address is taken, as serve says
        threading.Thread(target=_open_when_served, args=(host, port), daemon=True).start()
    with suppress(KeyboardInterrupt):  # one that comes before serve() listens for it
        server.serve(app, host, port, arguments.threads)  # prints the address
    return 0


def page_url(host: str, port: int) -> str:
    """The address to type into a browser on this machine."""
    host = _reachable_host(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _load_webapp() -> tuple[Any, Any]:
    """The application and its server: of the installed package, else of the checkout."""
    try:
        package = import_module("shelly_local.webapp")
    except ModuleNotFoundError as error:
        if error.name != "shelly_local.webapp":
            raise
        package = import_module("webapp")
    return package, import_module(f"{package.__name__}.server")


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 0 to {MAX_PORT}, got {text!r}"
        )
    return int(text)


def _threads(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _reachable_host(host: str) -> str:
    """Where this machine reaches a server that listens on ``host``, which may mean all."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((_reachable_host(host), port), timeout=1).close()
    except OSError:
        return False
    return True


def _open_when_served(host: str, port: int) -> None:
    """Open the page in the browser as soon as the server answers."""
    url = page_url(host, port)
    deadline = time.monotonic() + OPEN_TIMEOUT
    while time.monotonic() < deadline:
        if _answers(host, port):
            if not webbrowser.open(url):
                complain(f"no browser found; open {url} yourself")
            return
        time.sleep(0.1)
