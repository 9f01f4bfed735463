"""Every setting of ``training.pretrain``, with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Everything that decides the resulting weights."""

    #: Most accurate of those tried that answer within 6 ms.
    network: str = "large"
    #: Weights to begin with: "random", "default" (torchvision's own), the path of a file, or a
    #: model directory of the same network, for another round.
    init: str = "random"
    #: Passes over the 27,700 pictures: a minute each on two cores with AMX, four without.
    epochs: int = 40
    #: Small enough that batch statistics still regularise, large enough to fill two cores.
    batch_size: int = 128
    #: Peak rate of SGD with Nesterov momentum, reached after the warm-up, then cosine to 0.
    learning_rate: float = 0.1
    warmup_epochs: float = 2.0
    momentum: float = 0.9
    #: "bfloat16" trains twice as fast where a GPU or the CPU's AMX computes it; "float32"
    #: elsewhere; "auto" finds out. Weights and their average are float32 always.
    precision: str = "auto"
    #: On convolutions and the last layer only; not on biases and batch norm.
    weight_decay: float = 5e-4
    #: Exponential moving average of the weights, per step; averages about five epochs.
    ema_decay: float = 0.999
    #: "landmarks" aligns each face as photos are in use; "none" takes it as it was cropped.
    alignment: str = "landmarks"
    #: Of an aligned face, in pixels: as FER2013's. With 64 a face keeps more of its detail when it
    #: is turned and moved, takes 1.8 times as long, and is answered no better.
    side: int = 48
    #: How much larger faces are than FER2013 frames them: less hair and wall, more of the face.
    zoom: float = 1.08
    #: Pictures of rare classes count more, by (mean frequency / frequency) to this power:
    #: 0 serves accuracy alone, 1 all classes alike.
    balance: float = 0.35
    #: Share of pictures changed at random in every way; the others are only mirrored. A last
    #: round with half of them as they are suits what the model meets (He et al. 2019, "Data
    #: Augmentation Revisited").
    augmented_share: float = 1.0
    #: Share of the pictures that are blended with another one, and their targets with its
    #: (``training/mixing.py``). A half gave a point of mean recall and no more right answers.
    mixed_share: float = 0.0
    #: Share of the 2013 label mixed into the votes: 1 trains on the labels of 2013 alone.
    label_share: float = 0.0
    #: The same for pictures labelled disgust or fear in 2013 of which one voter at least says
    #: so, too: FER+ has few of them.
    rare_label_share: float = 0.2
    #: The same for pictures labelled happiness: most voters call a faint smile neutral, and
    #: people who smile at a camera expect that it is seen.
    smile_label_share: float = 0.3
    #: Share of a uniform distribution mixed into the votes; they are soft enough.
    label_smoothing: float = 0.0
    #: Model directories, separated by commas, whose mean answer is mixed into the votes
    #: (distillation, Hinton et al. 2015): they know what ten voters did not say. ``a:3,b``
    #: counts the first three times.
    teachers: str = ""
    #: Share of the teachers in the target, the rest are votes.
    teacher_share: float = 0.5
    seed: int = 0
    #: Only the first pictures of each part, for trials and tests; 0 means all of them.
    limit: int = 0
