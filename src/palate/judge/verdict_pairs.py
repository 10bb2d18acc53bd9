"""Training pairs from verdicts: of each clear preference one, with what it rests on in its lineage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from palate.records import Comparison, Pair, Provenance, Verdict

__all__ = ["PairsFromVerdicts", "pairs_from_verdicts"]


@dataclass(frozen=True, slots=True)
class PairsFromVerdicts:
    """Pairs, and what became of every verdict.

    Verdicts = pairs + ties + flipped + missing + conflicting + repeated.
    """

    pairs: tuple[Pair, ...]
    num_verdicts: int
    num_ties: int
    """Ties that the judge gave, in both orders where it was asked both."""
    num_flipped: int
    """Each order of the two was preferred once."""
    num_missing: int
    num_repeated: int
    """Preferences that an earlier verdict on the same comparison gave already, by whichever judge."""
    num_conflicting: int
    """Preferences against that of an earlier verdict on the same comparison, which is the pair's."""

    def as_dict(self) -> dict[str, int]:
        """The counts, for JSON."""
        return {
            "num_verdicts": self.num_verdicts,
            "num_pairs": len(self.pairs),
            "num_ties": self.num_ties,
            "num_flipped": self.num_flipped,
            "num_missing": self.num_missing,
            "num_repeated": self.num_repeated,
            "num_conflicting": self.num_conflicting,
        }


def pairs_from_verdicts(verdicts: Iterable[Verdict]) -> PairsFromVerdicts:
    """One pair for each comparison with a preference that is neither a tie, nor flipped, nor missing."""
    pairs: dict[str, Pair] = {}
    counts = dict.fromkeys(("ties", "flipped", "missing", "repeated", "conflicting"), 0)
    num_verdicts = 0
    for verdict in verdicts:
        num_verdicts += 1
        if verdict.preferred is None:
            counts["missing"] += 1
        elif verdict.flipped:
            counts["flipped"] += 1
        elif verdict.preferred == "tie":
            counts["ties"] += 1
        else:
            pair = _pair(verdict)
            earlier = pairs.setdefault(verdict.comparison.id, pair)
            if earlier is not pair:
                counts["repeated" if earlier.id == pair.id else "conflicting"] += 1
    return PairsFromVerdicts(
        pairs=tuple(pairs.values()),
        num_verdicts=num_verdicts,
        num_ties=counts["ties"],
        num_flipped=counts["flipped"],
        num_missing=counts["missing"],
        num_repeated=counts["repeated"],
        num_conflicting=counts["conflicting"],
    )


def _pair(verdict: Verdict) -> Pair:
    comparison = verdict.comparison
    a_is_chosen = verdict.preferred == "a"
    chosen, rejected = comparison.completion_a, comparison.completion_b
    if not a_is_chosen:
        chosen, rejected = rejected, chosen
    return Pair(comparison.prompt, chosen, rejected, _lineage(verdict, comparison, a_is_chosen))


def _lineage(verdict: Verdict, comparison: Comparison, a_is_chosen: bool) -> Provenance:
    """The comparison's, told by which side was chosen; the judge, and which verdict it was."""
    origin = comparison.provenance
    detail: dict[str, Any] = {name: value for name, value in origin.detail.items() if name not in ("a", "b")}
    for side in ("a", "b"):
        role = "chosen" if (side == "a") == a_is_chosen else "rejected"
        generator = comparison.generators[0 if side == "a" else 1]
        if generator is not None:
            detail[f"{role}_generator"] = generator
        if (made := origin.detail.get(side)) is not None:
            detail[f"{role}_made"] = made
        if (score := verdict.detail.get(f"score_{side}")) is not None:
            detail[f"{role}_score"] = score
    return Provenance(
        origin.source, origin.line, {**detail, "judge": verdict.judge, "verdict": comparison.id}
    )
