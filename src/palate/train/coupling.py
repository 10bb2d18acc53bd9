"""What a loss must know of the whole batch before any row of it is computed.

Rows are cut to fit in memory and spread over processes, and no result may depend on how. So whatever couples
the examples of a batch is settled first, over all rows of all processes:

- the KL estimate of KTO, from one pass over the mismatched completions;
- for objectives that sort or pool the batch's log-probabilities (AOT), the gradient of the whole batch's loss
  with respect to every one of them, from one pass without gradient (Gao et al. 2021, arXiv:2101.06983). The
  second pass then only has to carry it into the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from palate.train.examples import Example
from palate.train.inputs import BatchContext, Inputs, Source
from palate.train.processes import Processes
from palate.train.random_state import RandomState

__all__ = ["couple", "kl_estimate"]

Objective = Callable[[Any], Tensor]


def kl_estimate(source: Source, rows: Sequence[Sequence[Example]], processes: Processes) -> Tensor:
    """[] max(0, mean log-ratio of the mismatched completions), over the rows of all processes.

    Ethayarajh et al. 2024, arXiv:2402.01306, section 4.1.
    """
    ratios = [source.mismatched_log_ratios(row).double() for row in rows]
    mine = torch.cat(ratios) if ratios else torch.zeros(0)
    total, count = processes.sum([float(mine.sum()), len(mine)])
    return torch.tensor(max(0.0, total / max(1.0, count)), device=source.policy.device)


def couple(
    objective: Objective,
    source: Source,
    rows: Sequence[Sequence[Example]],
    processes: Processes,
    context: BatchContext,
) -> list[Objective]:
    """For each row, the function that gives its examples' losses and their gradients in the whole batch.

    The losses add up to the batch's; which of them an example is given has no meaning by itself.
    """
    device = source.policy.device
    # Dropout has to fall as it will when the rows are computed again with gradient.
    state = RandomState.now(device)
    with torch.no_grad():
        mine = [source.compute(row, context).inputs for row in rows]
    state.restore(device)
    by_rank = processes.gather([_moved(part, torch.device("cpu")) for part in mine])
    everyone = [_moved(part, device) for parts in by_rank for part in parts]
    with torch.enable_grad():  # an evaluation has it off, and asks for the losses alone
        whole, leaves = _concatenated(everyone)
        losses_B = objective(whole)
        found = torch.autograd.grad(losses_B.sum(), list(leaves.values()), allow_unused=True)
    grads = {name: grad for name, grad in zip(leaves, found, strict=True) if grad is not None}
    start = sum(_size(part) for parts in by_rank[: processes.rank] for part in parts)
    objectives = []
    for part in mine:
        here = slice(start, start + _size(part))
        start = here.stop
        objectives.append(_carrying(losses_B[here].detach(), {n: g[here] for n, g in grads.items()}))
    return objectives


def _carrying(losses_B: Tensor, grads: dict[str, Tensor]) -> Objective:
    """A function of these values and these gradients, whatever it is given."""

    def objective(inputs: Any) -> Tensor:
        result = losses_B
        for name, grad in grads.items():
            value = getattr(inputs, name)
            result = result + grad * (value - value.detach())
        return result

    return objective


def _tensors(inputs: Inputs) -> dict[str, Any]:
    return {field.name: getattr(inputs, field.name) for field in fields(inputs)}


def _moved(inputs: Inputs, device: torch.device) -> Inputs:
    moved: dict[str, Any] = {
        name: None if t is None else t.to(device) for name, t in _tensors(inputs).items()
    }
    return type(inputs)(**moved)


def _size(inputs: Inputs) -> int:
    return max(0 if t is None or t.ndim == 0 else len(t) for t in _tensors(inputs).values())


def _concatenated(parts: Sequence[Inputs]) -> tuple[Inputs, dict[str, Tensor]]:
    """All examples as one, and those of its tensors that a gradient is wanted of."""
    tables = [_tensors(part) for part in parts]
    joined: dict[str, Any] = {}
    for name, first in tables[0].items():
        values = [value for table in tables if (value := table[name]) is not None]
        # What belongs to the batch and not to an example (the reward shift) is the same in every row.
        joined[name] = first if first is None or first.ndim == 0 else torch.cat(values)
    leaves = {
        name: value.requires_grad_()
        for name, value in joined.items()
        if value is not None and value.is_floating_point() and value.ndim and not name.startswith("reference")
    }
    return type(parts[0])(**joined), leaves
