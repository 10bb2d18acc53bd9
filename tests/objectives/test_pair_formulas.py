"""Every objective on pairs: numbers by hand, and the papers' formulas written down a second time, in numpy.

An objective without an entry in `BY_HAND` and one in `FORMULAS` fails here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pair_batches import EVERY_FORM, PAIR_NAMES, just_what_is_asked_for, random_pairs
from torch import Tensor

from palate.objectives import PairLogps, objective_for
from palate.recipe import DPO, MPO, OBJECTIVES, Objective

Array = np.ndarray


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


BOTH = PairLogps(
    chosen=tensor(-10, -4),
    rejected=tensor(-9, -8),
    reference_chosen=tensor(-12, -12),
    reference_rejected=tensor(-6, -4),
    chosen_lengths=torch.tensor([4, 2]),
    rejected_lengths=torch.tensor([6, 3]),
    reward_shift=tensor(0.1)[0],
)
"""Log-ratios 2 and -3, then 8 and -4: margins 5 and 12."""

BY_HAND: dict[str, tuple[dict[str, Any], list[float]]] = {
    # Logits 1 and 2.4: log(1 + e^-1), log(1 + e^-2.4) = log 1.09071795.
    "dpo": ({"beta": 0.2}, [0.31326169, 0.08683615]),
    # Target 1 / 0.4 = 2.5: (5 - 2.5)^2, (12 - 2.5)^2.
    "ipo": ({"beta": 0.2}, [6.25, 90.25]),
    # 1 - 0.5; 1 - 1.2 is below 0.
    "hinge": ({"beta": 0.1}, [0.5, 0]),
    # Both chosen sides gain, so nothing is to be punished: as dpo. Where one loses stands below.
    "dpop": ({"beta": 0.2}, [0.31326169, 0.08683615]),
    # dpo and 0.5 * 10/4, 0.5 * 4/2.
    "rpo": ({"beta": 0.2, "nll_weight": 0.5}, [1.56326169, 1.08683615]),
    # q = s(1) = 0.73105858: q log(q/0.9) + (1-q) log((1-q)/0.1) = -0.15198794 + 0.26607004.
    # q = s(2.4) = 0.91682730: 0.01698364 - 0.01532466.
    "exo": ({"beta": 0.2, "label_smoothing": 0.1}, [0.11408211, 0.00165898]),
    # Rewards 0.4, -0.6: 0.51301525 + (0.91301525 + 0.43748795) / 2.
    # Rewards 1.6, -0.8: 0.18390074 + (1.78390074 + 0.37110067) / 2.
    "nca": ({"beta": 0.2}, [1.18826685, 1.26140144]),
    # Shift 0.1: logits 0.3 and 0.7, 0.55435524 + 0.40318605; 1.5 and 0.9, 0.20141328 + 0.34115387.
    "bco_pair": ({"beta": 0.2}, [0.95754129, 0.54256715]),
    # (2 - 2.5)^2 + (-3 + 2.5)^2; (8 - 2.5)^2 + (-4 + 2.5)^2.
    "sppo_hard": ({"beta": 0.2}, [0.5, 32.5]),
    # Policy -1, 4 and reference -6, -8: sorted -8, -6. Deltas 7 and 10, logits 1.4 and 2.
    "aot": ({"beta": 0.2}, [0.22041740, 0.12692801]),
    # Chosen 2, 8 and rejected -3, -4: sorted -4, -3. Deltas 6 and 11, logits 1.2 and 2.2.
    "aot_unpaired": ({"beta": 0.2}, [0.26328247, 0.10508332]),
    # s(-0.4) + s(-0.6) = 0.40131234 + 0.35434369; s(-1.6) + s(-0.8) = 0.16798161 + 0.31002552.
    "apo_zero": ({"beta": 0.2}, [0.75565603, 0.47800713]),
    # s(0.4) + s(-1) = 0.59868766 + 0.26894142; s(1.6) + s(-2.4) = 0.83201839 + 0.08317270.
    "apo_down": ({"beta": 0.2}, [0.86762908, 0.91519109]),
    # m = s(2) = 0.88079708: 0.11920292 * 0.31326169 + 0.88079708 * e^-1 = 0.03734171 + 0.32402714.
    # m = s(4.8) = 0.99183743: 0.00816257 * 0.08683615 + 0.99183743 * e^-2.4 = 0.00070881 + 0.08997746.
    "discopop": ({"beta": 0.2, "tau": 0.5}, [0.36136885, 0.09068627]),
    # 2 (-10/4 + 9/6) - 1 = -3: log(1 + e^3). 2 (-4/2 + 8/3) - 1 = 1/3: log(1 + e^(-1/3)).
    "simpo": ({"beta": 2, "gamma": 1}, [3.04858735, 0.54030557]),
    # Logit -0.2, and 10/4: 0.79813887 + 2.5. Logit 0.8, and 4/2: 0.37110067 + 2.
    "cpo": ({"beta": 0.2}, [3.29813887, 2.37110067]),
    # Odds 0.08942549 and 0.28721692, ratio 0.31135175: 2.5 + 0.1 log(1 + 1/0.31135175).
    # Odds e^-2/(1-e^-2) = 0.15651764 and e^(-8/3)/(1-e^(-8/3)) = 0.07467191, ratio 2.09607114.
    "orpo": ({"beta": 0.1}, [2.64378905, 2.03900692]),
    # 0.8 * 0.31326169 + 0.2 * 0.95754129 + 10/4; the shift is in units of the first beta, and so of both.
    "mpo": (
        {
            "terms": [
                {"weight": 0.8, "objective": {"type": "dpo", "beta": 0.2}},
                {"weight": 0.2, "objective": {"type": "bco_pair", "beta": 0.2}},
                {"objective": {"type": "sft"}},
            ]
        },
        [2.94211761, 2.17798235],
    ),
    "sft": ({}, [10, 4]),
}


@pytest.mark.parametrize("name", PAIR_NAMES)
def test_by_hand(name: str) -> None:
    options, expected = BY_HAND[name]
    losses = objective_for(OBJECTIVES[name](**options))(BOTH)
    assert losses.tolist() == pytest.approx(expected, abs=1e-8)


def one_pair(log_ratio_chosen: float, log_ratio_rejected: float, **others: Any) -> PairLogps:
    zero = tensor(0)
    return PairLogps(
        chosen=tensor(log_ratio_chosen),
        rejected=tensor(log_ratio_rejected),
        reference_chosen=zero,
        reference_rejected=zero,
        chosen_lengths=torch.tensor([1]),
        rejected_lengths=torch.tensor([1]),
        **others,
    )


def test_dpop_punishes_a_chosen_side_that_falls() -> None:
    """Log-ratios -1 and -3: margin 2, less 3 * 1 = -1. Logit -0.2: log(1 + e^0.2) = 0.79813887."""
    loss = objective_for(OBJECTIVES["dpop"](beta=0.2, penalty=3))(one_pair(-1, -3))
    assert loss.item() == pytest.approx(0.79813887, abs=1e-8)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # Scores 1 - e^-2 = 0.86466472 and 1 - e^3 = -19.08553692: logit 0.2 * 19.95020164 = 3.99004033.
        ({"divergence": "forward_kl"}, 0.01832994),
        # log(2 s(2)) = 0.56621917 and log(2 s(-3)) = -2.35544017: logit 0.58433187.
        ({"divergence": "js_divergence"}, 0.44306798),
        # 2 (1 - e^-1) = 1.26424112 and 2 (1 - e^1.5) = -6.96337814: logit 1.64552385.
        ({"divergence": "alpha_divergence", "divergence_alpha": 0.5}, 0.17639694),
        # 0.75 * 0.31326169 + 0.25 * 1.31326169.
        ({"label_smoothing": 0.25}, 0.56326169),
        # (0.75 * 0.31326169 - 0.25 * 1.31326169) / 0.5.
        ({"label_smoothing": 0.25, "smoothing": "robust"}, -0.18673831),
    ],
)
def test_forms_of_dpo_by_hand(options: dict[str, Any], expected: float) -> None:
    """Log-ratios 2 and -3 at beta 0.2."""
    loss = objective_for(DPO(beta=0.2, **options))(one_pair(2, -3))
    assert loss.item() == pytest.approx(expected, abs=1e-8)


def test_dpo_with_ld_alpha_by_hand() -> None:
    """Chosen 2 of which 1 public: 1 + 0.5 * 1 = 1.5. Rejected -3, all public. 0.2 * 4.5 = 0.9."""
    public = {"chosen_public": tensor(1), "reference_chosen_public": tensor(0)}
    public |= {"rejected_public": tensor(-3), "reference_rejected_public": tensor(0)}
    loss = objective_for(DPO(beta=0.2, ld_alpha=0.5))(one_pair(2, -3, **public))
    assert loss.item() == pytest.approx(0.34115387, abs=1e-8)


def test_dpo_with_a_target_margin_by_hand() -> None:
    """Logit 1 - 0.5: log(1 + e^-0.5) = 0.47407698."""
    loss = objective_for(DPO(beta=0.2))(one_pair(2, -3, target_margin=tensor(0.5)))
    assert loss.item() == pytest.approx(0.47407698, abs=1e-8)


def test_a_term_of_a_mixture_has_the_shift_in_its_own_unit() -> None:
    """A shift of 0.1 at the mixture's beta 0.2 is 0.2 at the term's 0.4.

    The term's rewards are 0.8 and -1.2, its logits 0.6 and 1.4. With the other term:
    0.31326169 + log(1 + e^-0.6) + log(1 + e^-1.4) = 0.31326169 + 0.43748795 + 0.22041740.
    """
    terms = [{"objective": {"type": kind, "beta": beta}} for kind, beta in (("dpo", 0.2), ("bco_pair", 0.4))]
    options = MPO.model_validate({"terms": terms})
    loss = objective_for(options)(one_pair(2, -3, reward_shift=tensor(0.1)[0]))
    assert loss.item() == pytest.approx(0.97116704, abs=1e-8)


def test_wpo_weighs_by_hand() -> None:
    """-10/4 + 2 = -0.5 and -9/6 + 1 = -0.5: e^-1. The other pair's -2 + 3 and -8/3 + 3 are above 0: 1."""
    given = dataclasses.replace(
        BOTH, chosen_log_collision=tensor(-2, -3), rejected_log_collision=tensor(-1, -3)
    )
    losses = objective_for(DPO(beta=0.2, weighting="wpo"))(given)
    assert losses.tolist() == pytest.approx([0.31326169 * 0.36787944, 0.08683615], abs=1e-8)


# The second time: numpy, with none of our code.


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def smoothed(x: Array, e: float) -> Array:
    # log(1 + e^-x): under forward_kl x is sometimes so large that its sigmoid is 0 or 1.
    return (1 - e) * np.logaddexp(0, -x) + e * np.logaddexp(0, x)


class Numbers:
    """A batch in numpy."""

    def __init__(self, logps: PairLogps) -> None:
        def array(name: str) -> Array:
            value = getattr(logps, name)
            return np.zeros(len(logps.chosen)) if value is None else value.numpy()

        self.w, self.l = array("chosen"), array("rejected")
        self.ref_w, self.ref_l = array("reference_chosen"), array("reference_rejected")
        self.n_w, self.n_l = array("chosen_lengths"), array("rejected_lengths")
        self.r_w, self.r_l = self.w - self.ref_w, self.l - self.ref_l
        self.target, self.shift = array("target_margin"), logps.reward_shift
        self.public_w = array("chosen_public") - array("reference_chosen_public")
        self.public_l = array("rejected_public") - array("reference_rejected_public")
        self.collision_w, self.collision_l = array("chosen_log_collision"), array("rejected_log_collision")


F_PRIME: dict[str, Callable[[Array, Any], Array]] = {
    "reverse_kl": lambda u, alpha: np.log(u) + 1,
    "forward_kl": lambda u, alpha: -1 / u,
    "js_divergence": lambda u, alpha: np.log(2 * u / (1 + u)),
    "alpha_divergence": lambda u, alpha: (1 - u**-alpha) / alpha,
}


def dpo(x: Numbers, o: Any) -> Array:
    r_w, r_l = x.r_w, x.r_l
    if o.ld_alpha is not None:  # log(p_public * p_rest ** alpha)
        r_w = x.public_w + o.ld_alpha * (x.r_w - x.public_w)
        r_l = x.public_l + o.ld_alpha * (x.r_l - x.public_l)
    if o.logps == "mean":
        r_w, r_l = r_w / x.n_w, r_l / x.n_l
    derivative = F_PRIME[o.divergence]
    scores = derivative(np.exp(r_w), o.divergence_alpha) - derivative(np.exp(r_l), o.divergence_alpha)
    logit, e = o.beta * scores - x.target, o.label_smoothing
    if o.smoothing == "robust":
        return (-(1 - e) * np.log(sigmoid(logit)) + e * np.log(sigmoid(-logit))) / (1 - 2 * e)
    return smoothed(logit, e)


def ipo(x: Numbers, o: Any) -> Array:
    margin = x.r_w - x.r_l if o.logps == "sum" else x.r_w / x.n_w - x.r_l / x.n_l
    return (margin - 1 / (2 * o.beta) - x.target / o.beta) ** 2


def dpop(x: Numbers, o: Any) -> Array:
    inner = x.r_w - x.r_l - o.penalty * np.maximum(0, -x.r_w)
    return -np.log(sigmoid(o.beta * inner - x.target))


def exo(x: Numbers, o: Any) -> Array:
    q = np.stack([np.exp(o.beta * x.r_w), np.exp(o.beta * x.r_l)])
    q = q / q.sum(0)
    p = np.array([[1 - o.label_smoothing], [o.label_smoothing]])
    return (q * np.log(q / p)).sum(0)


def nca(x: Numbers, o: Any) -> Array:
    w, l = o.beta * x.r_w, o.beta * x.r_l  # noqa: E741
    return -np.log(sigmoid(w)) - 0.5 * np.log(sigmoid(-w)) - 0.5 * np.log(sigmoid(-l))


def bco_pair(x: Numbers, o: Any, shift: float | None = None) -> Array:
    shift = float(x.shift) if shift is None else shift
    return -np.log(sigmoid(o.beta * x.r_w - shift)) - np.log(1 - sigmoid(o.beta * x.r_l - shift))


def sppo_hard(x: Numbers, o: Any) -> Array:
    eta = 1 / o.beta
    return (x.r_w - eta * (1 - 0.5)) ** 2 + (x.r_l - eta * (0 - 0.5)) ** 2


def matched(values: Array, others: Array) -> Array:
    """values less others of equal rank, at the places of values."""
    result = np.empty_like(values)
    for i, j in zip(np.argsort(values), np.argsort(others), strict=True):
        result[i] = values[i] - others[j]
    return result


def discopop(x: Numbers, o: Any) -> Array:
    rho = o.beta * (x.r_w - x.r_l)
    m = sigmoid(rho / o.tau)
    return (1 - m) * np.log(1 + np.exp(-rho)) + m * np.exp(-rho)


def simpo(x: Numbers, o: Any) -> Array:
    return -np.log(sigmoid(o.beta * x.w / x.n_w - o.beta * x.l / x.n_l - o.gamma - x.target))


def cpo(x: Numbers, o: Any) -> Array:
    return -np.log(sigmoid(o.beta * (x.w - x.l) - x.target)) - o.nll_weight * x.w / x.n_w


def orpo(x: Numbers, o: Any) -> Array:
    p_w, p_l = np.exp(x.w / x.n_w), np.exp(x.l / x.n_l)
    ratio = p_w / (1 - p_w) / (p_l / (1 - p_l))
    return -np.log(p_w) - o.beta * np.log(sigmoid(np.log(ratio)))


def mpo(x: Numbers, o: Any) -> Array:
    total = np.zeros_like(x.w)
    for term in o.terms:
        name = term.objective.type
        if name == "bco_pair":
            loss = bco_pair(x, term.objective, float(x.shift) * term.objective.beta / o.reward_scale)
        elif name == "sft":
            loss = -x.w / x.n_w
        else:
            loss = FORMULAS[name](x, term.objective)
        total += term.weight * weights(x, term.objective) * loss
    return total


def weights(x: Numbers, o: Any) -> Array:
    if getattr(o, "weighting", "none") == "none":
        return np.ones_like(x.w)
    w = np.exp(x.w / x.n_w - x.collision_w) * np.exp(x.l / x.n_l - x.collision_l)
    return np.minimum(1, w)


FORMULAS: dict[str, Callable[[Numbers, Any], Array]] = {
    "dpo": dpo,
    "ipo": ipo,
    "hinge": lambda x, o: np.maximum(0, 1 - o.beta * (x.r_w - x.r_l) + x.target),
    "dpop": dpop,
    "rpo": lambda x, o: -np.log(sigmoid(o.beta * (x.r_w - x.r_l) - x.target)) - o.nll_weight * x.w / x.n_w,
    "exo": exo,
    "nca": nca,
    "bco_pair": bco_pair,
    "sppo_hard": sppo_hard,
    "aot": lambda x, o: smoothed(o.beta * matched(x.w - x.l, x.ref_w - x.ref_l), o.label_smoothing),
    "aot_unpaired": lambda x, o: smoothed(o.beta * matched(x.r_w, x.r_l), o.label_smoothing),
    "apo_zero": lambda x, o: 1 - sigmoid(o.beta * x.r_w) + sigmoid(o.beta * x.r_l),
    "apo_down": lambda x, o: sigmoid(o.beta * x.r_w) + 1 - sigmoid(o.beta * (x.r_w - x.r_l)),
    "discopop": discopop,
    "simpo": simpo,
    "cpo": cpo,
    "orpo": orpo,
    "mpo": mpo,
    "sft": lambda x, o: -x.w,
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", EVERY_FORM)
def test_is_the_papers_formula(form: str, seed: int) -> None:
    options: Objective = EVERY_FORM[form]
    given = just_what_is_asked_for(options, random_pairs(8, seed))
    numbers = Numbers(given)
    expected = weights(numbers, options) * FORMULAS[options.type](numbers, options)
    losses = objective_for(options)(given)
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-9, atol=1e-12)
