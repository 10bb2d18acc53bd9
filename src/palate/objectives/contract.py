"""What an objective is given, and what the loop does with its answer.

An objective over pairs is a pure function `(logps: PairLogps, options) -> losses [B]`. It holds no model,
knows no device, and reduces nothing. The loop adds up the losses of a whole batch, however it was cut
into micro-batches, and divides the sum as the options say:

    normalise_by = "examples"    by the number of examples of the batch
    normalise_by = "tokens"      by the number of scored tokens of its chosen completions

What else the loop must know stands on the options class beside it (`palate.recipe.objective`):
`needs_reference`, `needs_rejected`, `reward_scale`. It never asks which objective it runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["PairLogps", "implicit_rewards"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLogps:
    """Log-probabilities of B pairs.

    `chosen` and `rejected` are summed over the scored tokens of a completion, in nats, and carry the
    gradient; the reference's are constants. All are `[B]` floating-point tensors of one dtype, the lengths
    `[B]` counts.
    """

    chosen: Tensor
    """[B] log pi(chosen | prompt) of the policy."""
    chosen_lengths: Tensor
    """[B] scored tokens of each chosen completion."""
    rejected: Tensor | None = None
    """[B] log pi(rejected | prompt) of the policy; None where the objective does not read that side."""
    rejected_lengths: Tensor | None = None
    """[B] scored tokens of each rejected completion; None together with `rejected`."""
    reference_chosen: Tensor | None = None
    """[B] log pi_ref(chosen | prompt); None where the objective needs no reference."""
    reference_rejected: Tensor | None = None
    """[B] log pi_ref(rejected | prompt); None where there is no reference or no rejected side."""

    @property
    def log_ratio_chosen(self) -> Tensor:
        """[B] log pi(chosen) - log pi_ref(chosen)."""
        return self.chosen - _present(self.reference_chosen, "reference_chosen")

    @property
    def log_ratio_rejected(self) -> Tensor:
        """[B] log pi(rejected) - log pi_ref(rejected)."""
        return _present(self.rejected, "rejected") - _present(self.reference_rejected, "reference_rejected")

    @property
    def margin(self) -> Tensor:
        """[B] how much more the policy favours chosen over rejected than the reference does."""
        return self.log_ratio_chosen - self.log_ratio_rejected

    @property
    def mean_margin(self) -> Tensor:
        """[B] the same of log-ratios per token: each side is divided by its own length."""
        # A completion without scored tokens sums to zero; dividing by one keeps it zero instead of NaN.
        chosen = self.log_ratio_chosen / self.chosen_lengths.clamp(min=1)
        rejected_lengths = _present(self.rejected_lengths, "rejected_lengths")
        return chosen - self.log_ratio_rejected / rejected_lengths.clamp(min=1)


def implicit_rewards(logps: PairLogps, scale: float) -> tuple[Tensor, Tensor | None]:
    """The rewards a policy stands for, for metrics: detached, chosen and rejected, `[B]` each.

    With a reference this is beta * log(pi / pi_ref), the reward of which the policy is the optimum (Rafailov
    et al. 2023, equation 5, without its prompt-only term, which cancels between the two sides). Without one
    it is the scaled log-probability of the policy itself. Either way a larger reward means that the policy
    favours the completion more, and chosen > rejected that it ranks the pair as the data does.

    Args:
        logps: of B pairs.
        scale: `options.reward_scale`: beta where the objective has one, else 1.

    Returns:
        Rejected is None where `logps.rejected` is: margin and accuracy do not exist then, and no number
        stands in for them.
    """
    chosen = logps.chosen if logps.reference_chosen is None else logps.log_ratio_chosen
    if logps.rejected is None:
        return scale * chosen.detach(), None
    rejected = logps.rejected if logps.reference_rejected is None else logps.log_ratio_rejected
    return scale * chosen.detach(), scale * rejected.detach()


def _present(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise ValueError(f"PairLogps.{name} is None and is being read: the objective's metadata is wrong")
    return value
