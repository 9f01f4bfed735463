"""Settings from flags, the environment and a TOML file, in that order of precedence.

A setting ``log-format`` is the flag ``--log-format``, the variable ``SHELLY_LOG_FORMAT`` and the
key ``log-format`` of the file, in the command's table or, for all commands that have it, at the
top::

    backend = ["local", "rekognition"]

    [web]
    port = 8080

Every source goes through the same parser, and an error names the source. Which settings there are
stands in ``settings.table``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelly_local.errors import ShellyError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: The variable that names the settings file, as ``--config`` does.
CONFIG_VARIABLE = "SHELLY_CONFIG"
#: A settings file has a few lines; this many bytes are no settings file.
_MAX_FILE_BYTES = 64 * 1024


class SettingError(ShellyError):
    """A setting has an unusable value; the message names its source, value and choices."""

    code = 400
    error_id = "bad_setting"


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        name: its flag without the dashes in front, such as ``"log-format"``.
        parse: makes a value of a text; raises ValueError with ``"must be ..., got ..."``.
        default: the value when no source has one.
        many: whether it is a list: a flag given repeatedly, or names with commas.
        metavar: what ``--help`` calls the value; empty for a flag that stands for itself.
        help: what ``--help`` says.
        secret: whether it has no flag, because other users of a machine see those.
    """

    name: str
    parse: Callable[[str], Any]
    default: Any = None
    many: bool = False
    metavar: str = ""
    help: str = ""
    secret: bool = False

    @property
    def key(self) -> str:
        """The name as an attribute of parsed arguments."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The name of its environment variable."""
        return f"SHELLY_{self.key.upper()}"

    def read(self, text: str) -> Any:
        """The value of a text, for ``many`` a list.

        Raises:
            ValueError: it is no such value.
        """
        if not self.many:
            return self.parse(text)
        return [self.parse(part.strip()) for part in text.split(",") if part.strip()]

    def argument(self, text: str) -> Any:
        """``read`` as a ``type`` of argparse."""
        try:
            return self.read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None


def add_flags(parser: argparse.ArgumentParser, settings: Iterable[Setting]) -> None:
    """Add the flags of settings to a command's parser, and ``--config``."""
    for setting in settings:
        if setting.secret:
            continue
        if setting.metavar:
            parser.add_argument(
                f"--{setting.name}",
                metavar=setting.metavar,
                type=setting.argument,
                action="append" if setting.many else "store",
                help=setting.help,
            )
        else:
            parser.add_argument(
                f"--{setting.name}", action="store_const", const=True, help=setting.help
            )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help=f"TOML file with settings (default: what {CONFIG_VARIABLE} names, else none)",
    )


def resolve(
    commands: Mapping[str, Sequence[Setting]],
    flags: Mapping[str, Any],
    *,
    table: str,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The value of every setting of a command, by its ``key``.

    Args:
        commands: the settings of each command that has some, by the name of its table in the file.
        flags: parsed arguments by ``key``, None where a flag was not given, and ``config``
            for the settings file.
        table: the command.
        environment: variables; those of this process by default.

    Raises:
        SettingError: a value is unusable, or the file is.
    """
    environment = os.environ if environment is None else environment
    path = flags.get("config") or environment.get(CONFIG_VARIABLE) or None
    file = read_file(Path(path), commands, table) if path else {}
    return {
        setting.key: _first(setting, flags.get(setting.key), environment, file)
        for setting in commands[table]
    }


def _first(
    setting: Setting, flag: Any, environment: Mapping[str, str], file: Mapping[str, Any]
) -> Any:
    """The value of the source that comes first."""
    if flag is not None:
        # argparse appends one list for each time the flag is given.
        return [value for part in flag for value in part] if setting.many else flag
    text = environment.get(setting.variable, "")
    if text.strip():
        try:
            return setting.read(text.strip())
        except ValueError as error:
            raise SettingError(f"{setting.variable}: {error}") from None
    return file.get(setting.key, setting.default)


def read_file(path: Path, commands: Mapping[str, Sequence[Setting]], table: str) -> dict[str, Any]:
    """The settings of a TOML file that apply to a command, by ``key``.

    Args:
        path: the file.
        commands: see :func:`resolve`.
        table: the command; the tables of others are left alone, as are settings at the top that
            only others have.

    Raises:
        SettingError: the file cannot be read, is no TOML, or has an unknown name or an
            unusable value.
    """
    content = _load(path)
    common = {name: value for name, value in content.items() if name not in commands}
    own = content.get(table, {})
    if not isinstance(own, dict):
        raise SettingError(f"{path}: {table} must be a table, [{table}]; got {own!r}")
    known = {setting.name: setting for setting in commands[table]}
    others = {setting.name for settings in commands.values() for setting in settings}
    values: dict[str, Any] = {}
    for prefix, entries in (("", common), (f"{table}.", own)):
        for name, value in entries.items():
            if name not in known:
                if not prefix and name in others:
                    continue
                raise SettingError(
                    f"{path}: unknown setting {prefix}{name}; choose from {', '.join(known)}"
                )
            setting = known[name]
            try:
                values[setting.key] = _value(setting, value)
            except ValueError as error:
                raise SettingError(f"{path}, {prefix}{name}: {error}") from None
    return values


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise SettingError(f"{path}: a settings file has at most {_MAX_FILE_BYTES} bytes")
        content: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
        return content
    except OSError as error:
        raise SettingError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise SettingError(f"{path}: no TOML: {error}") from error


def _value(setting: Setting, value: Any) -> Any:
    """A value of the file, parsed as the text that a flag would have."""
    if setting.many and isinstance(value, list):
        return [setting.parse(_text(item)) for item in value]
    return setting.read(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    raise ValueError(f"must be a text or a whole number, got {value!r}")


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers from ``low`` to ``high``, both allowed."""
    allowed = f"of at least {low}" if high is None else f"from {low} to {high}"

    def parse(text: str) -> int:
        # More digits than any limit here has would only take time to read.
        plain = text.isascii() and text.isdecimal() and len(text) <= 9
        if not plain or int(text) < low or (high is not None and int(text) > high):
            raise ValueError(f"must be a whole number {allowed}, got {text!r}")
        return int(text)

    return parse


def one_of(*names: str) -> Callable[[str], str]:
    """A parser of one of these names."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"must be one of {', '.join(names)}; got {text!r}")
        return text

    return parse


def yes_or_no(text: str) -> bool:
    """A parser of ``true`` or ``false``.

    Raises:
        ValueError: it is neither.
    """
    return one_of("true", "false")(text.lower()) == "true"


def host_name(text: str) -> str:
    """A parser of a host name or address as browsers send it, without port.

    Returns:
        The name in lower case, an IPv6 address in brackets.

    Raises:
        ValueError: it is empty, or has a scheme, path, port or space in it.
    """
    name = text.strip().lower()
    if name.count(":") > 1 and not name.startswith("["):
        name = f"[{name}]"
    outside = name.partition("]")[2] if name.startswith("[") else name
    if not name or any(sign in name for sign in " /@,\t") or ":" in outside:
        raise ValueError(f"must be a host name without scheme and port, got {text!r}")
    return name


def any_text(value: str) -> str:
    """A parser of any text that is not empty.

    Raises:
        ValueError: it is empty.
    """
    if not value:
        raise ValueError("must not be empty, got ''")
    return value
