"""What the audit finds in public files, where they are at hand; their text stays where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from palate.data import stream_records
from palate.data.audit import Audit, audit_source
from palate.recipe import SourceOptions

FOLDER = Path(__file__).parents[3].parent / "shared" / "data"


def audited(name: str) -> Audit:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{name} is not at hand: it is looked for in ../shared/data")
    return audit_source(stream_records(SourceOptions(source=str(path))))


def counts(audit: Audit) -> dict[str, int]:
    return {finding.check: finding.count for finding in audit.findings}


def test_sixty_eight_triads_of_titles_go_round():
    """The figure of the file as counted triple by triple: 114 ideas of five titles have 1,140 triads."""
    audit = audited("youtube_titles/preferences.csv")
    (triads,) = [finding for finding in audit.findings if finding.check == "circular_triad"]
    assert (triads.count, triads.figures["num_triads"], triads.figures["num_prompts"]) == (68, 1140, 41)
    assert not audit.has_errors


def test_an_eighth_of_the_published_triples_prefers_nothing():
    audit = audited("llm_twin/preference_datasets.json")
    assert (audit.num_rows, audit.num_kept, audit.num_set_aside) == (402, 346, 56)
    found = counts(audit)
    assert (found["identical_pair"], found["set_aside"], found["length_bias"]) == (56, 56, 321)


def test_dialogues_with_an_empty_side():
    assert counts(audited("hh_harmless/first_1000.jsonl.gz"))["empty_side"] == 3
