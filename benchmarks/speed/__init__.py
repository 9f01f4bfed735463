"""How fast and how frugal this project is; in a checkout only, and no part of a wheel."""
