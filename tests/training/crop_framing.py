"""A framing of crops without a model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shelly_local.vision.alignment import FER2013_TEMPLATE


@dataclass(frozen=True)
class CropFraming:
    size: int
    template: NDArray[np.float64] = field(default_factory=FER2013_TEMPLATE.copy)
