"""``shelly serve``: IBM Watson Visual Recognition v3 over HTTP, answered on this machine."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING

from shelly_local.batch.writers import complain
from shelly_local.errors import ShellyError
from shelly_local.settings import add_flags
from shelly_local.settings.table import COMMANDS, settings_of

if TYPE_CHECKING:
    pass

DESCRIPTION = """\
Answer programs written for IBM Watson Visual Recognition v3: classify photos, create
classifiers of your own from zip files of pictures. Programs change their URL, and
nothing else. Photos are not stored.
"""

EXAMPLES = """\
examples:
  shelly serve                      http://127.0.0.1:4001, for this machine, without a key
  SHELLY_APIKEY=... shelly serve    the same, with a key
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
    from shelly_local.http.hosts import is_loopback
    from shelly_local.watson.server.api import QUEUE_FACTOR
    from shelly_local.watson.server.app import create_app, finish
    from shelly_local.watson.server.paths import body_limit

    host, threads = settings["host"], settings["threads"]
    if not is_loopback(host):
        _check_key(host, settings["apikey"], settings["without_key"])
    app = create_app(settings)
    try:
        server = serving.bind(
            app, host, settings["port"], threads=threads * (1 + QUEUE_FACTOR), body_limit=body_limit
        )
        with suppress(KeyboardInterrupt):
            serving.serve(server, _announce)
    finally:
        finish(app.extensions["recognition"])
    return 0


def _announce(url: str) -> str:
    return f"Watson Visual Recognition v3 is at {url} (stop it with Ctrl-C)"


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
