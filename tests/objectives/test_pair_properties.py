"""What every objective on pairs owes, whichever it is: true metadata, a right gradient, no surprise anywhere.

Each test runs over every objective there is, in each of its forms (`pair_batches.py`); a new one is in by
being registered.
"""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pair_batches import EVERY_FORM, PAIR_NAMES, just_what_is_asked_for, random_pairs, rows_of
from torch import Tensor

from palate.objectives import PairLogps, objective_for
from palate.recipe import OBJECTIVES, Objective

SIDES = ("chosen", "rejected")

NOT_MONOTONE_IN_CHOSEN = {
    "ipo",  # a target to reach from either side
    "exo",  # a target
    "nca",  # a target: ln 2 / beta
    "sppo_hard",  # a target
    "apo_down",  # lowers chosen
    "discopop",  # has a bump in the middle
    "mpo",  # whatever its terms are
}
NOT_MONOTONE_IN_REJECTED = {"ipo", "exo", "sppo_hard", "discopop", "mpo"}
LN_2_WITHOUT_A_MARGIN = {"dpo", "dpop", "aot", "aot_unpaired"}
"""Those whose loss is the logistic one, of rewards."""


def losses_of(options: Objective, logps: PairLogps) -> Tensor:
    return objective_for(options)(just_what_is_asked_for(options, logps))


def with_gradients(options: Objective, logps: PairLogps) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses, and the gradient of their sum with respect to each side that is read."""
    asked = just_what_is_asked_for(options, logps)
    read = {name: getattr(asked, name) for name in SIDES if getattr(asked, name) is not None}
    leaves = {name: value.clone().requires_grad_() for name, value in read.items()}
    losses = objective_for(options)(with_sides(asked, leaves))
    gradients = torch.autograd.grad(losses.sum(), list(leaves.values()))
    return losses.detach(), dict(zip(leaves, gradients, strict=True))


def with_sides(logps: PairLogps, sides: dict[str, Tensor]) -> PairLogps:
    """The pairs with other log-probabilities, of which the public parts are the same shares as before."""
    public = {
        f"{name}_public": side * (public / getattr(logps, name)).nan_to_num()
        for name, side in sides.items()
        if (public := getattr(logps, f"{name}_public")) is not None
    }
    return dataclasses.replace(logps, **sides, **public)


def test_the_lists_name_objectives() -> None:
    assert set(PAIR_NAMES) >= (NOT_MONOTONE_IN_CHOSEN | NOT_MONOTONE_IN_REJECTED | LN_2_WITHOUT_A_MARGIN)


@pytest.mark.parametrize("form", EVERY_FORM)
def test_one_loss_per_pair_in_the_dtype_given(form: str) -> None:
    for dtype in (torch.float32, torch.float64):
        losses = losses_of(EVERY_FORM[form], random_pairs(5, 0, dtype=dtype))
        assert losses.shape == (5,)
        assert losses.dtype == dtype


@pytest.mark.parametrize("form", EVERY_FORM)
def test_every_side_asked_for_has_a_gradient(form: str) -> None:
    options = EVERY_FORM[form]
    _, gradients = with_gradients(options, random_pairs(6, 3))
    assert ("rejected" in gradients) == options.needs_rejected
    for gradient in gradients.values():
        assert (gradient != 0).all()


@pytest.mark.parametrize("form", EVERY_FORM)
def test_the_metadata_asks_for_nothing_unread(form: str) -> None:
    """What an objective says it needs, it reads: without it, it cannot work."""
    options = EVERY_FORM[form]
    asked = just_what_is_asked_for(options, random_pairs(4, 1))
    needed = {
        field.name
        for field in dataclasses.fields(asked)
        if getattr(asked, field.name) is not None
        and field.name not in ("chosen", "chosen_lengths", "rejected_lengths", "target_margin")
    }
    for name in needed:
        with pytest.raises(ValueError, match=f"^{name} is None"):
            objective_for(options)(dataclasses.replace(asked, **{name: None}))


@pytest.mark.parametrize("form", EVERY_FORM)
def test_a_target_margin_counts_exactly_where_it_is_said_to(form: str) -> None:
    options = EVERY_FORM[form]
    given = random_pairs(6, 2)
    none = objective_for(options)(dataclasses.replace(given, target_margin=None))
    some = objective_for(options)(given)
    zero = objective_for(options)(dataclasses.replace(given, target_margin=torch.zeros(6).double()))
    assert torch.equal(zero, none)
    assert torch.equal(some, none) == (not options.takes_margin)


@pytest.mark.parametrize("form", EVERY_FORM)
def test_gradient(form: str) -> None:
    options = EVERY_FORM[form]
    asked = just_what_is_asked_for(options, random_pairs(5, 4))
    read = [name for name in SIDES if getattr(asked, name) is not None]

    def loss(*sides: Tensor) -> Tensor:
        return objective_for(options)(with_sides(asked, dict(zip(read, sides, strict=True))))

    if options.needs_collision:
        large = {name: torch.full((5,), -9.0).double() for name in COLLISIONS}
        # Every weight is then 1, and stays so: a constant, as which it is meant.
        asked = dataclasses.replace(asked, **large)
    assert torch.autograd.gradcheck(loss, [getattr(asked, name).clone().requires_grad_() for name in read])


COLLISIONS = ("chosen_log_collision", "rejected_log_collision")


def test_no_gradient_flows_through_the_weights_of_wpo() -> None:
    """The gradient of a weighted loss is the weight times the gradient of the loss."""
    given = random_pairs(6, 5)
    for name in PAIR_NAMES:
        if "weighting" not in OBJECTIVES[name].model_fields:
            continue
        plain, plain_gradients = with_gradients(OBJECTIVES[name](), given)
        losses, gradients = with_gradients(OBJECTIVES[name](weighting="wpo"), given)
        weights = losses / plain
        for side, gradient in gradients.items():
            torch.testing.assert_close(gradient, weights * plain_gradients[side], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", EVERY_FORM)
def test_finite_at_extremes(form: str, dtype: torch.dtype) -> None:
    """Every corner of 0 and -1e4 for the four log-probabilities: log-ratios up to 1e4 either way."""
    corners = torch.cartesian_prod(*[torch.tensor([0.0, -1e4], dtype=dtype)] * 4)
    chosen, rejected, reference_chosen, reference_rejected = corners.T.contiguous()
    lengths = torch.tensor([1, 1000]).repeat(8)
    ones = torch.ones(16, dtype=dtype)
    extreme = PairLogps(
        chosen=chosen,
        chosen_lengths=lengths,
        rejected=rejected,
        rejected_lengths=lengths.flip(0),
        reference_chosen=reference_chosen,
        reference_rejected=reference_rejected,
        target_margin=100 * ones,
        reward_shift=torch.tensor(-1e3, dtype=dtype),
        chosen_log_collision=-1e-3 * ones,
        rejected_log_collision=-20 * ones,
        chosen_public=chosen / 2,
        rejected_public=rejected / 2,
        reference_chosen_public=reference_chosen / 2,
        reference_rejected_public=reference_rejected / 2,
    )
    losses, gradients = with_gradients(EVERY_FORM[form], extreme)
    assert losses.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def may_overshoot(options: Objective) -> bool:
    """Whether neither side is monotone: by its nature, or because labels may be wrong."""
    if options.type in NOT_MONOTONE_IN_CHOSEN & NOT_MONOTONE_IN_REJECTED:
        return True
    return getattr(options, "label_smoothing", 0) > 0 and getattr(options, "smoothing", "") != "robust"


logps = st.lists(st.tuples(*[st.floats(-200, -0.01)] * 4), min_size=1, max_size=6)


def pairs_of(values: list[tuple[float, ...]]) -> PairLogps:
    columns = torch.tensor(values, dtype=torch.float64).T
    random = random_pairs(len(values), 0)
    names = ("chosen", "rejected", "reference_chosen", "reference_rejected")
    public = {f"{name}_public": column / 2 for name, column in zip(names, columns, strict=True)}
    return dataclasses.replace(random, **dict(zip(names, columns, strict=True)), **public)


@pytest.mark.parametrize("form", [form for form in EVERY_FORM if not may_overshoot(EVERY_FORM[form])])
@settings(max_examples=25, deadline=None)
@given(values=logps)
def test_more_of_chosen_and_less_of_rejected_never_costs(form: str, values: list[tuple[float, ...]]) -> None:
    options = EVERY_FORM[form]
    losses, gradients = with_gradients(options, pairs_of(values))
    assert losses.isfinite().all()
    if options.type not in NOT_MONOTONE_IN_CHOSEN:
        assert (gradients["chosen"] <= 0).all()
    if options.type not in NOT_MONOTONE_IN_REJECTED and "rejected" in gradients:
        assert (gradients["rejected"] >= 0).all()


@pytest.mark.parametrize("name", sorted(NOT_MONOTONE_IN_CHOSEN | NOT_MONOTONE_IN_REJECTED))
def test_the_others_do_turn_round(name: str) -> None:
    """The lists excuse no objective that needs no excuse: somewhere the gradient has the other sign."""
    grid = torch.linspace(-60, 60, 41, dtype=torch.float64)
    chosen, rejected = (side.flatten() for side in torch.meshgrid(grid, grid, indexing="ij"))
    zeros = torch.zeros_like(chosen)
    given = dataclasses.replace(
        random_pairs(len(zeros), 0),
        chosen=chosen - 100,
        rejected=rejected - 100,
        reference_chosen=zeros - 100,
        reference_rejected=zeros - 100,
        target_margin=zeros,
        chosen_log_collision=zeros - 200,
        rejected_log_collision=zeros - 200,
    )
    # A mixture's default terms are monotone; one with IPO is not.
    options = EVERY_FORM["mpo: other terms"] if name == "mpo" else OBJECTIVES[name]()
    _, gradients = with_gradients(options, given)
    assert (gradients["chosen"] > 0).any() == (name in NOT_MONOTONE_IN_CHOSEN)
    assert (gradients["rejected"] < 0).any() == (name in NOT_MONOTONE_IN_REJECTED)


@pytest.mark.parametrize("form", EVERY_FORM)
@settings(max_examples=10, deadline=None)
@given(values=logps, seed=st.integers(0, 100))
def test_the_order_of_the_pairs_does_not_matter(
    form: str, values: list[tuple[float, ...]], seed: int
) -> None:
    """Reordered pairs have the reordered losses; also where the batch couples them, but for equal margins."""
    options, pairs = EVERY_FORM[form], pairs_of(values)
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
    losses, reordered = losses_of(options, pairs), losses_of(options, rows_of(pairs, order))
    torch.testing.assert_close(reordered.sum(), losses.sum(), rtol=1e-10, atol=1e-10)
    if not options.couples_batch:
        torch.testing.assert_close(reordered, losses[order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", EVERY_FORM)
def test_pairs_see_each_other_exactly_where_it_is_said(form: str) -> None:
    options, pairs = EVERY_FORM[form], random_pairs(8, 6)
    alone = torch.cat([losses_of(options, rows_of(pairs, torch.tensor([i]))) for i in range(8)])
    together = losses_of(options, pairs)
    assert torch.allclose(alone, together, rtol=1e-12) == (not options.couples_batch)


@pytest.mark.parametrize(
    "form", [form for form in EVERY_FORM if EVERY_FORM[form].type in LN_2_WITHOUT_A_MARGIN]
)
def test_the_dpo_family_costs_ln_2_where_policy_and_reference_agree(form: str) -> None:
    pairs = random_pairs(5, 7)
    agreeing = dataclasses.replace(
        pairs,
        chosen=pairs.reference_chosen,
        rejected=pairs.reference_rejected,
        chosen_public=pairs.reference_chosen_public,
        rejected_public=pairs.reference_rejected_public,
        target_margin=None,
        chosen_log_collision=torch.full((5,), -9.0).double(),
        rejected_log_collision=torch.full((5,), -9.0).double(),
    )
    losses = losses_of(EVERY_FORM[form], agreeing)
    assert losses.tolist() == pytest.approx([math.log(2)] * 5, rel=1e-12)


@pytest.mark.parametrize(
    "name", [n for n in PAIR_NAMES if OBJECTIVES[n].needs_reference is True and n != "rpo"]
)
@settings(max_examples=10, deadline=None)
@given(values=logps)
def test_only_log_ratios_count_where_there_is_a_reference(name: str, values: list[tuple[float, ...]]) -> None:
    """What policy and reference gain together on one side changes nothing; rpo also counts likelihood."""
    pairs = pairs_of(values)
    moved = dataclasses.replace(pairs, chosen=pairs.chosen - 7, reference_chosen=pairs.reference_chosen - 7)
    options = OBJECTIVES[name]()
    expected, found = losses_of(options, pairs), losses_of(options, moved)
    torch.testing.assert_close(found.sum(), expected.sum(), rtol=1e-9, atol=1e-9)
