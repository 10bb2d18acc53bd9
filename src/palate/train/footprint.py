"""How much memory a run takes at the most, part by part and phase by phase, known before it begins."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from palate.engine import Layout
from palate.engine.skeleton import Skeleton, quantised_bytes
from palate.recipe import QuantizationOptions, TrainOptions
from palate.train.disk import optimizer_bytes
from palate.train.live_memory import LARGE_BYTES
from palate.train.row_memory import RowMemory, own_forward_bytes, row_memory
from palate.train.schedule import PlannedRow, RowCount

__all__ = ["Footprint", "Rows", "Weights", "loaded_weights", "plan_memory"]


# Torch asks glibc for aligned memory, and glibc does not find a freed piece for an aligned request of its own
# size: what is freed between tensors that stay is of little use until they go. So the heap holds more than is
# live: 1.6 to 2.7 times as much in most runs of docs/plan.md, the more the more rows differ in length.
_HEAP_PER_LIVE_BYTE = 2.1
# And it gives back its end only where that is more than twice what it takes for large.
_HEAP_END_BYTES = 2 * LARGE_BYTES
# On a CPU every shape of a bf16 product is compiled and kept: about a megabyte each in those runs, up to
# oneDNN's default of 1024 of them (ONEDNN_PRIMITIVE_CACHE_CAPACITY).
_KERNEL_BYTES, _MOST_KERNELS = 1_000_000, 1024


@dataclass(frozen=True, slots=True)
class Weights:
    """Bytes of a model as loaded. by_dtype: the base's, by how they are held. adapter: what is trained over
    it. largest_quantised: one layer as it is multiplied with, out of its four bits. while_loading: what is in
    memory at the same time only until it is loaded."""

    by_dtype: dict[str, int]
    adapter: int
    largest_quantised: int
    while_loading: int

    @property
    def base(self) -> int:
        """All of the base."""
        return sum(self.by_dtype.values())


@dataclass(slots=True)
class Footprint:
    """Bytes of memory. phases: the most that each phase of the run takes. parts: what is in memory at the
    run's largest moment. peak: their sum."""

    phases: dict[str, int] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)

    @property
    def peak(self) -> int:
        """The most the run takes at any moment."""
        return max(self.phases.values())

    def phase(self, name: str, **parts: int) -> None:
        """Add a phase, by what is in memory at its largest moment."""
        total = sum(parts.values())
        if not self.phases or total > self.peak:
            self.parts = parts
        self.phases[name] = total


def loaded_weights(skeleton: Skeleton, quantization: QuantizationOptions | None) -> Weights:
    """What the model's weights take once loaded, and while they are."""
    policy = skeleton.policy
    quantised = {id(layer.weight) for layer in skeleton.quantised.values()}
    is_adapter = {id(p) for name, p in policy.model.named_parameters() if _is_adapters(name)}
    by_dtype: dict[str, int] = {}
    for tensor in {id(t): t for t in (*policy.model.parameters(), *policy.model.buffers())}.values():
        if id(tensor) in quantised or id(tensor) in is_adapter:
            continue
        name = str(tensor.dtype).removeprefix("torch.")
        by_dtype[name] = by_dtype.get(name, 0) + tensor.numel() * tensor.element_size()
    if quantization is not None:
        by_dtype[quantization.type] = quantised_bytes(skeleton.quantised, quantization)
    adapter = sum(p.numel() * p.element_size() for p in policy.model.parameters() if id(p) in is_adapter)
    largest = max((layer.weight.numel() for layer in skeleton.quantised.values()), default=0)
    base = sum(by_dtype.values())
    plain = base
    if quantization is not None:
        num_quantised = sum(layer.weight.numel() for layer in skeleton.quantised.values())
        plain += num_quantised * policy.compute_dtype.itemsize - by_dtype[quantization.type]
    is_as_in_the_file = abs(plain - skeleton.file_bytes) < 0.01 * plain
    if quantization is not None and is_as_in_the_file and policy.device.type == "cpu":
        # What is not quantised stays in the file that is mapped into memory, and all of it was read.
        by_dtype["file"] = max(0, skeleton.file_bytes - base + by_dtype[quantization.type])
    while_loading = 0 if is_as_in_the_file else skeleton.file_bytes
    return Weights(by_dtype, adapter, largest * policy.compute_dtype.itemsize, while_loading)


def _is_adapters(name: str) -> bool:
    return ".lora_" in name or ".modules_to_save." in name


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a run, by what is done with them. reference: None where nothing is filled beforehand."""

    train: RowCount
    evaluate: RowCount
    reference: RowCount | None
    longest_proved: int
    num_steps: int


def plan_memory(
    skeleton: Skeleton,
    options: TrainOptions,
    weights: Weights,
    rows: Rows,
    layout: Layout,
    *,
    process: int,
    other_reference: int = 0,
    following_reference: bool = False,
) -> Footprint:
    """What each phase of a run takes at its largest moment.

    process: what the process holds before it loads anything; 0 where the device has its own memory.
    other_reference: bytes of a reference model beside the policy, let go of once it has been asked.
    """
    policy = skeleton.policy
    trained = sum(p.numel() * p.element_size() for p in policy.trainable_parameters())
    optimizer = 0 if options.optimizer.startswith("paged") else optimizer_bytes(policy, options)
    on_cpu = policy.device.type == "cpu"
    fixed = {
        "process": process,
        "kernels": _kernel_bytes(skeleton, rows) if on_cpu else 0,
        "weights": weights.base,
        "adapter": weights.adapter,
        "reference": trained if following_reference else 0,
    }
    found = Footprint()
    if on_cpu:
        loading = fixed | {"kernels": 0}
        found.phase("load the model", **loading, loading=weights.while_loading)
    found.phase(
        "prove the layout",
        **fixed,
        head=own_forward_bytes(skeleton.runnable, rows.longest_proved),
        activations=weights.largest_quantised,
    )

    def passing(row: PlannedRow | None, *, gradient: bool) -> RowMemory:
        if row is None:
            return RowMemory(0, 0, 0)
        return row_memory(
            skeleton, row.branches, layout, gradient=gradient, gradients_held=gradient and not row.is_first
        )

    def phase(name: str, row: RowMemory, **more: int) -> None:
        activations = row.activations + weights.largest_quantised
        small = activations + row.head - row.large
        heap = int((_HEAP_PER_LIVE_BYTE - 1) * small) + _HEAP_END_BYTES if on_cpu else 0
        parts = {"gradients": row.gradients, "activations": activations, "head": row.head, "heap": heap}
        found.phase(name, **fixed, **more, **parts)

    if rows.reference is not None:
        largest = passing(rows.reference.largest, gradient=False)
        phase("ask the reference", largest, other_reference=other_reference)
    moments = optimizer if rows.num_steps > 1 else 0
    for row in (rows.train.largest_first, rows.train.largest_later):
        if row is not None:
            computed = passing(row, gradient=True)
            before = found.phases.get("train", 0)
            phase("train", computed, optimizer=moments)
            found.phases["train"] = max(before, found.phases["train"])
    found.phase("move the weights", **fixed, optimizer=optimizer, gradients=trained)
    if rows.evaluate.num_rows:
        phase("evaluate", passing(rows.evaluate.largest, gradient=False), optimizer=optimizer)
    # The optimizer's state is copied before it is written.
    copied = optimizer if on_cpu else 0
    found.phase("write a checkpoint", **fixed, optimizer=optimizer, checkpoint=copied)
    return found


def _kernel_bytes(skeleton: Skeleton, rows: Rows) -> int:
    """What compiled products take, one for every shape: forwards and backwards through every kind of linear
    layer and of adapter for every length of row, and two over the vocabulary for every number of contexts."""
    policy = skeleton.policy
    if policy.compute_dtype != torch.bfloat16:
        return 0
    base, adapted_in, adapted_out = set(), set(), set()
    for name, module in policy.base_model.named_modules():
        if not isinstance(module, nn.Linear) or "lm_head" in name or name.startswith("score"):
            continue
        shape = (module.in_features, module.out_features)
        if ".lora_A." in name:
            adapted_in.add(shape)
        elif ".lora_B." in name:
            adapted_out.add(shape)
        else:
            base.add(shape)
    backwards = 2 if policy.has_adapter else 3
    per_length = backwards * len(base) + 3 * (len(adapted_in) + len(adapted_out))
    others = rows.evaluate.lengths | (rows.reference.lengths if rows.reference is not None else set())
    others -= rows.train.lengths
    count = per_length * len(rows.train.lengths) + len(base) * len(others)
    if not policy.is_reward_model:
        count += 2 * len(rows.train.contexts)
        count += len(rows.reference.contexts) if rows.reference is not None else 0
    return _KERNEL_BYTES * min(count, _MOST_KERNELS)
