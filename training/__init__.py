"""Training and evaluation of Shelly's models; needs the extra ``train``."""

import shelly_local  # noqa: F401 - before ONNX Runtime, whose reports to its maker it switches off
