"""Rows for tests of the audit, and what they ask of its result."""

from __future__ import annotations

import random

from palate.data.audit import Audit, Finding

_SYLLABLES = [
    "ba",
    "con",
    "der",
    "fi",
    "gul",
    "hem",
    "jo",
    "kra",
    "lin",
    "mo",
    "nep",
    "or",
    "pis",
    "tu",
    "vel",
]


def sentence(rng: random.Random, num_words: int) -> str:
    """Invented words, so that no two sentences share a phrase."""
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 3))) for _ in range(num_words)]
    return " ".join(words).capitalize() + "."


def make_clean_rows(num: int, seed: int = 1) -> list[dict[str, str]]:
    """Pairs with prompts of their own, and sides that differ in nothing that can be counted."""
    rng = random.Random(seed)
    return [
        {
            "prompt": sentence(rng, rng.randint(6, 14)),
            "chosen": sentence(rng, rng.randint(10, 30)),
            "rejected": sentence(rng, rng.randint(10, 30)),
        }
        for _ in range(num)
    ]


def finding_of(audit: Audit, check: str) -> Finding:
    """The one finding of a check."""
    (finding,) = [finding for finding in audit.findings if finding.check == check]
    return finding


def lines_of(finding: Finding) -> list[list[int]]:
    """The lines of each example: its own, and those of what stands with it."""
    examples = [[example, *example.get("with", [])] for example in finding.examples]
    return [[int(part["place"].rpartition(":")[2]) for part in example] for example in examples]


def pair(prompt: str, chosen: str, rejected: str) -> dict[str, str]:
    """A row."""
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}
