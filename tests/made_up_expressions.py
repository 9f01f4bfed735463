"""How a neutral face changes into the made-up expressions of ``tests.made_up_faces``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bump:
    """A Gaussian around a point of the face; lengths in eye distances.

    Attributes:
        anchor: "eye", "corner" (of the mouth): one on each side; "nose", "lips": in the middle.
        at: centre from the anchor, outwards and down.
        spread: standard deviations, across and down.
        move: displacement of the skin, outwards and down.
        shade: share of light taken away, for creases.
    """

    anchor: str
    at: tuple[float, float]
    spread: tuple[float, float]
    move: tuple[float, float] = (0.0, 0.0)
    shade: float = 0.0


@dataclass(frozen=True)
class Expression:
    """How a neutral face changes; lengths in eye distances.

    Attributes:
        bumps: displacements and creases.
        mouth: how far the upper lip rises and the lower lip falls at the middle.
        width: half width of the opening, in half widths of the mouth.
        teeth: share of the opening, from above, that shows teeth.
    """

    bumps: tuple[Bump, ...]
    mouth: tuple[float, float] = (0.0, 0.0)
    width: float = 0.9
    teeth: float = 0.0


BROW_INNER, BROW_MIDDLE, BROW_OUTER = (-0.26, -0.34), (0.02, -0.38), (0.28, -0.32)
LID_UPPER, LID_LOWER = (0.0, -0.11), (0.0, 0.11)

EXPRESSIONS: dict[str, Expression] = {
    "anger": Expression(
        (
            Bump("eye", BROW_INNER, (0.20, 0.15), (-0.07, 0.15)),
            Bump("eye", BROW_MIDDLE, (0.20, 0.15), (-0.02, 0.07)),
            Bump("eye", BROW_OUTER, (0.16, 0.14), (0.02, -0.03)),
            Bump("eye", LID_LOWER, (0.22, 0.07), (0.0, -0.04)),
            Bump("eye", (-0.42, -0.20), (0.022, 0.10), shade=0.25),
            Bump("lips", (0.0, -0.12), (0.32, 0.08), (0.0, 0.055)),
            Bump("lips", (0.0, 0.13), (0.32, 0.09), (0.0, -0.07)),
            Bump("corner", (0.0, 0.0), (0.16, 0.14), (-0.05, 0.03)),
        )
    ),
    "disgust": Expression(
        (
            Bump("eye", BROW_INNER, (0.22, 0.16), (-0.02, 0.08)),
            Bump("eye", LID_UPPER, (0.24, 0.07), (0.0, 0.045)),
            Bump("eye", LID_LOWER, (0.24, 0.08), (0.0, -0.07)),
            Bump("nose", (0.0, 0.0), (0.32, 0.22), (0.0, -0.11)),
            Bump("nose", (0.0, -0.34), (0.09, 0.02), shade=0.22),
            Bump("nose", (0.0, -0.42), (0.10, 0.02), shade=0.22),
            Bump("corner", (0.04, -0.24), (0.04, 0.10), shade=0.18),
            Bump("lips", (0.0, -0.12), (0.26, 0.14), (0.0, -0.09)),
            Bump("corner", (0.0, 0.0), (0.16, 0.15), (0.02, 0.05)),
        ),
        mouth=(0.06, 0.02),
        width=0.8,
        teeth=0.8,
    ),
    "fear": Expression(
        (
            Bump("eye", BROW_INNER, (0.20, 0.15), (-0.06, -0.15)),
            Bump("eye", BROW_MIDDLE, (0.22, 0.14), (-0.03, -0.06)),
            Bump("eye", LID_UPPER, (0.24, 0.08), (0.0, -0.05)),
            Bump("eye", LID_LOWER, (0.24, 0.08), (0.0, 0.025)),
            Bump("eye", (-0.30, -0.70), (0.26, 0.022), shade=0.14),
            Bump("eye", (-0.30, -0.80), (0.26, 0.022), shade=0.14),
            Bump("corner", (0.0, 0.0), (0.24, 0.18), (0.11, 0.04)),
        ),
        mouth=(0.04, 0.13),
        width=0.9,
        teeth=0.5,
    ),
    "sadness": Expression(
        (
            Bump("eye", BROW_INNER, (0.17, 0.15), (-0.04, -0.15)),
            Bump("eye", BROW_OUTER, (0.20, 0.15), (0.0, 0.08)),
            Bump("eye", (0.10, -0.10), (0.18, 0.07), (0.0, 0.05)),
            Bump("corner", (0.0, 0.0), (0.20, 0.18), (0.0, 0.12)),
            Bump("lips", (0.0, 0.08), (0.22, 0.16), (0.0, -0.06)),
            Bump("corner", (0.06, 0.20), (0.04, 0.08), shade=0.18),
        )
    ),
    "surprise": Expression(
        (
            Bump("eye", BROW_INNER, (0.26, 0.16), (0.0, -0.12)),
            Bump("eye", BROW_OUTER, (0.26, 0.16), (0.02, -0.13)),
            Bump("eye", LID_UPPER, (0.26, 0.09), (0.0, -0.055)),
            Bump("eye", LID_LOWER, (0.26, 0.08), (0.0, 0.03)),
            Bump("corner", (0.0, 0.0), (0.22, 0.22), (-0.05, 0.04)),
            Bump("lips", (0.0, 0.60), (0.60, 0.35), (0.0, 0.10)),
        ),
        mouth=(0.06, 0.32),
        width=0.85,
    ),
}
