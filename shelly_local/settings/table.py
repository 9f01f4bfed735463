"""Every setting there is: its flag, its variable, its key in the file, and what it means.

A command's settings are looked up here and nowhere else, so that a name means the same to all.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shelly_local.settings import (
    Setting,
    any_text,
    host_name,
    one_of,
    resolve,
    whole_number,
    yes_or_no,
)

#: Photos classified at once; each uses a core well, so that more would only slow each other.
DEFAULT_THREADS = 4
#: The backend that answers unless another is named.
LOCAL = "local"
DEFAULT_HOST = "127.0.0.1"
MAX_PORT = 65535
#: The port of the page, and one beyond it that of the server for Watson's clients.
PAGE_PORT, API_PORT = 4000, 4001

BACKEND = Setting(
    "backend",
    any_text,
    (LOCAL,),
    many=True,
    metavar="NAME",
    help="who answers: local (default), or a cloud, to which photos are then sent: ibm, "
    "rekognition or google",
)
MODEL = Setting(
    "model",
    Path,
    metavar="DIR",
    help="folder of the emotion model (default: the one that comes with Shelly)",
)
DETECTION = Setting(
    "detection",
    one_of("fast", "thorough"),
    "fast",
    metavar="HOW",
    help="fast looks for large faces first, and leaves out small ones beside them; thorough "
    "looks for all, which takes up to ten times as long (default: fast)",
)
DEVICE = Setting(
    "device",
    one_of("cpu", "cuda", "coreml", "openvino"),
    "cpu",
    metavar="NAME",
    help="where the networks run: cpu, cuda, coreml or openvino; all but cpu take another package "
    "of ONNX Runtime, such as onnxruntime-gpu (default: cpu)",
)
HOST = Setting(
    "host",
    any_text,
    DEFAULT_HOST,
    metavar="HOST",
    help=f"address to listen on (default: {DEFAULT_HOST}, this machine only)",
)
PORT = Setting("port", whole_number(0, MAX_PORT), metavar="PORT")
THREADS = Setting(
    "threads",
    whole_number(1),
    DEFAULT_THREADS,
    metavar="N",
    help=f"how many photos are classified at the same time (default: {DEFAULT_THREADS})",
)
ALLOWED_HOST = Setting(
    "allowed-host",
    host_name,
    (),
    many=True,
    metavar="NAME",
    help="name under which the server may be asked for; repeatable (default: any where --host is "
    "not this machine only)",
)
LOG_FORMAT = Setting(
    "log-format",
    one_of("none", "text", "json"),
    "none",
    metavar="FORMAT",
    help="one line per request on standard error, without anything about photos: text, json or "
    "none (default: none)",
)
DATA_DIR = Setting(
    "data-dir",
    Path,
    metavar="DIR",
    help="folder of the custom classifiers (default: shelly-local in the user's data folder)",
)
APIKEY = Setting("apikey", any_text, secret=True)
ALLOW_URL = Setting(
    "allow-url",
    one_of("no", "public", "loopback"),
    "no",
    metavar="WHICH",
    help="whether the API fetches pictures by their url: no, public (addresses of the public "
    "internet) or loopback (this machine's own, too) (default: no)",
)
CLASSIFIER_ALIAS = Setting(
    "classifier-alias",
    any_text,
    (),
    many=True,
    metavar="ID",
    help="further id of the built-in classifier, such as one that a program asks for; repeatable",
)
ALLOWED_ORIGIN = Setting(
    "allowed-origin",
    any_text,
    (),
    many=True,
    metavar="URL",
    help="web site, such as https://shelly.example, whose pages may use all of the API without a "
    "key, custom classifiers included; repeatable",
)
DEFAULT = Setting(
    "default",
    one_of("general", "emotion"),
    "emotion",
    metavar="WHICH",
    help="what the API's classifier default answers: general (things, colours and the mood of a "
    "large face, as IBM's did) or emotion (default: emotion)",
)
WITHOUT_KEY = Setting(
    "without-key",
    yes_or_no,
    False,
    help="allow --host on an address that others reach without a key",
)


def _port(number: int) -> Setting:
    text = f"port to listen on, 0 to {MAX_PORT} (default: {number}); 0 takes any free one"
    return replace(PORT, default=number, help=text)


_BOTH_SERVERS = (
    *(BACKEND, MODEL, DETECTION, DEVICE, THREADS, ALLOWED_HOST, LOG_FORMAT, DATA_DIR),
    *(APIKEY, ALLOW_URL, CLASSIFIER_ALIAS, ALLOWED_ORIGIN),
)
#: ``shelly serve`` stands in for IBM's service, whose default was of things.
_GENERAL = replace(
    DEFAULT, default="general", help=DEFAULT.help.replace("default: emotion", "default: general")
)
#: The settings of each command, by the name of its table in the file.
COMMANDS: Mapping[str, tuple[Setting, ...]] = {
    "classify": (BACKEND, MODEL, DETECTION, DEVICE),
    "web": (HOST, _port(PAGE_PORT), *_BOTH_SERVERS, DEFAULT),
    "serve": (HOST, _port(API_PORT), *_BOTH_SERVERS, _GENERAL, WITHOUT_KEY),
}


def settings_of(command: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The value of every setting of a command, by its ``key``.

    Args:
        command: one of ``COMMANDS``.
        arguments: what its parser found.

    Raises:
        SettingError: see ``resolve``.
    """
    return resolve(COMMANDS, vars(arguments), table=command)
