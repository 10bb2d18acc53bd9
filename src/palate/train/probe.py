"""Two steps taken for real, apart from any run folder: what they take says what the run will."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from palate.recipe import Recipe
from palate.train.encoding import Records
from palate.train.run_folder import RunFolder
from palate.train.session import train
from palate.watcher import Watcher

__all__ = ["probe_run"]

# A training step goes over the weights once forwards, twice backwards (Kaplan et al. 2020,
# arXiv:2001.08361, section 2.1), once less where they are frozen: asking costs a half or a third of training.
_SHARE_OF_FORWARD = 0.5


def probe_run(
    recipe: Recipe,
    plan: dict[str, Any],
    train_records: Records,
    watcher: Watcher | None = None,
    base_folder: Path | None = None,
) -> dict[str, Any]:
    """The first two steps of a run that has only those, in a folder that is gone afterwards.

    The second step is timed: the first compiles and warms up. `plan` is what `plan_run` gave; its tokens, at
    the speed that was measured, give the time of the whole run. Reference log-probabilities that are computed
    stay in their cache, where the run finds them.

    Raises:
        CallError, WorkError: as `train`.
    """
    data = recipe.data.model_copy(update={"eval": None, "eval_fraction": 0.0})
    short: dict[str, Any] = {
        "max_steps": 2,
        "early_stopping": None,
        "trackers": (),
    }
    options = recipe.train.model_copy(update=short)
    with tempfile.TemporaryDirectory(prefix="palate-probe-") as place:
        changes = {"output": place, "data": data, "train": options, "compare": None}
        folder = RunFolder(Path(place) / "run")
        folder.begin(recipe)
        summary = train(recipe.model_copy(update=changes), train_records, None, folder, watcher, base_folder)
        lines = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text("utf-8").splitlines()]
    last = [line for line in lines if line["split"] == "train"][-1]
    batch = min(recipe.train.batch_size, plan["num_pairs_train"])
    seconds = batch / last["pairs_per_second"]
    tokens_per_second = last["tokens_computed"] / seconds
    tokens = plan["tokens"]
    train_seconds = tokens["train"]["computed"] / tokens_per_second
    asked = tokens.get("reference", {}).get("computed", 0)
    evaluated = tokens["evaluation"]["computed"] * plan["num_evaluations"]
    forward = tokens_per_second / _SHARE_OF_FORWARD
    return {
        "seconds_per_step": train_seconds / plan["num_steps"],
        "tokens_per_second": tokens_per_second,
        "reference_seconds": asked / forward,
        "train_seconds": train_seconds,
        "evaluation_seconds": evaluated / forward,
        "total_seconds": (asked + evaluated) / forward + train_seconds,
        "peak_memory_bytes": summary["peak_memory_bytes"],
        "layout": summary["layout"],
    }
