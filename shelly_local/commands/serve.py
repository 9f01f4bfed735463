"""``shelly serve``: IBM Watson Visual Recognition v3 over HTTP, answered on this machine."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from shelly_local.batch.writers import complain
from shelly_local.commands.options import add_flags
from shelly_local.commands.setting_table import COMMANDS, settings_of
from shelly_local.errors import ShellyError

if TYPE_CHECKING:
    import socket

    from shelly_local.watson.client import VisualRecognition

DESCRIPTION = """\
Answer programs written for IBM Watson Visual Recognition v3: classify photos, create
classifiers of your own from zip files of pictures. Programs change their URL, and
nothing else. Photos are not stored.
"""

EXAMPLES = """\
examples:
  shelly serve                      http://127.0.0.1:4001, for this machine, without a key
  SHELLY_APIKEY=... shelly serve    the same, with a key
  shelly serve --processes 4        four processes at the port, for many requests at once
  SHELLY_APIKEY=... shelly serve --host 0.0.0.0
                                    for everyone in your network who has the key
  shelly serve --classifier-alias DefaultCustomModel_1997094634
                                    answer to the id that a program asks for
  shelly serve --allow-url public   fetch pictures by their address, too
  curl -F images_file=@photo.jpg -F threshold=0.6 \\
      'http://127.0.0.1:4001/v3/classify?version=2018-03-19'

Every setting can also come from the environment (SHELLY_PORT=8080) or from a TOML file
(port = 8080, at the top or under [serve]); a flag beats the environment, and that the file.
The key has no flag, because other users of a machine see the flags of its programs.
Ctrl-C stops the server after trainings under way; a second one stops these, too.
Exit codes: 0 stopped, 1 cannot start, 2 wrong usage.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``shelly serve`` to the parser of ``shelly``."""
    parser = subparsers.add_parser(
        "serve",
        help="answer programs written for IBM Watson Visual Recognition",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_flags(parser, COMMANDS["serve"])
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    """Answer until Ctrl-C or SIGTERM.

    Raises:
        ShellyError: a setting is unusable, the model or the custom classifiers cannot be
            loaded, or the address cannot be used.
    """
    settings = settings_of("serve", arguments)
    # Flask and the model runtime take time to load; --help needs neither.
    from shelly_local.http import serving
    from shelly_local.http import supervisor as processes
    from shelly_local.http.hosts import is_loopback

    host, port = settings["host"], settings["port"]
    if not is_loopback(host):
        _check_key(host, settings["apikey"], settings["without_key"])
    if settings["processes"] == 1:
        _serve(settings)
        return 0
    sockets = serving.listen(host, port)
    places = [serving.place(listener) for listener in sockets]
    try:
        processes.Processes(_serve_beside, settings, sockets, settings["processes"]).run(
            lambda: serving.tell(places, _announce)
        )
    finally:
        for listener in sockets:
            listener.close()
    return 0


def _announce(url: str) -> str:
    return f"Watson Visual Recognition v3 is at {url} (stop it with Ctrl-C)"


def _serve_beside(
    settings: dict[str, Any], sockets: Sequence[socket.socket], ready: Callable[[], None]
) -> None:
    """Answer as one of several processes."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # see ``Processes``
    _serve(settings, sockets, ready)


def _serve(
    settings: dict[str, Any],
    sockets: Sequence[socket.socket] | None = None,
    ready: Callable[[], None] | None = None,
) -> None:
    """Answer until Ctrl-C or SIGTERM.

    Args:
        settings: see ``settings_of``.
        sockets: to listen on; None for the address in the settings.
        ready: called before the first answer, instead of printing the address.
    """
    from shelly_local.http import serving
    from shelly_local.http.hosts import allowed_hosts
    from shelly_local.watson.server.api import QUEUE_FACTOR, body_limit, create_api

    host, threads = settings["host"], settings["threads"]
    # Several requests at once keep the cores busy: threads within one would only compete.
    recognition = open_recognition(
        settings,
        model=settings["model"],
        detection=settings["detection"],
        backend=settings["backend"][0],
        threads=1,
    )
    try:
        recognition.load()
        app = create_api(
            recognition,
            {
                "API_KEY": settings["apikey"],
                "ALLOWED_HOSTS": allowed_hosts(host, settings["allowed_host"]),
                "ALLOWED_ORIGINS": settings["allowed_origin"],
                "THREADS": threads,
                "REQUEST_LOG": None if settings["log_format"] == "none" else settings["log_format"],
            },
        )
        server = serving.bind(
            app, host, settings["port"], sockets=sockets,
            threads=threads * (1 + QUEUE_FACTOR), body_limit=body_limit,
        )  # fmt: skip
        if ready is not None:
            ready()
        with suppress(KeyboardInterrupt):
            serving.serve(server, _announce if ready is None else None)
    finally:
        finish(recognition)


def open_recognition(settings: dict[str, Any], **who: Any) -> VisualRecognition:
    """What answers the API's calls.

    Custom classifiers are opened now, so that trainings that a killed process left
    unfinished are taken up.

    Args:
        settings: see ``settings_of``.
        **who: ``model``, ``detection``, ``classifier`` and ``backend`` of ``VisualRecognition``.

    Raises:
        ShellyError: the model or the data folder cannot be used.
    """
    from shelly_local.watson.client import VisualRecognition

    allow: dict[str, bool | Literal["loopback"]] = {
        "no": False,
        "public": True,
        "loopback": "loopback",
    }
    recognition = VisualRecognition(
        allow_url=allow[settings["allow_url"]],
        classifier_aliases=settings["classifier_alias"],
        data_dir=settings["data_dir"],
        **who,
    )
    _ = recognition.custom_classifiers
    return recognition


def finish(recognition: VisualRecognition) -> None:
    """End trainings: at once if the user presses Ctrl-C meanwhile."""
    try:
        recognition.close(wait=True)
    except KeyboardInterrupt:
        recognition.close(wait=False)


def _check_key(host: str, key: str | None, without_key: bool) -> None:
    """An address that others reach needs a key."""
    if key:
        complain(f"warning: with --host {host} the key crosses your network without encryption")
    elif without_key:
        complain(
            f"warning: with --host {host} anyone in your network can classify pictures and see, "
            "change and delete custom classifiers; there is no key and no encryption"
        )
    else:
        raise ShellyError(
            f"with --host {host} anyone in your network could use this server: set SHELLY_APIKEY "
            "to a key of your choice, or add --without-key"
        )
