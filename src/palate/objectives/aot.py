"""Alignment by optimal transport: whole distributions are compared, sorted, quantile by quantile."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from palate.objectives.contract import PairLogps, present
from palate.recipe.objective import AOT, AOTUnpaired

__all__ = ["aot_loss", "aot_unpaired_loss"]


def aot_loss(logps: PairLogps, options: AOT) -> Tensor:
    """The policy's margins should be stochastically larger than the reference's.

    Melnyk et al. 2024, "Distributional Preference Alignment of LLMs via Optimal Transport", arXiv:2406.05882,
    the paired form with the logistic loss. With the batch's u = log pi(y_w)/pi(y_l) and
    v = log pi_ref(y_w)/pi_ref(y_l), each sorted by itself:

        loss_i = -log sigmoid(beta * (u_(i) - v_(i)))

    `label_smoothing` e makes it (1 - e) * loss(delta) + e * loss(-delta). No target margins: a sorted margin
    is no longer that of one pair.

    Departures: none in value from trl's `aot`. Each loss stands at the pair whose u it holds, not in sorted
    order, so that pairs can be weighed; the batch is the whole one, however it is cut.

    Args:
        logps: of the whole batch's B pairs, both sides, policy and reference.
        options: beta in 1/nats; label_smoothing in [0, 0.5).

    Returns:
        [B] losses in nats.
    """
    reference = present(logps.reference_chosen, "reference_chosen") - present(
        logps.reference_rejected, "reference_rejected"
    )
    deltas = _above_equal_quantile(logps.chosen - present(logps.rejected, "rejected"), reference)
    return _smoothed(options.beta * deltas, options.label_smoothing)


def aot_unpaired_loss(logps: PairLogps, options: AOTUnpaired) -> Tensor:
    """The chosen sides' rewards should be stochastically larger than the rejected sides'.

    Melnyk et al. 2024, arXiv:2406.05882, the unpaired form with the logistic loss. With the batch's
    r = log pi/pi_ref, those of the chosen and those of the rejected sides each sorted by themselves:

        loss_i = -log sigmoid(beta * (r_w(i) - r_l(i)))

    `label_smoothing`, target margins and departures as for `aot_loss`; each loss stands at the pair whose
    chosen side it holds.

    Args:
        logps: of the whole batch's B pairs, both sides, policy and reference.
        options: beta in 1/nats; label_smoothing in [0, 0.5).

    Returns:
        [B] losses in nats.
    """
    deltas = _above_equal_quantile(logps.log_ratio_chosen, logps.log_ratio_rejected)
    return _smoothed(options.beta * deltas, options.label_smoothing)


def _above_equal_quantile(values_B: Tensor, others_B: Tensor) -> Tensor:
    """[B] each value less that one of the others that has the same rank."""
    ranks = values_B.argsort(stable=True).argsort()
    return values_B - others_B.sort().values[ranks]


def _smoothed(logits: Tensor, label_smoothing: float) -> Tensor:
    return -(1 - label_smoothing) * logsigmoid(logits) - label_smoothing * logsigmoid(-logits)
