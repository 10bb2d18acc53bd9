"""Every rule, by name. One small file each."""

from palate.evaluate.diagnosis.finding import Rule
from palate.evaluate.diagnosis.rules import (
    accuracy_one_early,
    adapter_not_moving,
    both_rewards_falling,
    evaluation_leaked,
    evaluation_too_small,
    gradient_spikes,
    kl_runaway,
    learning_rate_high,
    learning_rate_low,
    length_exploitation,
    loss_at_zero,
    noisy_labels,
    over_optimisation,
    preference_not_learnt,
    validation_worse_than_train,
    wrong_reference,
)

__all__ = ["RULES"]

_MODULES = (
    wrong_reference,
    adapter_not_moving,
    learning_rate_high,
    learning_rate_low,
    gradient_spikes,
    kl_runaway,
    accuracy_one_early,
    loss_at_zero,
    both_rewards_falling,
    length_exploitation,
    over_optimisation,
    validation_worse_than_train,
    noisy_labels,
    preference_not_learnt,
    evaluation_leaked,
    evaluation_too_small,
)

RULES: dict[str, Rule] = {module.RULE.name: module.RULE for module in _MODULES}
"""In the order in which a person would look: is it sound, does it move, what is learnt, can it be told."""
