"""Preference accuracy: how often a model finds the chosen side of held-out pairs likelier than the rejected.

No answers are written and nobody is asked: the pairs' own choices judge. All models read the same pairs, so
that two of them are compared pair by pair (McNemar 1947), and by prompt where a prompt has several pairs.

Two scores order the sides. The log-likelihood per token (the reward of SimPO, Meng et al. 2024,
arXiv:2405.14734) holds no length against an answer and comes first; the log-likelihood of the whole answer
stands beside it. Against the baseline as reference, log pi(y|x) - log pi_base(y|x) is the implicit reward of
DPO (Rafailov et al. 2023, arXiv:2305.18290, equation 5), and its accuracy says whether a model moved
towards what was chosen, wherever it started.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

import torch

from palate.engine import load_trained
from palate.evaluate.contestants import Contestant
from palate.evaluate.pair_reading import Sides, read_pairs
from palate.evaluate.paired import Estimate
from palate.recipe import ModelOptions
from palate.records import Messages, Pair
from palate.statistics.win_rates import Outcome, WinRate, win_rate
from palate.watcher import Watcher

__all__ = ["Gain", "HeldOutPairs", "PairAccuracy", "measure_pair_accuracy"]

_BATCH_SIZE = 8
_ONE_SIDED = 0.8
"""A share of pairs whose chosen side is the longer (or the shorter) one, from which on length alone is right
about as often as a well-trained model."""


@dataclass(frozen=True, slots=True)
class HeldOutPairs:
    """Pairs that none of the models was trained on, as far as that is known."""

    source: str
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()
    """What was left out, and what could not be found out."""


@dataclass(frozen=True, slots=True)
class Gain:
    """A model beside the baseline, on the same pairs. Differences and shares are in 0..1."""

    num_gained: int
    """Pairs that this model orders as chosen and the baseline does not."""
    num_lost: int
    """The other way round. (A tie of a model's own scores lies between.)"""
    difference: float
    """Accuracy minus the baseline's."""
    difference_interval_95: tuple[float, float]
    sign_test_p: float
    """Two-sided; of prompts, where one has several pairs."""
    difference_of_sums: float
    """The same by whole answers' log-likelihoods."""
    difference_of_sums_interval_95: tuple[float, float]
    reward_accuracy: Estimate
    """Of the implicit reward, with the baseline as reference: 0.5 where nothing was learnt."""


@dataclass(frozen=True, slots=True)
class PairAccuracy:
    """What was found. Where nothing could be measured there are no models, and the sentence says why."""

    source: str
    sentence: str
    num_pairs: int = 0
    num_prompts: int = 0
    num_left_out: int = 0
    """Pairs that some model could not read."""
    longer_chosen_share: float | None = None
    """By characters; equal lengths count half."""
    accuracy: Mapping[str, Estimate] = field(default_factory=dict)
    """Of each model: the share of pairs whose chosen side is likelier per token; an exact tie is half."""
    accuracy_of_sums: Mapping[str, Estimate] = field(default_factory=dict)
    gains: Mapping[str, Gain] = field(default_factory=dict)
    """Of each model but the baseline."""
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """`pair_accuracy` as evaluation/comparison.json holds it."""
        return {
            "source": self.source,
            "sentence": self.sentence,
            "num_pairs": self.num_pairs,
            "num_prompts": self.num_prompts,
            "num_left_out": self.num_left_out,
            "longer_chosen_share": self.longer_chosen_share,
            "models": {
                name: {
                    "accuracy": own.as_dict(),
                    "accuracy_of_sums": self.accuracy_of_sums[name].as_dict(),
                }
                for name, own in self.accuracy.items()
            },
            "against_base": {name: _plain(gain) for name, gain in self.gains.items()},
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class _Margins:
    """Chosen minus rejected, for each pair: of log-likelihoods, and of those per token."""

    sums: list[float]
    per_token: list[float]


def measure_pair_accuracy(
    contestants: Sequence[Contestant],
    held_out: HeldOutPairs,
    *,
    model: ModelOptions | None = None,
    batch_size: int = _BATCH_SIZE,
    watcher: Watcher | None = None,
) -> PairAccuracy:
    """Let every model read both sides of every pair; one model is in memory at a time.

    Args:
        contestants: the baseline first, each with a name of its own.
        held_out: a pair that one of the models has no room for is left out for all.
        model: device, dtype, attention and quantization are used.
        batch_size: pairs read at once; halved where memory does not suffice.

    Raises:
        ModelError: a model cannot be loaded, or is a reward model.
    """
    watcher = watcher or Watcher()
    found: dict[str, list[Sides | str]] = {}
    for one in contestants:
        gc.collect()  # the one before is gone
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        policy = load_trained(one.source, model or ModelOptions(), folder=one.folder)
        found[one.name] = read_pairs(policy, one, held_out.pairs, batch_size, watcher)
        del policy
    return _counted(held_out, found)


def _counted(held_out: HeldOutPairs, found: Mapping[str, Sequence[Sides | str]]) -> PairAccuracy:
    problems = [
        f"{name}: {own}"
        for of_pair in zip(*found.values(), strict=True)
        for name, own in list(zip(found, of_pair, strict=True))
        if isinstance(own, str)
    ]
    kept = [
        place
        for place, of_pair in enumerate(zip(*found.values(), strict=True))
        if not any(isinstance(own, str) for own in of_pair)
    ]
    pairs = [held_out.pairs[place] for place in kept]
    if not pairs:
        why = f": {problems[0]}" if problems else ""
        return PairAccuracy(
            held_out.source,
            f"Preference accuracy is not measured: none of the pairs of {held_out.source} can be read{why}.",
            num_left_out=len(held_out.pairs),
            warnings=held_out.notes,
        )
    prompts = [pair.prompt_id for pair in pairs]
    margins = {name: _margins([own[place] for place in kept]) for name, own in found.items()}
    base, *others = margins
    gains = {name: _gain(margins[name], margins[base], prompts) for name in others}
    accuracy = {name: _accuracy(own.per_token, prompts) for name, own in margins.items()}
    longer = _longer_chosen(pairs)
    num_left_out = len(held_out.pairs) - len(pairs)
    warnings = [*held_out.notes]
    if num_left_out:
        warnings.append(
            f"{num_left_out:,} of {len(held_out.pairs):,} pairs are left out for all models because one "
            f"could not read them; the first: {problems[0]}."
        )
    warnings += _cautions(longer, gains)
    return PairAccuracy(
        source=held_out.source,
        sentence=" ".join(
            _in_words(name, base, accuracy, gain, len(pairs), len(set(prompts)))
            for name, gain in gains.items()
        ),
        num_pairs=len(pairs),
        num_prompts=len(set(prompts)),
        num_left_out=num_left_out,
        longer_chosen_share=longer,
        accuracy=accuracy,
        accuracy_of_sums={name: _accuracy(own.sums, prompts) for name, own in margins.items()},
        gains=gains,
        warnings=tuple(warnings),
    )


def _margins(sides: Sequence[Sides | str]) -> _Margins:
    both = [own for own in sides if not isinstance(own, str)]
    return _Margins(
        [chosen[0] - rejected[0] for chosen, rejected in both],
        [_mean(chosen) - _mean(rejected) for chosen, rejected in both],
    )


def _mean(side: tuple[float, int]) -> float:
    return side[0] / max(side[1], 1)


def _outcome(margin: float) -> Outcome:
    return "win" if margin > 0 else "loss" if margin < 0 else "tie"


def _accuracy(margins: Sequence[float], prompts: Sequence[str]) -> Estimate:
    counted = win_rate([_outcome(margin) for margin in margins], prompts)
    return Estimate(counted.win_rate or 0.0, counted.interval_95)


def _gain(own: _Margins, base: _Margins, prompts: Sequence[str]) -> Gain:
    by_token = _paired(own.per_token, base.per_token, prompts)
    by_sum = _paired(own.sums, base.sums, prompts)
    rewards = [ours - theirs for ours, theirs in zip(own.sums, base.sums, strict=True)]
    return Gain(
        num_gained=by_token.num_wins,
        num_lost=by_token.num_losses,
        difference=_difference(by_token),
        difference_interval_95=_interval(by_token),
        sign_test_p=by_token.sign_test_p,
        difference_of_sums=_difference(by_sum),
        difference_of_sums_interval_95=_interval(by_sum),
        reward_accuracy=_accuracy(rewards, prompts),
    )


def _paired(own: Sequence[float], base: Sequence[float], prompts: Sequence[str]) -> WinRate:
    """A win is a pair that this model orders as chosen and the baseline does not."""
    return win_rate([_outcome(_side(a) - _side(b)) for a, b in zip(own, base, strict=True)], prompts)


def _side(margin: float) -> int:
    return (margin > 0) - (margin < 0)


def _difference(paired: WinRate) -> float:
    """Gained less lost, of all pairs: the difference of the accuracies where no model's own scores tie."""
    return 2 * (paired.win_rate or 0.0) - 1


def _interval(paired: WinRate) -> tuple[float, float]:
    low, high = paired.interval_95
    return 2 * low - 1, 2 * high - 1


def _longer_chosen(pairs: Sequence[Pair]) -> float:
    more = [_side(_num_characters(pair.chosen) - _num_characters(pair.rejected)) for pair in pairs]
    return fmean((1 + side) / 2 for side in more)


def _num_characters(messages: Messages) -> int:
    return sum(len(message.content) for message in messages)


def _cautions(longer_chosen: float, gains: Mapping[str, Gain]) -> list[str]:
    said = []
    if not 1 - _ONE_SIDED < longer_chosen < _ONE_SIDED:
        which, share = ("longer", longer_chosen) if longer_chosen > 0.5 else ("shorter", 1 - longer_chosen)
        said.append(
            f"In {share:.0%} of the pairs the chosen side is the {which} one: whoever goes by length alone "
            "is right as often, so accuracy on these pairs says little of anything else."
        )
    for name, gain in gains.items():
        ends = gain.difference_interval_95, gain.difference_of_sums_interval_95
        settled = [_settled(interval) for interval in ends]
        if settled[0] * settled[1] < 0:
            said.append(
                f"{name}: per token the difference is {_points(gain.difference)}, by whole answers "
                f"{_points(gain.difference_of_sums)}: the two disagree, so lengths decide which it is."
            )
    return said


def _settled(interval: tuple[float, float]) -> int:
    """1 above 0, -1 below, 0 where it holds 0."""
    return (interval[0] > 0) - (interval[1] < 0)


def _in_words(
    name: str,
    base: str,
    accuracy: Mapping[str, Estimate],
    gain: Gain,
    num_pairs: int,
    num_prompts: int,
) -> str:
    """No more than the interval allows."""
    of = f"{num_pairs:,} held-out {'pair' if num_pairs == 1 else 'pairs'}"
    if num_prompts != num_pairs:
        of += f" of {num_prompts:,} {'prompt' if num_prompts == 1 else 'prompts'}"
    shares = (
        f"{name} finds the chosen side likelier in {accuracy[name].value:.1%} of {of}, {base} in "
        f"{accuracy[base].value:.1%}"
    )
    low, high = gain.difference_interval_95
    # Rounded outwards, so that the words never claim a narrower interval than the numbers do.
    interval = f"95% interval {math.floor(low * 1000) / 10:+.1f} to {math.ceil(high * 1000) / 10:+.1f}"
    settled = _settled(gain.difference_interval_95)
    if not settled:
        return f"No difference is shown: {shares}, {_points(gain.difference)} ({interval} holds 0)."
    said = (
        f"{name} goes by these preferences {'more' if settled > 0 else 'less'} often: {shares}, "
        f"{_points(gain.difference)} ({interval})."
    )
    if gain.sign_test_p > 0.05:
        said += f" The sign test is less sure (p = {gain.sign_test_p:.2f}): this is borderline."
    return said


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"


def _plain(gain: Gain) -> dict[str, Any]:
    known = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(gain).items()}
    return known | {"reward_accuracy": gain.reward_accuracy.as_dict()}
