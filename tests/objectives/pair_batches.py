"""Pairs for the tests of objectives, and every objective that learns from them, in every form it has."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from palate.objectives import PairLogps
from palate.recipe import OBJECTIVES, Objective

PAIR_NAMES = [name for name, kind in OBJECTIVES.items() if (kind.data, kind.reads) == ("pairs", "logps")]

FORMS: list[tuple[str, dict[str, Any]]] = [
    ("dpo", {"label_smoothing": 0.2}),
    ("dpo", {"label_smoothing": 0.2, "smoothing": "robust"}),
    ("dpo", {"logps": "mean"}),
    ("dpo", {"divergence": "forward_kl"}),
    ("dpo", {"divergence": "js_divergence"}),
    ("dpo", {"divergence": "alpha_divergence", "divergence_alpha": 0.3}),
    ("dpo", {"ld_alpha": 0.4}),
    ("dpo", {"ld_alpha": 0.0, "divergence": "js_divergence"}),
    ("ipo", {"logps": "mean"}),
    ("aot", {"label_smoothing": 0.2}),
    ("aot_unpaired", {"label_smoothing": 0.2}),
    ("discopop", {"tau": 1.0}),
    ("cpo", {"nll_weight": 0.0}),
    (
        "mpo",
        {
            "terms": [
                {"weight": 0.7, "objective": {"type": "ipo", "beta": 0.4, "weighting": "wpo"}},
                {"weight": 0.3, "objective": {"type": "bco_pair", "beta": 0.2}},
                {"objective": {"type": "aot"}},
                {"objective": {"type": "dpo", "ld_alpha": 0.5}},
            ]
        },
    ),
]
"""What an objective's defaults leave out."""


def _every_form() -> dict[str, Objective]:
    forms = {name: OBJECTIVES[name]() for name in PAIR_NAMES}
    for name, options in FORMS:
        said = ", ".join(f"{key}={value}" for key, value in options.items() if key != "terms")
        forms[f"{name}: {said or 'other terms'}"] = OBJECTIVES[name](**options)
    weighted = [name for name in PAIR_NAMES if "weighting" in OBJECTIVES[name].model_fields]
    return forms | {f"{name}: wpo": OBJECTIVES[name](weighting="wpo") for name in weighted}


EVERY_FORM = _every_form()
"""Each objective on pairs by its defaults, in each other form, and weighted where it can be."""


def random_pairs(num_pairs: int, seed: int, *, dtype: torch.dtype = torch.float64) -> PairLogps:
    """Pairs with everything an objective may ask for, as if from completions of 1 to 9 tokens."""
    generator = torch.Generator().manual_seed(seed)

    def logps(lengths: Tensor) -> Tensor:
        per_token = -4 * torch.rand(num_pairs, 9, generator=generator, dtype=torch.float64)
        return (per_token * (torch.arange(9) < lengths[:, None])).sum(1).to(dtype)

    def share(whole: Tensor) -> Tensor:
        return whole * torch.rand(num_pairs, generator=generator, dtype=torch.float64).to(dtype)

    chosen_lengths, rejected_lengths = (
        torch.randint(1, 10, (num_pairs,), generator=generator) for _ in range(2)
    )
    chosen, reference_chosen = logps(chosen_lengths), logps(chosen_lengths)
    rejected, reference_rejected = logps(rejected_lengths), logps(rejected_lengths)
    return PairLogps(
        chosen=chosen,
        chosen_lengths=chosen_lengths,
        rejected=rejected,
        rejected_lengths=rejected_lengths,
        reference_chosen=reference_chosen,
        reference_rejected=reference_rejected,
        target_margin=torch.rand(num_pairs, generator=generator, dtype=torch.float64).to(dtype),
        reward_shift=torch.tensor(0.3, dtype=dtype),
        chosen_log_collision=-2 * torch.rand(num_pairs, generator=generator, dtype=torch.float64).to(dtype),
        rejected_log_collision=-2 * torch.rand(num_pairs, generator=generator, dtype=torch.float64).to(dtype),
        chosen_public=share(chosen),
        rejected_public=share(rejected),
        reference_chosen_public=share(reference_chosen),
        reference_rejected_public=share(reference_rejected),
    )


def just_what_is_asked_for(options: Objective, logps: PairLogps) -> PairLogps:
    """The same pairs without what the objective's metadata does not ask for."""
    fields = set()
    if not options.needs_reference:
        fields |= {"reference_chosen", "reference_rejected"}
    if not options.needs_rejected:
        fields |= {"rejected", "rejected_lengths", "reference_rejected"}
    if not options.takes_margin:
        fields |= {"target_margin"}
    if not options.needs_reward_shift:
        fields |= {"reward_shift"}
    if not options.needs_collision:
        fields |= {"chosen_log_collision", "rejected_log_collision"}
    if not options.needs_public_length:
        fields |= {
            "chosen_public",
            "rejected_public",
            "reference_chosen_public",
            "reference_rejected_public",
        }
    return dataclasses.replace(logps, **dict.fromkeys(fields))


def rows_of(logps: PairLogps, rows: Tensor) -> PairLogps:
    """Some of the pairs, or all in another order."""
    values = {field.name: getattr(logps, field.name) for field in dataclasses.fields(logps)}
    return PairLogps(
        **{name: value[rows] if value is not None and value.ndim else value for name, value in values.items()}
    )
