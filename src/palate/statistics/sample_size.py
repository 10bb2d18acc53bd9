"""How many comparisons it takes until a win rate is known as closely as somebody wants."""

from __future__ import annotations

from palate.errors import CallError
from palate.statistics.win_rates import WinRate, wilson_interval

__all__ = ["comparisons_for_interval"]

_MOST = 10**12


def comparisons_for_interval(counts: WinRate, half_width: float) -> int:
    """How many more comparisons, at this rate, until the 95% interval is no wider than twice `half_width`.

    What counts for the width are independent comparisons. How many of those made so far are worth one is
    taken from the interval there is: (its width / that of as many independent ones) squared, which holds
    what prompts with several comparisons, and few prompts, cost, and what a judge's probabilities gain. That
    the rate and this share stay what they are is a guess, as every plan is. Without any comparison it is
    planned for a rate of one half without ties, which takes the most.

    Args:
        counts: of the comparisons made so far.
        half_width: within (0, 0.5): 0.03 is three points either way.

    Returns:
        0 where those made are enough.

    Raises:
        CallError: no such width.
    """
    if not 0 < half_width < 0.5:
        raise CallError(
            f"an interval of {half_width:g} either way", where="--within", next="give a share, such as 0.03"
        )
    n = counts.num_comparisons
    wins, losses, ties = (counts.num_wins, counts.num_losses, counts.num_ties) if n else (1, 1, 0)
    of = wins + losses + ties

    def half(num: float) -> float:
        low, high = wilson_interval(wins * num / of, losses * num / of, ties * num / of)
        return (high - low) / 2

    design_effect = 1.0
    if n:
        low, high = counts.interval_95
        if (high - low) / 2 <= half_width:
            return 0
        design_effect = ((high - low) / 2 / half(n)) ** 2
    enough, too_few = 1, 0
    while half(enough / design_effect) > half_width and enough < _MOST:
        enough, too_few = 2 * enough, enough
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if half(middle / design_effect) > half_width:
            too_few = middle
        else:
            enough = middle
    return max(enough - n, 1 if n else 0)
