"""The subcommands of ``shelly``, one per module.

Each module offers ``add_parser(subparsers)``. It imports what is heavy (numpy, Pillow,
ONNX Runtime, Flask) only when the command runs, so that ``shelly --help`` is immediate.
"""
