"""``python -m shelly_local`` is the console command ``shelly``."""

from __future__ import annotations

import sys

from shelly_local.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
