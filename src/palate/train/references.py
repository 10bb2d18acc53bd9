"""What the policy is compared with: found, loaded and computed before the first step, where it can be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from palate.engine import Branch, Policy, Reference, load_trained
from palate.engine.logps import Layout
from palate.engine.reference import MovingReference
from palate.errors import ModelError
from palate.recipe import ModelOptions, ReferenceOptions
from palate.train.batches import BatchPlan, RowCost, rows_of, share_of
from palate.train.examples import Examples
from palate.train.inputs import row_branches
from palate.train.lazy import Mapped, Rows
from palate.train.processes import Processes
from palate.train.run_folder import RunFolder
from palate.watcher import Watcher

__all__ = ["build_reference", "fill_reference"]


def build_reference(
    policy: Policy, options: ReferenceOptions, model: ModelOptions, layout: Layout, folder: Path | None
) -> Reference | MovingReference:
    """The reference a recipe asks for, around the policy as training starts.

    That is the policy with its fresh adapter off; the policy as it stands where it starts from an adapter;
    another model; or one that follows the policy. `folder` is where another model lies, for a name that
    neither the Hub nor the file system knows.

    Raises:
        ModelError: the other model cannot be loaded, or has another tokenizer.
    """
    if options.sync_every is not None:
        return MovingReference(policy, layout, sync_every=options.sync_every, mixup=options.sync_mixup)
    if options.model is None:
        return Reference(policy, layout, adapter_on=bool(policy.start_hash))
    run = RunFolder(options.model)
    name = str(run.trained) if run.recipe_file.is_file() else options.model
    try:
        other = load_trained(name, model, folder=folder)
    except ModelError as error:
        where = f"reference.model = {options.model}"
        raise ModelError(error.what, where=where, why=error.why, next=error.next) from None
    if other.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise ModelError(
            "the reference has another tokenizer than the model",
            where=f"reference.model = {options.model}",
            why="log-probabilities of different tokens cannot be compared",
            next="name a model of the same family",
        )
    return Reference(other, layout, adapter_on=True)


def fill_reference(
    reference: Reference | MovingReference,
    plan: BatchPlan,
    eval_examples: Examples,
    cost: RowCost,
    processes: Processes,
    watcher: Watcher,
) -> None:
    """Compute every completion the run will meet, each once, the processes of a machine sharing the work.

    No two of them have the same completion to compute: its last bits depend on its row, and so would on who
    came first. The first step's rows come first and just as the policy will compute them, so that step 1
    compares two equal computations to the last bit. The rest is taken by prompt, where most is shared.

    Of completions that lie in files one row is in memory at a time; of the others a few numbers each.
    """
    if isinstance(reference, MovingReference):
        return
    batches = _rows(reference.layout, plan, eval_examples, cost, processes)
    watcher.begin("reference log-probabilities", len(batches))
    try:
        reference.fill(batches, on_batch=lambda done, total: watcher.advance(done))
    finally:
        watcher.end()
    processes.wait()
    computed, cached = processes.sum([reference.num_computed, reference.num_cached])
    reference.num_computed, reference.num_cached = int(computed), int(cached)
    if reference.damage is not None:
        watcher.note(f"the reference cache was damaged, and that part computed anew: {reference.damage}")
    reference.release_model()
    watcher.note(f"reference: {int(computed)} completions computed, {int(cached)} found in the cache")


def _rows(
    layout: Layout, plan: BatchPlan, eval_examples: Examples, cost: RowCost, processes: Processes
) -> Rows[Branch]:
    """The rows that this process computes, the first step's first. No two have a completion in common."""
    share = layout == "tree"
    begin = processes.rank - processes.local_rank
    batch = plan.batch(0)
    firsts = [share_of(batch, begin + local, processes.size) for local in range(processes.local_size)]
    # A mismatched completion is not computed with the first step's rows, but with the rest.
    plain = [replace(example, mismatched=None) for part in firsts for example in part]
    taken = Examples.of(plain).branches().distinct()
    every = (taken + plan.pool.branches() + eval_examples.branches()).distinct()
    place_of = {branch.key: place for place, branch in enumerate(taken)}
    first = firsts[processes.local_rank]
    first_rows = [
        _known(place_of.pop(branch.key, None) for branch in row_branches([first[i] for i in row]))
        for row in rows_of([example.branches for example in first], cost, share=share)
    ]
    rest = rows_of(Mapped(every[len(taken) :], lambda branch: (branch,)), cost, share=share)
    mine = islice(rest, processes.local_rank, None, processes.local_size)
    return Rows(every, chain(first_rows, ([len(taken) + i for i in row] for row in mine)))


def _known(places: Iterable[int | None]) -> list[int]:
    return [place for place in places if place is not None]
