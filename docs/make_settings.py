"""Writes ``settings.md`` from the table of settings: ``python docs/make_settings.py``."""

from __future__ import annotations

from pathlib import Path

from shelly_local.settings.table import COMMANDS

PAGE = Path(__file__).with_name("settings.md")

_BEFORE = """\
# Settings

A setting comes from a flag, else from the environment, else from a TOML file that `--config` or
`SHELLY_CONFIG` names. At the top of the file it holds for every command that has it, in a command's
table for that one:

```toml
backend = ["local", "rekognition"]

[web]
port = 8080
```

A value that cannot be used is refused with its source, the value and the choices. Where one
backend answers (`shelly classify`, `shelly serve`, `VisualRecognition`), several names in the
environment or the file mean the first; on the page it is the default.

| setting | commands | variable | what |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The text of ``settings.md``; this page is written by ``python docs/make_settings.py``."""
    names = list(dict.fromkeys(one.name for settings in COMMANDS.values() for one in settings))
    rows = []
    for name in names:
        found = {
            command: setting
            for command, settings in COMMANDS.items()
            for setting in settings
            if setting.name == name
        }
        flag = next(iter(found.values()))
        what = " / ".join(dict.fromkeys(setting.help for setting in found.values()))
        shown = f"`{name}`" if flag.secret else f"`--{name}`"
        if flag.secret:
            what = "the key that programs must show; it has no flag, as others see those"
        rows.append(f"| {shown} | {', '.join(found)} | `{flag.variable}` | {what} |\n")
    return _BEFORE + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
