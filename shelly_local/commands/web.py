"""``shelly web``: Shelly's page, served from this machine."""

from __future__ import annotations

import argparse
import socket
import threading
import time
import webbrowser
from contextlib import suppress
from importlib import import_module

from shelly_local.batch.writers import complain
from shelly_local.commands.beside import beside
from shelly_local.settings import add_flags
from shelly_local.settings.table import COMMANDS, settings_of

#: How long --open waits for the server to answer, in seconds.
OPEN_TIMEOUT = 10.0

DESCRIPTION = """\
Serve Shelly's page: show her a photo of your face and she gives you a more or less
helpful piece of advice. Photos are not stored, and not sent anywhere unless you
offer a cloud with --backend.
"""

EXAMPLES = """\
examples:
  shelly web                        http://127.0.0.1:4000, for this machine only
  shelly web --open                 the same, and open it in the browser
  shelly web --port 8080            another port; 0 takes any free one
  shelly web --host 0.0.0.0         for everyone in your network, too
  shelly web --host 0.0.0.0 --allowed-host shelly.example
                                    the same, under this name only
  shelly web --backend local,rekognition
                                    the page lets people choose; the first is the default

Programs written for IBM Watson Visual Recognition are answered on the same port, by the
local model; `shelly serve --help` has more about them.

Every setting can also come from the environment (SHELLY_PORT=8080) or from a TOML file
(port = 8080, at the top or under [web]); a flag beats the environment, and that the file.
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

    add_flags(parser, COMMANDS["web"])
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C or SIGTERM.

    Raises:
        ShellyError: a setting is unusable, a backend cannot be opened, the model cannot be
            loaded, or the address cannot be used.
    """
    settings = settings_of("web", arguments)
    webapp, server = beside("webapp"), beside("webapp.server")
    from shelly_local.http.hosts import is_loopback
    from shelly_local.watson.server.app import server_config

    host, port = settings["host"], settings["port"]
    loopback = is_loopback(host)
    if not loopback:
        complain(
            f"warning: with --host {host} anyone in your network can reach this page and send "
            "photos to it; there is no password and no encryption"
        )
    if not (loopback or settings["apikey"]):
        complain(
            "warning: programs written for Watson are not answered; set SHELLY_APIKEY to a key "
            "of your choice for that"
        )
    answerers = import_module(f"{webapp.__name__}.opened").Answerers(settings)
    try:
        app = webapp.create_app(
            answerers.backends,
            {"THREADS": settings["threads"], **server_config(settings)},
            answerers.recognition,
        )
        if arguments.open:
            port = port or _free_port()
        if arguments.open and not _answers(host, port):  # else the address is taken, as serve says
            threading.Thread(target=_open_when_served, args=(host, port), daemon=True).start()
        with suppress(KeyboardInterrupt):  # one that comes before serve() listens for it
            server.serve(app, host, port)  # prints the address
    finally:
        answerers.close()
    return 0


def page_url(host: str, port: int) -> str:
    """The address to type into a browser on this machine."""
    host = _reachable_host(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
