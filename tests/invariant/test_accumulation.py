"""However a batch is cut to fit in memory, the step is the same step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from palate.engine import branch_logps
from tiny_run import losses, rows, run, tiny_recipe, write_rows


@pytest.mark.parametrize(
    ("objective", "layout", "adapter"),
    [
        ("dpo", "tree", "{rank: 4, alpha: 8}"),
        ("dpo", "padded", "{rank: 4, alpha: 8}"),
        ("sft", "tree", "{rank: 4, alpha: 8}"),
        ("sft", "tree", "null"),
        ("kto", "tree", "{rank: 4, alpha: 8}"),
        ("bco", "tree", "{rank: 4, alpha: 8}"),
        ("bco_pair", "tree", "{rank: 4, alpha: 8}"),
        ("aot", "tree", "{rank: 4, alpha: 8}"),
        ("aot_unpaired", "padded", "{rank: 4, alpha: 8}"),
        ("dpo, weighting: wpo", "tree", "{rank: 4, alpha: 8}"),
        ("dpo, ld_alpha: 0.5", "tree", "{rank: 4, alpha: 8}"),
        ("mpo", "tree", "{rank: 4, alpha: 8}"),
        ("plackett_luce", "tree", "{rank: 4, alpha: 8}"),
    ],
)
def test_micro_batches_add_up(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, objective: str, layout: str, adapter: str
) -> None:
    """Completions of several lengths, so that a mean of means would differ from the mean."""
    write_rows(tmp_path / "rows.jsonl", rows(6, completions_per_prompt=4))
    found, num_rows = {}, {}
    for tokens in ("1", "60", "100000"):
        recipe = tiny_recipe(
            tmp_path,
            base,
            f"objective={{type: {objective}}}",
            f"train.layout={layout}",
            f"model.adapter={adapter}",
            f"train.micro_batch_tokens={tokens}",
            "train.batch_size=8",
            "train.max_steps=3",
            "data.eval_fraction=0",
            name=tokens,
        )
        with monkeypatch.context() as patch, recorded_gradients() as gradients:
            patch.setattr("palate.train.inputs.branch_logps", counted := Counted())
            # In a model this small attention outweighs all else, and every pair would be a row of its own.
            patch.setattr("palate.train.memory._DENSE_ATTENTION_SLOWDOWN", 1e-3)
            _, lines = run(recipe)
        found[tokens] = losses(lines), [line["grad_norm"] for line in lines], gradients
        num_rows[tokens] = counted.num_calls
    assert num_rows["1"] > num_rows["100000"], "the cuts do differ"
    whole = found["100000"]
    for tokens in ("1", "60"):
        assert found[tokens][0] == pytest.approx(whole[0], abs=1e-5)
        assert found[tokens][1] == pytest.approx(whole[1], rel=1e-5)
        for ours, theirs in zip(found[tokens][2], whole[2], strict=True):
            assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


@contextmanager
def recorded_gradients() -> Iterator[list[torch.Tensor]]:
    """The gradient of every optimizer step, as one vector each."""
    gradients: list[torch.Tensor] = []

    def keep(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        parameters = (p for group in optimizer.param_groups for p in group["params"])
        gradients.append(torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]))

    hook = register_optimizer_step_pre_hook(keep)
    try:
        yield gradients
    finally:
        hook.remove()


class Counted:
    """The engine's `branch_logps`, counting its calls."""

    num_calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.num_calls += 1
        return branch_logps(*args, **kwargs)
