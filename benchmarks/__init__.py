"""Measurements of Shelly, each with its command; see README.md."""
