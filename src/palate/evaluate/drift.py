"""How far tuned models moved from their baseline: KL per token, and perplexity on neutral text.

The divergence is exact at every position: the whole next-token distribution of one model against that of
the other, KL(model || baseline) = sum_v p(v) ln(p(v) / b(v)). The usual estimate, the mean log-ratio of the
tokens that were drawn, has the same mean on sampled answers and far more noise, and is wrong on greedy ones.

One model is in memory at a time: of the baseline its hidden states and its head are kept.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from palate.engine import Policy, load_trained, prove_layout
from palate.engine.divergence import context_states, kl_divergence, target_logps
from palate.engine.head import LanguageHead
from palate.evaluate.contestants import Contestant
from palate.evaluate.passages import Passages, passages_of_answers, passages_of_texts
from palate.evaluate.reading import in_batches
from palate.recipe import ModelOptions
from palate.records import Answer
from palate.statistics.per_token import per_token, positive_per_token
from palate.watcher import Watcher

__all__ = ["Drift", "DriftReport", "Perplexity", "measure_drift"]

_BATCH_SIZE = 8


@dataclass(frozen=True, slots=True)
class Drift:
    """KL(model || baseline) per token, in nats."""

    kl_per_token: float
    interval_95: tuple[float, float] | None
    """Over prompts, or over texts; None with a single one."""
    num_tokens: int
    num_units: int
    """Prompts, or texts."""


@dataclass(frozen=True, slots=True)
class Perplexity:
    """exp of the mean negative log-likelihood per token of neutral text."""

    value: float
    interval_95: tuple[float, float] | None
    num_tokens: int
    num_texts: int
    ratio_to_base: float
    """1 for the baseline."""
    ratio_interval_95: tuple[float, float] | None
    """Paired by text: far narrower than the intervals of the two."""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """Each by the model's name; one that could not be measured is absent, and a warning says why."""

    own_answers: Mapping[str, Drift]
    neutral_text: Mapping[str, Drift]
    perplexity: Mapping[str, Perplexity]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """`drift` and `perplexity` as evaluation/comparison.json holds them."""
        names = dict.fromkeys([*self.own_answers, *self.neutral_text])
        drift = {}
        for name in names:
            own, neutral = self.own_answers.get(name), self.neutral_text.get(name)
            nothing = {"kl_per_token": None, "interval_95": None, "num_tokens": 0, "num_units": 0}
            drift[name] = (nothing if own is None else _plain(own)) | {
                "neutral_text": None if neutral is None else _plain(neutral)
            }
        return {"drift": drift, "perplexity": {name: _plain(own) for name, own in self.perplexity.items()}}


def measure_drift(
    contestants: Sequence[Contestant],
    answers: Mapping[str, Sequence[Sequence[Answer]]],
    neutral_texts: Sequence[str] = (),
    *,
    model: ModelOptions,
    batch_size: int = _BATCH_SIZE,
    watcher: Watcher | None = None,
) -> DriftReport:
    """Read what each model wrote, and neutral texts, with it and with the baseline.

    Args:
        contestants: the baseline first.
        answers: by the model's name, for each prompt its answers; the baseline's are not needed. On answers
            that were sampled plainly (temperature 1, top_p 1) the figure times an answer's length estimates
            the divergence of whole answers; on greedy ones it is the divergence along the likeliest path.
        neutral_texts: texts that have nothing to do with what was tuned.
        model: device, dtype, attention and quantization are used.
        batch_size: texts read at once; halved where memory does not suffice.

    Raises:
        ModelError: a model cannot be loaded.
    """
    reader = _Reader(model, batch_size, watcher or Watcher())
    baseline, *tuned = contestants
    policy = reader.load(baseline)
    wrote = {one.name: passages_of_answers(policy, one.template, answers.get(one.name, ())) for one in tuned}
    neutral = passages_of_texts(policy, neutral_texts)
    base = _Read(policy.head, policy.device, policy.tokenizer.get_vocab(), {})
    warnings = [
        f"{len(own.problems)} answers of {name} were not read: {own.problems[0]}"
        for name, own in wrote.items()
        if own.problems
    ]
    of_answers: dict[str, Drift] = {}
    of_neutral: dict[str, Drift] = {}
    perplexity: dict[str, Perplexity] = {}
    if problem := reader.problem(policy, [*wrote.values(), neutral]):
        return DriftReport({}, {}, {}, (*warnings, f"Drift is not measured: of {baseline.name} {problem}."))
    for name, own in wrote.items():
        base.states[name] = reader.states(policy, own, f"{baseline.name} reads {name}")
    base.states[""] = reader.states(policy, neutral, f"{baseline.name} reads neutral text")
    base_nll = _nll(policy, base.states[""], neutral)
    if neutral.branches:
        perplexity[baseline.name] = _perplexity(base_nll, base_nll, neutral)
    del policy
    for one in tuned:
        policy = reader.load(one)
        own, unlike = wrote[one.name], _why_not(policy, base, baseline.name)
        unlike = unlike or reader.problem(policy, [own, neutral])
        if unlike:
            warnings.append(f"The drift of {one.name} is not measured: {unlike}.")
        else:
            states = reader.states(policy, own, f"{one.name} reads itself")
            if own.branches:
                of_answers[one.name] = base.drift(policy, states, base.states[one.name], own)
            states = reader.states(policy, neutral, f"{one.name} reads neutral text")
            if neutral.branches:
                of_neutral[one.name] = base.drift(policy, states, base.states[""], neutral)
                perplexity[one.name] = _perplexity(_nll(policy, states, neutral), base_nll, neutral)
        del policy
    return DriftReport(of_answers, of_neutral, perplexity, tuple(warnings))


class _Reader:
    """Loads models one after the other, and reads passages with them."""

    def __init__(self, model: ModelOptions, batch_size: int, watcher: Watcher) -> None:
        self._model, self._batch_size, self._watcher = model, batch_size, watcher

    def load(self, contestant: Contestant) -> Policy:
        gc.collect()  # the one before is gone
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return load_trained(contestant.source, self._model, folder=contestant.folder)

    def problem(self, policy: Policy, passages: Sequence[Passages]) -> str:
        """Why hidden states and head do not make this model's log-probabilities; empty where they do."""
        branches = sorted((branch for own in passages for branch in own.branches), key=len)[:2]
        if branches and prove_layout(policy, branches, "padded").layout != "padded":
            return "the log-probabilities are not those of its hidden states and its head alone"
        return ""

    def states(self, policy: Policy, passages: Passages, task: str) -> list[Tensor]:
        """Of each branch the states that its scored tokens are predicted from."""
        if not passages.branches:
            return []

        def work(branches: Sequence[Any]) -> list[Tensor]:
            with policy.evaluating():
                return context_states(policy, branches)

        return list(in_batches(passages.branches, work, self._batch_size, task, self._watcher))


@dataclass(frozen=True, slots=True)
class _Read:
    """What is kept of the baseline."""

    head: LanguageHead
    device: torch.device
    vocabulary: Mapping[str, int]
    states: dict[str, list[Tensor]]

    def drift(
        self, policy: Policy, own: Sequence[Tensor], theirs: Sequence[Tensor], passages: Passages
    ) -> Drift:
        sums = [
            float(kl_divergence(policy.head, ours, self.head, base, self.device).sum())
            for ours, base in zip(own, theirs, strict=True)
        ]
        totals, counts = _by_unit(sums, passages)
        # It is never negative; rounding may leave the last digits below 0.
        value, interval = positive_per_token([max(total, 0.0) for total in totals], counts)
        return Drift(value, interval, sum(counts), len(counts))


def _why_not(policy: Policy, base: _Read, name: str) -> str:
    """Why no divergence of the two is defined."""
    if policy.tokenizer.get_vocab() != base.vocabulary:
        return f"it has other tokens than {name}"
    sizes = policy.head.vocabulary, base.head.vocabulary
    return "" if sizes[0] == sizes[1] else f"it tells {sizes[0]:,} tokens apart, {name} {sizes[1]:,}"


def _nll(policy: Policy, states: Sequence[Tensor], passages: Passages) -> list[float]:
    """Of each unit the negative log-likelihood of its scored tokens."""
    found = []
    for branch, own in zip(passages.branches, states, strict=True):
        targets = torch.from_numpy(branch.token_ids[branch.scored])
        found.append(-float(target_logps(policy.head, own, targets, policy.device).sum()))
    return _by_unit(found, passages)[0]


def _by_unit(of_branches: Sequence[float], passages: Passages) -> tuple[list[float], list[int]]:
    sums: dict[int, float] = {}
    counts: dict[int, int] = {}
    for unit, branch, value in zip(passages.units, passages.branches, of_branches, strict=True):
        sums[unit] = sums.get(unit, 0.0) + value
        counts[unit] = counts.get(unit, 0) + branch.num_scored
    return list(sums.values()), list(counts.values())


def _perplexity(nll: Sequence[float], base_nll: Sequence[float], passages: Passages) -> Perplexity:
    counts = _by_unit([0.0] * len(passages.branches), passages)[1]
    value, interval = per_token(nll, counts)
    ratio, ratio_interval = per_token([own - base for own, base in zip(nll, base_nll, strict=True)], counts)
    return Perplexity(
        math.exp(value), _exp(interval), sum(counts), len(counts), math.exp(ratio), _exp(ratio_interval)
    )


def _exp(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (math.exp(interval[0]), math.exp(interval[1]))


def _plain(found: Drift | Perplexity) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(found).items()}
