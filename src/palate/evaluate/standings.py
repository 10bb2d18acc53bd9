"""How models stand after judging: each two of them, and all in one ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from palate.evaluate.contestants import Answered
from palate.evaluate.judgements import Contest, Judgements
from palate.judge.sides import names_of, score_of_a
from palate.statistics.bradley_terry import Outcome as Game
from palate.statistics.bradley_terry import rank
from palate.statistics.corrected import AgreementCorrected, agreement_corrected_win_rate
from palate.statistics.judged import JudgedWinRate, judged_win_rate
from palate.statistics.several import shown_together
from palate.statistics.win_rates import interval_in_words, verdict_in_words

__all__ = ["ranking", "standing", "verdict_on"]

_FEW_PROMPTS = 30


def standing(
    contests: Sequence[Contest],
    answered: Answered,
    judgements: Judgements,
    rights: Sequence[tuple[float, str]] | None,
    *,
    seed: int = 0,
) -> tuple[JudgedWinRate, dict[str, Any]]:
    """The figures of one model against another, and as `comparison.json` holds them.

    Args:
        contests: of these two, with verdicts or without.
        answered: their answers.
        judgements: the judge's.
        rights: how right the judge is, as `rights_of` has it; None where nobody voted, or people judge.
        seed: of the bootstrap.
    """
    of, against = contests[0].of, contests[0].against
    verdicts = [judgements.of(contest.comparison) for contest in contests]
    scores = [
        None if verdict is None or verdict.preferred is None else 1 - score_of_a(verdict.preferred)
        for verdict in verdicts
    ]
    prompts = [names_of(contest.comparison).prompt_id for contest in contests]
    longer = [
        float(
            len(answered.answers[of][contest.place][contest.sample].text)
            - len(answered.answers[against][contest.place][contest.sample].text)
        )
        for contest in contests
    ]
    figures = judged_win_rate(scores, prompts, longer, seed=seed)
    corrected = None
    if rights is not None:
        corrected = agreement_corrected_win_rate(
            scores, prompts, [right for right, _ in rights], [prompt for _, prompt in rights]
        )
    return figures, _as_dict(of, against, figures, corrected, len(set(prompts)))


def _as_dict(
    of: str, against: str, figures: JudgedWinRate, corrected: AgreementCorrected | None, num_prompts: int
) -> dict[str, Any]:
    counts, controlled = figures.counts, figures.length_controlled
    found: dict[str, Any] = {
        "of": of,
        "against": against,
        "num_wins": counts.num_wins,
        "num_losses": counts.num_losses,
        "num_ties": counts.num_ties,
        "num_missing": counts.num_missing,
        "num_prompts": num_prompts,
        "win_rate": counts.win_rate,
        "interval_95": list(counts.interval_95),
        "bootstrap_interval_95": _listed(figures.bootstrap_interval_95),
        "standard_error": figures.standard_error,
        "sign_test_p": counts.sign_test_p,
        "num_more_to_settle": counts.num_more_to_settle,
        "length_controlled_win_rate": None if controlled is None else controlled.win_rate,
        "length_controlled_interval_95": None if controlled is None else _listed(controlled.interval_95),
        "agreement_corrected_win_rate": None,
        "agreement_corrected_interval_95": None,
        "judge_accuracy": None,
        "sentence": verdict_in_words(counts, of, against),
    }
    if corrected is not None:
        found["agreement_corrected_win_rate"] = corrected.win_rate
        found["agreement_corrected_interval_95"] = _listed(corrected.interval_95)
        found["judge_accuracy"] = {
            "value": corrected.accuracy,
            "interval_95": _listed(corrected.accuracy_interval_95),
            "num": corrected.num_known,
        }
    found["warnings"] = _warnings(of, against, figures, corrected, num_prompts)
    return found


def _warnings(
    of: str,
    against: str,
    figures: JudgedWinRate,
    corrected: AgreementCorrected | None,
    num_prompts: int,
) -> list[str]:
    said = []
    counts, controlled = figures.counts, figures.length_controlled
    if counts.win_rate is None:
        return []
    if num_prompts < _FEW_PROMPTS:
        few = "1 prompt is" if num_prompts == 1 else f"{num_prompts} prompts are"
        said.append(f"{few} few: the interval is as wide as that makes it.")
    if controlled is not None and counts.num_wins + counts.num_losses:
        said += controlled.warnings
        if counts.is_settled and controlled.win_rate is not None and controlled.interval_95 is not None:
            won = counts.interval_95[0] > 0.5
            low, high = controlled.interval_95
            if low <= 0.5 if won else high >= 0.5:
                leader, other = (of, against) if won else (against, of)
                said.append(
                    f"At equal lengths the win rate of {of} is {controlled.win_rate:.1%} "
                    f"({interval_in_words(controlled.interval_95)}): that {leader} is preferred to {other} "
                    "may be its length."
                )
    if corrected is not None:
        said += _of_correction(of, counts.is_settled, corrected)
    return said


def _of_correction(of: str, is_settled: bool, corrected: AgreementCorrected) -> list[str]:
    if corrected.win_rate is None or corrected.interval_95 is None:
        return [f"The win rate is not corrected for the judge's errors: {corrected.reason}."]
    low, high = corrected.interval_95
    if is_settled and low <= 0.5 <= high:
        return [
            f"The judge agrees with people on {corrected.accuracy:.0%} of {corrected.num_known} comparisons. "
            f"With its errors taken out the win rate of {of} is {corrected.win_rate:.1%} "
            f"({interval_in_words(corrected.interval_95)}), which holds 50%."
        ]
    return []


def ranking(contests: Sequence[Contest], judgements: Judgements, *, seed: int = 0) -> dict[str, Any]:
    """All models by Bradley-Terry strength in log-odds, best first; None of two, or where nothing was judged.

    `ranking_notes` says what a reader of the figures must know.
    """
    games = []
    for contest in contests:
        verdict = judgements.of(contest.comparison)
        if verdict is not None and verdict.preferred is not None:
            score = score_of_a(verdict.preferred)
            games.append(Game(contest.against, contest.of, score, names_of(contest.comparison).prompt_id))
    if len({name for contest in contests for name in (contest.of, contest.against)}) < 3 or not games:
        return {"ranking": None, "ranking_notes": []}
    found = rank(games, seed=seed).as_dict()
    players = [{"model": player.pop("name"), **player} for player in found["players"]]
    return {"ranking": players, "ranking_notes": found["notes"]}


def verdict_on(win_rates: Sequence[dict[str, Any]], base: str) -> str:
    """What may be said in the end: of two models the sentence on them, of more who is beyond the baseline.

    Of several, each is another chance to err: a claim has to stand with all their sign tests taken together.
    """
    against_base = [row for row in win_rates if row["against"] == base]
    if len(against_base) == 1:
        return str(against_base[0]["sentence"])
    judged = {row["of"]: row for row in against_base if row["win_rate"] is not None}
    if not judged:
        return "Nothing can be said: all verdicts are missing."
    ahead = [name for name, row in judged.items() if row["interval_95"][0] > 0.5]
    behind = [name for name, row in judged.items() if row["interval_95"][1] < 0.5]
    shown = shown_together({name: row["sign_test_p"] for name, row in judged.items()})
    alone = [name for name in (*ahead, *behind) if name not in shown]
    looks = f"{len(judged)} sign tests taken together"
    said_of = {
        f"preferred to {base}: ": [name for name in ahead if name in shown],
        f"less preferred than {base}: ": [name for name in behind if name in shown],
        f"apart from {base} by an interval of its own, but not with {looks}: ": alone,
        f"no difference from {base} is shown for ": [n for n in judged if n not in (*ahead, *behind)],
        "no verdict on ": [row["of"] for row in against_base if row["of"] not in judged],
    }
    sentence = "; ".join(said + ", ".join(names) for said, names in said_of.items() if names)
    return f"{sentence[0].upper()}{sentence[1:]} (95% intervals, {looks})."


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
