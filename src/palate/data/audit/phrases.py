"""`one_sided_phrase`: openings, closings and stock phrases that one side has and the other has not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from palate.data.audit.check import AuditedRecord, Check
from palate.data.audit.finding import MAX_EXAMPLES, CheckName, Finding
from palate.data.audit.holders import Holders
from palate.data.audit.set_aside import rows
from palate.data.excerpts import excerpt
from palate.records import Labelled

__all__ = ["OneSidedPhrases", "difference_in_deviations"]

_KNOWN = re.compile(
    r"(?P<refusal>\b(?:I(?:['’]m| am) (?:very |so )?sorry,? (?:but )?I|I (?:cannot|can['’]?t|can not|"
    r"won['’]?t|am unable to|am not able to) (?:help|assist|provide|answer|comply|fulfil|do that|"
    r"discuss|engage|create|write|generate)|I['’]m unable to|I must decline)|(?:对不起|對不起)，?我"
    r"|抱歉，?我(?:不能|无法|無法)|我(?:无法|無法)(?:提供|回答|协助|協助))"
    r"|(?P<speaks_as_ai>\bas an? (?:AI|artificial intelligence|(?:large )?language model)\b"
    r"|作为(?:一个|一名)?(?:AI|人工智能|语言模型)|作為(?:一個|一名)?(?:AI|人工智慧|語言模型))"
    r"|(?P<eager_opening>\A\W*(?:Certainly|Sure|Of course|Absolutely|Great question|Happy to help)\b"
    r"|\A(?:当然|當然|好的)[，！。,!])"
    r"|(?P<here_is>\A\W*Here(?:['’]s| is| are)\b)"
    r"|(?P<eager_closing>(?:I hope (?:this|that) helps|let me know if|feel free to (?:ask|reach)|"
    r"is there anything else|希望(?:这|這)?.{0,6}(?:帮助|幫助|有用))[^\n]{0,80}\Z)",
    re.IGNORECASE,
)
_OPENINGS = (
    "certainly", "sure", "of course", "absolutely", "great question", "happy to help", "here",
    "当然", "當然", "好的",
)  # fmt: skip
_HINTS = (
    "sorry", "cannot", "can't", "can’t", "cant ", "can not", "won't", "won’t", "unable", "not able",
    "decline", "language model", "as an a", "hope th", "let me know", "feel free", "anything else",
    "不起", "抱歉", "无法", "無法", "作为", "作為", "希望",
)  # fmt: skip
_HEAD, _TAIL, _REACH = 300, 160, 64
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[!?:]")
_SIGNS = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
_LENGTHS = (3, 4, 5)
_MAX_PHRASES = 60_000
_MAX_SAMPLE = 8192
_MIN_COUNT = 20
_MIN_DIFFERENCE = 0.03
_MIN_RATIO = 2.0
_CHANCE = 0.001
_MAX_REPORTED = 20


def difference_in_deviations(num_liked: int, of_liked: int, num_other: int, of_other: int) -> float:
    """z of the difference of two shares, with the pooled share's deviation (two-proportion z-test).

    Positive where the first share is larger; 0 where either has no rows or the pooled share is 0 or 1.
    """
    if not of_liked or not of_other:
        return 0.0
    pooled = (num_liked + num_other) / (of_liked + of_other)
    variance = pooled * (1 - pooled) * (1 / of_liked + 1 / of_other)
    return (num_liked / of_liked - num_other / of_other) / math.sqrt(variance) if variance > 0 else 0.0


@dataclass(slots=True)
class _Seen:
    """How many rows have a phrase on each side, and the first of them."""

    number: int
    """The phrase's own, never given to another."""
    liked: int
    other: int
    place: str


class _DistinctPrompts:
    """About how many different prompts there were, from a sample of their names that stays small."""

    def __init__(self) -> None:
        self._sample: set[int] = set()
        self._mask = 0

    def add(self, key: int) -> None:
        if key & self._mask:
            return
        self._sample.add(key)
        if len(self._sample) > _MAX_SAMPLE:
            self._mask = self._mask * 2 + 1
            self._sample = {kept for kept in self._sample if not kept & self._mask}

    def estimate(self) -> int:
        return max(1, len(self._sample) * (self._mask + 1))


class OneSidedPhrases(Check):
    """What completions open and close with, on the preferred side against the other.

    Of rankings the best is held against the worst. Rows of one prompt are not independent: deviations are
    divided by the square root of the rows a prompt has, as if such rows were one. Phrases are counted in
    bounded memory: above 60,000 the rarest are forgotten, so that one may be counted too low, never too high.
    """

    name: CheckName = "one_sided_phrase"

    def __init__(self) -> None:
        self._phrases: dict[tuple[str, str], _Seen] = {}
        self._num_named = 0
        self._holders = Holders()
        self._num = {True: 0, False: 0}
        self._prompts = _DistinctPrompts()
        self._num_rows = 0
        self._forgot = False

    def see(self, record: AuditedRecord) -> None:
        if record.side != "train":
            return
        self._num_rows += 1
        self._prompts.add(record.asked_key)
        said, last = record.record, len(record.completions) - 1
        sides = [(said.desirable, 0)] if isinstance(said, Labelled) else [(True, 0), (False, last)]
        for liked, number in sides:
            self._num[liked] += 1
            turns = [turn.content for turn in record.completions[number] if turn.role == "assistant"]
            for key in set(_phrases_of(turns[0], turns[-1])) if turns else ():
                seen = self._phrases.get(key)
                if seen is None:
                    seen = self._phrases[key] = _Seen(self._num_named, 0, 0, record.place)
                    self._num_named += 1
                self._holders.add(seen.number, self._num_rows)
                if liked:
                    seen.liked += 1
                else:
                    seen.other += 1
        if len(self._phrases) > _MAX_PHRASES:
            self._forget_rare()

    def _forget_rare(self) -> None:
        """Half of them have to go, or forgetting would be all that is done."""
        self._forgot, least = True, 1
        while len(self._phrases) > _MAX_PHRASES // 2:
            self._phrases = {
                key: seen for key, seen in self._phrases.items() if seen.liked + seen.other > least
            }
            least *= 2
        self._holders.forget_others([seen.number for seen in self._phrases.values()])

    def findings(self) -> Iterator[Finding]:
        found = self._found()
        if not found:
            return
        told = "; ".join(self._in_words(phrase) for phrase in found[:3])
        num = self._holders.num_rows([seen.number for _, _, seen in found])
        which = (
            "a phrase that one side has far more often than the other"
            if len(found) == 1
            else f"one or more of {len(found)} phrases that one side has far more often than the other"
        )
        yield Finding(
            self.name,
            "warning",
            num,
            tuple(self._as_example(phrase) for phrase in found[:MAX_EXAMPLES]),
            f"{rows(num)} of {self._num_rows:,} hold{'s' if num == 1 else ''} {which}: {told}. Such a phrase "
            "is learned before anything that took judgement.",
            "Drop the phrase from the completions, or rows where only one side has it. Leave it where the "
            "phrase is the taste.",
            {
                "num_rows": self._num_rows,
                "num_phrases": len(found),
                "rows_a_prompt": self._rows_a_prompt(),
                "num_preferred": self._num[True],
                "num_other": self._num[False],
                "num_phrases_tested": len(self._tested()),
                "phrases_forgotten": self._forgot,
                "phrases": [self._figures(phrase) for phrase in found],
            },
            num,
        )

    def _tested(self) -> list[tuple[tuple[str, str], _Seen]]:
        least = {"opening": _MIN_COUNT, "closing": _MIN_COUNT}
        return [
            (key, seen)
            for key, seen in self._phrases.items()
            if seen.liked + seen.other >= least.get(key[0], _MIN_COUNT // 2)
        ]

    def _rows_a_prompt(self) -> float:
        return max(1.0, self._num_rows / self._prompts.estimate())

    def _found(self) -> list[tuple[float, tuple[str, str], _Seen]]:
        """Phrases whose shares differ beyond chance (Bonferroni over all that were tested) and by enough."""
        tested = self._tested()
        of_liked, of_other = self._num[True], self._num[False]
        differing = []
        for key, seen in tested:
            z = difference_in_deviations(seen.liked, of_liked, seen.other, of_other)
            z /= math.sqrt(self._rows_a_prompt())
            if z == 0 or math.erfc(abs(z) / math.sqrt(2)) * len(tested) > _CHANCE:
                continue
            one, other = sorted((seen.liked / of_liked, seen.other / of_other))
            if other - one >= _MIN_DIFFERENCE and other >= _MIN_RATIO * one:
                differing.append((z, key, seen))
        differing.sort(key=lambda item: (-abs(item[0]), -len(item[1][1])))
        kept: list[tuple[float, tuple[str, str], _Seen]] = []
        for z, key, seen in differing:
            if not any(_says_the_same(key, earlier) for _, earlier, _ in kept):
                kept.append((z, key, seen))
        return kept[:_MAX_REPORTED]

    def _figures(self, phrase: tuple[float, tuple[str, str], _Seen]) -> dict[str, Any]:
        z, (kind, text), seen = phrase
        return {
            "kind": kind,
            "phrase": excerpt(text, 80),
            "num_preferred": seen.liked,
            "num_other": seen.other,
            "share_preferred": seen.liked / self._num[True],
            "share_other": seen.other / self._num[False],
            "z": z,
        }

    def _as_example(self, phrase: tuple[float, tuple[str, str], _Seen]) -> dict[str, Any]:
        return {"place": phrase[2].place, "text": self._in_words(phrase)}

    def _in_words(self, phrase: tuple[float, tuple[str, str], _Seen]) -> str:
        _, (kind, text), seen = phrase
        named = f'{kind} "{excerpt(text, 60)}"' if text else kind.replace("_", " ")
        of_liked, of_other = self._num[True], self._num[False]
        return f"{named} in {seen.liked / of_liked:.1%} of preferred, {seen.other / of_other:.1%} of others"


def _says_the_same(key: tuple[str, str], earlier: tuple[str, str]) -> bool:
    """Whether one is a longer form of the other."""
    (kind, text), (other_kind, other) = key, earlier
    if kind != other_kind or not text:
        return False
    if kind == "opening":
        return text.startswith(other) or other.startswith(text)
    return text.endswith(other) or other.endswith(text)


def _phrases_of(first: str, last: str) -> Iterator[tuple[str, str]]:
    """Stock phrases, the first three to five words of the first turn, and the last ones of the last."""
    head, tail = first[:_HEAD], last[-_TAIL:]
    for text in (head,) if first is last and len(first) <= _HEAD else (head, tail):
        plain = text.lower()
        if not plain.lstrip(" \n\"'*").startswith(_OPENINGS) and not any(h in plain for h in _HINTS):
            continue  # a substring is found many times faster than the pattern matches
        for known in _KNOWN.finditer(text):
            kind = str(known.lastgroup)
            opens = kind in ("eager_opening", "here_is")
            closes = kind == "eager_closing"
            # What begins or ends a piece of a text may stand in the midst of the text.
            if (opens and text is not head) or (closes and text is head and len(last) > _HEAD):
                continue
            yield kind, ""
    for kind, text in (("opening", head), ("closing", tail)):
        units = _units(text, kind)
        for length in _LENGTHS:
            if len(units) > length:
                part = units[:length] if kind == "opening" else units[-length:]
                yield kind, " ".join(part)


def _units(text: str, kind: str) -> list[str]:
    """Words, of a language without spaces between them pairs of signs; enough for the longest phrase."""
    text = text[:_REACH] if kind == "opening" else text[-_REACH:]
    if not text.isascii() and len(_SIGNS.findall(text)) * 2 > len(text):
        signs = "".join(text.split())
        return [signs[i : i + 2] for i in range(len(signs) % 2 if kind == "closing" else 0, len(signs), 2)]
    return [word.casefold() for word in _WORD.findall(text)]
