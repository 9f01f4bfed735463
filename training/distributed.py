"""Several processes, GPUs or machines, started by ``torchrun``; one process needs nothing.

    torchrun --nproc-per-node 2 -m training.train ...

Every process holds all crops (they are small), computes its share of each batch, and the
gradients are averaged. The batch, its order and its augmentation are those of one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class World:
    """This process among all.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        device: where it computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch."""
        return batch[self.rank :: self.size]

    def average_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by its mean over all processes."""
        if self.size == 1:
            return
        for parameter in model.parameters():
            if parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= self.size

    def total(self, value: Tensor) -> Tensor:
        """The sum of a value over all processes."""
        if self.size > 1:
            value = value.clone()
            distributed.all_reduce(value)
        return value

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            distributed.barrier()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """A block that the main process runs before the others, which find its files."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()


@contextmanager
def joined(device: str | None = None) -> Iterator[World]:
    """A block in the group of processes that ``torchrun`` started, or in the only one.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``; by default a GPU if there is one. Under
            ``torchrun`` each process of a machine takes a GPU of its own.

    Raises:
        ValueError: no such device.
    """
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1:
        if name == "cuda":
            name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        distributed.init_process_group("nccl" if name.startswith("cuda") else "gloo")
    try:
        chosen = torch.device(name)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device {name!r} cannot be used: {error}") from error
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    try:
        yield World(int(os.environ.get("RANK", "0")), size, chosen)
    finally:
        if size > 1:
            distributed.destroy_process_group()
