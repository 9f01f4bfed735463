"""A few steps of training in double precision, in as many processes as torchrun starts.

torchrun --nproc-per-node 2 -m tests.whole_batch_losses FILE RADIUS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from training import distributed, networks, whole_batch
from training.distributed import World

STEPS, BATCH = 8, 30


def losses(world: World) -> list[float]:
    """Loss at each step, and the sum of the statistics of batch norm at the end."""
    torch.manual_seed(0)
    model = whole_batch.convert(networks.build("small").double(), world).train()
    pictures = torch.rand(STEPS * BATCH, 1, 48, 48, dtype=torch.float64) * 255
    labels = torch.arange(len(pictures)) % 7
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)

    def differentiate(rows: Tensor) -> Tensor:
        logits = model(pictures[rows])[0]
        loss = F.cross_entropy(logits, labels[rows], reduction="sum") * world.size / BATCH
        torch.autograd.backward(loss)
        world.average_gradients(model)
        return loss.detach()

    found = []
    for chosen in torch.split(torch.arange(len(pictures)), BATCH):
        rows = world.share(chosen)
        optimiser.zero_grad()
        loss = differentiate(rows)
        optimiser.step()
        found.append(float(world.total(loss)) / world.size)
    return [*found, float(sum(buffer.double().sum() for buffer in model.buffers()))]


if __name__ == "__main__":
    joined = distributed.join("cpu")
    result = losses(joined)
    if joined.is_main:
        Path(sys.argv[1]).write_text(json.dumps(result))
    distributed.leave(joined)
