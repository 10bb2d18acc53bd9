"""What `parallel` cannot be together with is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from palate.errors import RecipeError
from palate.train import join_processes
from tiny_run import tiny_recipe

FULL = "model.adapter=null"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("model.quantization={}",), "cannot divide a quantised base"),
        ((FULL, "train.optimizer=adamw_8bit"), "train.optimizer=adamw"),
        ((FULL, "reference.sync_every=2"), "train an adapter"),
    ],
)
def test_refused_in_a_divided_model_alone(
    tmp_path: Path, base: Path, options: tuple[str, ...], said: str
) -> None:
    tiny_recipe(tmp_path, base, *options)
    with pytest.raises(RecipeError, match=said):
        tiny_recipe(tmp_path, base, *options, "parallel=fsdp2")


@pytest.mark.parametrize("option", ["train.optimizer=adamw_8bit", "reference.sync_every=2"])
def test_an_adapter_stays_whole_and_may_have_them(tmp_path: Path, base: Path, option: str) -> None:
    assert tiny_recipe(tmp_path, base, option, "parallel=fsdp2").parallel == "fsdp2"


def test_processes_take_no_device_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="several processes cannot share one device") as refused:
        join_processes("cuda:1")
    assert "model.device=cuda" in refused.value.next
