"""Sharing tokens is an economy, not another computation: the trajectory is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tiny_run import losses, rows, run, tiny_recipe, write_rows


@pytest.mark.parametrize(
    ("objective", "group"), [("dpo", "false"), ("dpo", "true"), ("ipo", "true"), ("sft", "true")]
)
def test_tree_and_padded_take_the_same_ten_steps(
    tmp_path: Path, base: Path, objective: str, group: str
) -> None:
    """Ten pairs over five completions a prompt, as in the data this is made for."""
    write_rows(tmp_path / "rows.jsonl", rows(8, completions_per_prompt=5))
    found = {}
    for layout in ("tree", "padded"):
        recipe = tiny_recipe(
            tmp_path,
            base,
            f"objective={{type: {objective}}}",
            f"train.layout={layout}",
            f"train.group_by_prompt={group}",
            "train.batch_size=8",
            "train.max_steps=10",
            name=layout,
        )
        summary, lines = run(recipe)
        assert summary["layout"] == layout
        assert summary["tree_check_max_abs_difference"] < 1e-3
        found[layout] = (
            summary,
            losses(lines),
            load_file(tmp_path / layout / "adapter/adapter_model.safetensors"),
        )
    tree, padded = found["tree"], found["padded"]
    assert len(tree[1]) == 10
    assert tree[1] == pytest.approx(padded[1], rel=1e-4, abs=1e-4)
    for name, weight in tree[2].items():
        torch.testing.assert_close(padded[2][name], weight, rtol=1e-3, atol=1e-4)
    assert tree[0]["eval"] == pytest.approx(padded[0]["eval"], rel=1e-3, abs=1e-4)
    assert tree[0]["sharing_factor"] > (3 if group == "true" else 1.3) * padded[0]["sharing_factor"]
