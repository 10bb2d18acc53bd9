"""What rules need to know of a run beside its curves: the recipe, the data, the audit, the comparison."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palate.errors import ArtifactError
from palate.recipe import Objective, Recipe, load_recipe
from palate.statistics.win_rates import Outcome, WinRate, win_rate

__all__ = ["Accuracy", "Facts", "figure", "read_facts"]

Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often held-out preferences were told apart as labelled; `interval_95` counts prompts, not pairs."""

    value: float
    interval_95: tuple[float, float]
    num_pairs: int
    num_prompts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A run beside its curves. What was not written is None or empty; finished says that training ended."""

    recipe: Recipe | None = None
    summary: Content = field(default_factory=dict)
    data: Content = field(default_factory=dict)
    audit: Content = field(default_factory=dict)
    lineage: Content = field(default_factory=dict)
    held_out: Content = field(default_factory=dict)
    comparison: Content = field(default_factory=dict)
    adapter: Content = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether training has come to its end."""
        return self.summary.get("status") == "done"

    @property
    def objective(self) -> Objective | None:
        """What is trained for."""
        return self.recipe.objective if self.recipe is not None else None

    @property
    def has_reference(self) -> bool:
        """Whether rewards are log-ratios against a reference."""
        return self.objective is not None and self.objective.needs_reference

    @property
    def learns_from_pairs(self) -> bool:
        """Whether a step's accuracy is a share of pairs in the right order."""
        return self.objective is not None and self.objective.data == "pairs" and self.objective.needs_rejected

    @property
    def reward_scale(self) -> float:
        """What a log-ratio was multiplied by to be a reward."""
        return float(self.objective.reward_scale) if self.objective is not None else 1.0

    @property
    def batch_size(self) -> int | None:
        """Pairs a step."""
        return self.recipe.train.batch_size if self.recipe is not None else None

    @property
    def num_eval_pairs(self) -> int | None:
        """Held-out pairs."""
        return _count(self.data, "eval", "num_pairs")

    @property
    def num_eval_prompts(self) -> int | None:
        """Held-out prompts."""
        return _count(self.data, "eval", "num_prompts")

    @property
    def margins(self) -> tuple[float, ...]:
        """The reward margin of each held-out pair at the best evaluation."""
        return tuple(margin for _, margin in self._pairs())

    def accuracy_at_best(self) -> Accuracy | None:
        """The held-out accuracy at the best evaluation, None where its pairs were not written."""
        pairs = self._pairs()
        if not pairs:
            return None
        outcomes: list[Outcome] = ["win" if m > 0 else "loss" if m < 0 else "tie" for _, m in pairs]
        found: WinRate = win_rate(outcomes, [prompt for prompt, _ in pairs])
        if found.win_rate is None:
            return None
        num_prompts = len({prompt for prompt, _ in pairs})
        return Accuracy(found.win_rate, found.interval_95, len(pairs), num_prompts)

    def num_witnesses(self) -> float | None:
        """How many independent held-out pairs would tell as much as there are.

        A prompt's pairs may go together, so it lies between the numbers of prompts and of pairs, where the
        interval at the best evaluation, which counts prompts, puts it; that of prompts if there is none.
        """
        num_prompts, found = self.num_eval_prompts, self.accuracy_at_best()
        if not num_prompts or found is None:
            return num_prompts or None
        low, high = found.interval_95
        error = (high - low) / (2 * 1.96)
        told = found.value * (1 - found.value) / error**2 if error > 0 else 0.0
        return min(max(told, num_prompts), max(found.num_pairs, num_prompts))

    def _pairs(self) -> list[tuple[str, float]]:
        found = self.held_out.get("pairs")
        pairs = []
        for pair in found if isinstance(found, list) else ():
            margin = figure(pair, "reward_margin") if isinstance(pair, dict) else None
            if margin is not None:
                pairs.append((str(pair.get("prompt")), margin))
        return pairs


def figure(content: Any, *path: str) -> float | None:
    """The number at this place of a JSON object; None where there is none, or it is not finite."""
    for name in path:
        content = content.get(name) if isinstance(content, Mapping) else None
    if isinstance(content, bool) or not isinstance(content, int | float):
        return None
    return float(content) if math.isfinite(content) else None


def read_facts(folder: Path) -> Facts:
    """Read the pieces of a run folder that are there.

    Raises:
        ArtifactError: one of them is damaged. RecipeError: the recipe is no recipe.
    """
    recipe_file = folder / "recipe.yaml"
    return Facts(
        recipe=load_recipe(recipe_file) if recipe_file.is_file() else None,
        summary=_read(folder / "summary.json"),
        data=_read(folder / "data.json"),
        audit=_read(folder / "audit.json"),
        lineage=_read(folder / "lineage.json"),
        held_out=_read(folder / "evaluation" / "held_out.json"),
        comparison=_read(folder / "evaluation" / "comparison.json"),
        adapter=_read(folder / "adapter" / "adapter_config.json"),
    )


def _read(file: Path) -> Content:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"the file is damaged: {error}", where=str(file), next="remove it to go on without it"
        ) from None
    return content if isinstance(content, dict) else {}


def _count(content: Content, *path: str) -> int | None:
    found = figure(content, *path)
    return int(found) if found is not None else None
