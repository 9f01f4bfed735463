"""Every setting of ``training.pretrain``: what it does, and when to change it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def setting(default: Any, text: str) -> Any:
    """A field of settings whose text ``--help`` shows."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Settings:
    """Everything that decides the resulting weights."""

    network: str = setting(
        "large",
        "small (for trials), medium, large (the most accurate that answers within 6 ms), resnet18 "
        "(a teacher), face_resnet, or torchvision/NAME",
    )
    init: str = setting(
        "random",
        'weights to begin with: "random", "default" (torchvision\'s own), the path of a file, or a '
        "model directory of the same network, for another round",
    )
    epochs: int = setting(
        40,
        "passes over the 27,700 pictures: a minute each on two cores with AMX, four without; 26 "
        "are enough for another round",
    )
    batch_size: int = setting(
        128,
        "pictures a step: small enough that batch statistics still regularise, large enough to "
        "fill two cores; more on a GPU, with a higher rate",
    )
    learning_rate: float = setting(
        0.1,
        "peak rate of SGD with Nesterov momentum, reached after the warm-up, then cosine to 0; "
        "half of it for another round, less where the loss is no longer a number",
    )
    warmup_epochs: float = setting(
        2.0, "epochs in which the rate rises to its peak; half a one for another round"
    )
    momentum: float = setting(0.9, "of SGD; seldom worth a change")
    precision: str = setting(
        "auto",
        '"bfloat16" trains twice as fast where a GPU or the CPU\'s AMX computes it, "float32" '
        'elsewhere; "auto" finds out. Weights and their average are float32 always',
    )
    weight_decay: float = setting(
        5e-4,
        "on convolutions and the last layer only; more where training is right and the public part "
        "is not",
    )
    ema_decay: float = setting(
        0.999,
        "of the moving average of the weights, per step: it averages about five epochs; less for "
        "runs of few steps",
    )
    alignment: str = setting(
        "landmarks",
        '"landmarks" aligns each face as photos are in use; "none" takes it as it was cropped, for '
        "comparison",
    )
    zoom: float = setting(
        1.08,
        "how much larger faces are than FER2013 frames them: less hair and wall, more of the face",
    )
    balance: float = setting(
        0.35,
        "pictures of rare classes count more, by (mean frequency / frequency) to this power: 0 "
        "serves accuracy alone, 1 all classes alike",
    )
    augmented_share: float = setting(
        1.0,
        "share of pictures changed at random in every way, the others are only mirrored; a half in "
        "a last round suits what the model meets (He et al. 2019)",
    )
    label_share: float = setting(
        0.0, "share of the 2013 label mixed into the votes: 1 trains on the labels of 2013 alone"
    )
    rare_label_share: float = setting(
        0.2,
        "the same for pictures labelled disgust or fear in 2013 of which one voter at least says "
        "so, too: FER+ has few of them",
    )
    smile_label_share: float = setting(
        0.3,
        "the same for pictures labelled happiness: most voters call a faint smile neutral, and "
        "people who smile at a camera expect that it is seen",
    )
    label_smoothing: float = setting(
        0.0, "share of a uniform distribution mixed into the votes, which are soft enough"
    )
    teachers: str = setting(
        "",
        "model directories, separated by commas, whose mean answer is mixed into the votes "
        "(distillation): they know what ten voters did not say; a:3,b counts the first one three "
        "times",
    )
    teacher_share: float = setting(0.5, "share of the teachers in the target, the rest are votes")
    seed: int = setting(0, "of all that is random; another one for another teacher")
    limit: int = setting(
        0, "only the first pictures of each part, for trials and tests; 0 means all"
    )
