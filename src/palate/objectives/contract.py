"""What an objective is given, and what the loop does with its answer.

An objective is a pure function `(inputs, options) -> losses [B]`. It holds no model, knows no device, and
reduces nothing. What `inputs` is depends on the data it learns from and on what it reads of the model:

    pairs, logps       PairLogps        dpo and its family, sft
    pairs, scores      PairScores       a reward model
    labels, logps      LabelLogps       kto, bco
    rankings, logps    RankingLogps     plackett-luce

The loop adds up the losses of a whole batch, however it was cut into micro-batches and spread over
processes, each times its example's weight, and divides the sum as the options say:

    normalise_by = "examples"    by the number of examples of the batch
    normalise_by = "tokens"      by the number of scored tokens of its chosen completions

What else the loop must know stands on the options class beside it (`palate.recipe.objective.Objective`). It
never asks which objective it runs. Two things no example can know of itself come with the inputs, computed
over the whole batch: `LabelLogps.kl`, and the `reward_shift`. An objective whose examples see each other in
any other way says `couples_batch`; it is then given the whole batch at once, and its gradient is taken in
two passes (Gao et al. 2021, arXiv:2101.06983), so its result does not depend on the cut either.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["LabelLogps", "PairLogps", "PairScores", "RankingLogps", "implicit_rewards", "present"]


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
    target_margin: Tensor | None = None
    """[B] by how much each pair's chosen is better, as the data states it; None where it does not."""
    reward_shift: Tensor | None = None
    """[] mean reward of both sides over all earlier steps, 0 at the first; None unless asked for."""
    chosen_log_collision: Tensor | None = None
    """[B] mean over the chosen's scored tokens of log sum_v pi(v)^2, constant; None unless asked for."""
    rejected_log_collision: Tensor | None = None
    """[B] the same of the rejected completion."""
    chosen_public: Tensor | None = None
    """[B] like `chosen`, over the first min(|y_w|, |y_l|) scored tokens only; None unless asked for."""
    rejected_public: Tensor | None = None
    """[B] like `rejected`, over as many."""
    reference_chosen_public: Tensor | None = None
    """[B] like `reference_chosen`, over as many."""
    reference_rejected_public: Tensor | None = None
    """[B] like `reference_rejected`, over as many."""

    @property
    def log_ratio_chosen(self) -> Tensor:
        """[B] log pi(chosen) - log pi_ref(chosen)."""
        return self.chosen - present(self.reference_chosen, "reference_chosen")

    @property
    def log_ratio_rejected(self) -> Tensor:
        """[B] log pi(rejected) - log pi_ref(rejected)."""
        return present(self.rejected, "rejected") - present(self.reference_rejected, "reference_rejected")

    @property
    def margin(self) -> Tensor:
        """[B] how much more the policy favours chosen over rejected than the reference does."""
        return self.log_ratio_chosen - self.log_ratio_rejected

    @property
    def mean_margin(self) -> Tensor:
        """[B] the same of log-ratios per token: each side is divided by its own length."""
        # A completion without scored tokens sums to zero; dividing by one keeps it zero instead of NaN.
        chosen = self.log_ratio_chosen / self.chosen_lengths.clamp(min=1)
        rejected_lengths = present(self.rejected_lengths, "rejected_lengths")
        return chosen - self.log_ratio_rejected / rejected_lengths.clamp(min=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScores:
    """Scalar scores of B pairs, from a reward model: `[B]` each, carrying the gradient."""

    chosen: Tensor
    """[B] the score of each chosen completion."""
    rejected: Tensor
    """[B] the score of each rejected completion."""
    target_margin: Tensor | None = None
    """[B] by how much each pair's chosen is better, as the data states it; None where it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelLogps:
    """Log-probabilities of B completions, each labelled desirable or not."""

    logps: Tensor
    """[B] log pi(completion | prompt) of the policy, summed over scored tokens; carries the gradient."""
    lengths: Tensor
    """[B] scored tokens of each completion."""
    desirable: Tensor
    """[B] bool: thumb up or down."""
    reference: Tensor | None = None
    """[B] log pi_ref(completion | prompt); None where the objective needs no reference."""
    kl: Tensor | None = None
    """[] estimate of KL(policy || reference) over the whole batch: the mean log-ratio of completions that
    belong to other prompts, not below 0; constant. None unless asked for."""
    reward_shift: Tensor | None = None
    """[] mean reward over all earlier steps, 0 at the first; None unless asked for."""

    @property
    def log_ratio(self) -> Tensor:
        """[B] log pi - log pi_ref."""
        return self.logps - present(self.reference, "reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingLogps:
    """Log-probabilities of B rankings of up to K completions, best first, padded on the right."""

    logps: Tensor
    """[B, K] log pi(completion | prompt) of the policy, 0 where absent; carries the gradient."""
    lengths: Tensor
    """[B, K] scored tokens of each completion, 0 where absent."""
    present: Tensor
    """[B, K] bool: whether the ranking is that long."""
    reference: Tensor | None = None
    """[B, K] log pi_ref(completion | prompt), 0 where absent; None where the objective needs no reference."""

    @property
    def log_ratio(self) -> Tensor:
        """[B, K] log pi - log pi_ref, 0 where absent."""
        return self.logps - present(self.reference, "reference")


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


def present(value: Tensor | None, name: str) -> Tensor:
    """What an objective's metadata asked for; ValueError where they did not and it is read all the same."""
    if value is None:
        raise ValueError(f"{name} is None and is being read: the objective's metadata is wrong")
    return value
