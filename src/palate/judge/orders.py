"""Several looks at one comparison become one verdict, and nothing is made up where a look is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from palate.records import Comparison, JudgeCall, Verdict

__all__ = ["verdict_of_calls"]


def verdict_of_calls(
    comparison: Comparison, judge: str, calls: Sequence[JudgeCall], detail: Mapping[str, Any]
) -> Verdict:
    """What one call, or one in each order, add up to.

    - All say the same: that.
    - They differ: a tie. Where each of the two was preferred once it is `flipped`: the place decided.
    - One is missing: the verdict is. Half a look at it is the half that position decides.
    """
    missing = [call for call in calls if call.preferred is None]
    preferred: Literal["a", "b", "tie"] | None
    if missing:
        reason = "; ".join(f"{call.shown_first} shown first: {_why(call)}" for call in missing)
        return Verdict(comparison, judge, None, reason, calls=tuple(calls), detail=detail)
    said = [call.preferred for call in calls]
    flipped = "a" in said and "b" in said
    if len(set(said)) == 1:
        preferred, reason = said[0], "in both orders" if len(calls) > 1 else "in one order"
    elif flipped:
        place = "first" if calls[0].preferred == calls[0].shown_first else "second"
        preferred, reason = "tie", f"the one shown {place} was preferred in both orders"
    else:
        decided = next(side for side in said if side != "tie")
        preferred, reason = "tie", f"a tie in one order, {decided} in the other"
    return Verdict(comparison, judge, preferred, reason, flipped, tuple(calls), detail)


def _why(call: JudgeCall) -> str:
    why = call.detail.get("why")
    return f"{call.problem}: {why}" if why else call.problem
