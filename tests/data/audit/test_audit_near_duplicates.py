"""Near duplicates: signatures against other implementations, and rows made alike by hand."""

from __future__ import annotations

import numpy as np
from auditing_rows import finding_of, lines_of, make_clean_rows, pair, sentence
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from palate.data.audit.minhash import NUM_PERMUTATIONS, jaccard, shingles, signatures


def _sets(text: str) -> set[str]:
    return {text[place : place + 5] for place in range(len(text) - 4)} or {text}


@given(st.lists(st.text(), min_size=1, max_size=6))
def test_there_is_a_hash_for_each_run_of_five(texts):
    hashes, starts = shingles(texts)
    parts = np.split(hashes, starts[1:])
    assert [len(part) for part in parts] == [max(1, len(text) - 4) for text in texts]
    for text, part in zip(texts, parts, strict=True):
        assert np.array_equal(part, shingles([text])[0])  # whatever stands beside it
        if len(text) >= 5:
            assert len(set(part.tolist())) == len(_sets(text))


def _alike(rng, num: int = 40) -> list[tuple[str, str]]:
    """Pairs of texts from nearly the same to nothing in common."""
    pairs = []
    for place in range(num):
        words = sentence(rng, 60).split()
        other = [word if rng.random() > place / num else sentence(rng, 1) for word in words]
        pairs.append((" ".join(words), " ".join(other)))
    return pairs


def test_signatures_agree_as_often_as_sets_do():
    """A signature of 64 values is off by at most 0.0625 in one standard error; datasketch's no less."""
    import random

    ours, theirs, truth = [], [], []
    for one, other in _alike(random.Random(7), 120):
        hashes, starts = shingles([one, other])
        first, second = signatures(hashes, starts)
        ours.append(float((first == second).mean()))
        sets = _sets(one), _sets(other)
        truth.append(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))
        peers = [MinHash(NUM_PERMUTATIONS) for _ in sets]
        for peer, shingle_set in zip(peers, sets, strict=True):
            peer.update_batch([shingle.encode() for shingle in shingle_set])
        theirs.append(peers[0].jaccard(peers[1]))
        both = [np.unique(part) for part in np.split(hashes, starts[1:])]
        assert jaccard(*both) == truth[-1]
    error, peer_error = (np.array(found) - np.array(truth) for found in (ours, theirs))
    assert abs(error.mean()) < 0.02
    assert error.std() < 0.0625
    assert error.std() < 1.5 * peer_error.std()


def _near(text: str) -> str:
    """The text with another last word."""
    return text.rpartition(" ")[0] + " otherwise."


def _long_rows() -> list[dict[str, str]]:
    import random

    rng = random.Random(9)
    return [
        pair(sentence(rng, 20), sentence(rng, rng.randint(30, 40)), sentence(rng, rng.randint(30, 40)))
        for _ in range(60)
    ]


def test_a_row_whose_every_text_was_touched(audit_rows):
    rows = _long_rows()
    rows.append({name: _near(text) for name, text in rows[4].items()})
    finding = finding_of(audit_rows(rows), "duplicate_near")
    assert (finding.severity, finding.count, finding.num_kept) == ("warning", 1, 1)
    assert (finding.figures["num_near_rows"], finding.figures["num_near_prompts"]) == (1, 1)
    assert lines_of(finding) == [[61, 5], [61, 5]]


def test_other_answers_to_nearly_the_same_prompt_are_near_prompts_only(audit_rows):
    rows = _long_rows()
    rows.append({**make_clean_rows(1, 77)[0], "prompt": _near(rows[4]["prompt"])})
    finding = finding_of(audit_rows(rows), "duplicate_near")
    assert (finding.severity, finding.count) == ("info", 1)
    assert (finding.figures["num_near_rows"], finding.figures["num_near_prompts"]) == (0, 1)


def test_rows_that_share_two_thirds_are_none(audit_rows):
    rows, others = _long_rows(), make_clean_rows(3, 88)
    for number, other in enumerate(others):
        row = rows[number]
        rows.append({name: text[: int(len(text) * 0.75)] + other[name] for name, text in row.items()})
    assert "duplicate_near" not in {finding.check for finding in audit_rows(rows).findings}


def test_a_pair_turned_round_is_none(audit_rows):
    rows = _long_rows()
    rows.append(pair(rows[4]["prompt"], _near(rows[4]["rejected"]), _near(rows[4]["chosen"])))
    assert "duplicate_near" not in {finding.check for finding in audit_rows(rows).findings}


def test_ten_pairs_over_five_completions_of_a_long_prompt_are_none(audit_rows):
    rows = _long_rows()
    titles = [row["chosen"][:60] for row in make_clean_rows(5, 31)]
    rows += [
        pair(rows[0]["prompt"] + " At length.", titles[a], titles[b])
        for a in range(5)
        for b in range(a + 1, 5)
    ]
    found = {finding.check: finding for finding in audit_rows(rows).findings}
    assert found["duplicate_near"].figures["num_near_rows"] == 0
    assert "duplicate_exact" not in found


def test_exact_repeats_are_not_near_ones_too(audit_rows):
    rows = _long_rows()
    found = {finding.check for finding in audit_rows([*rows, rows[3]]).findings}
    assert found == {"duplicate_exact"}


def test_languages_without_spaces(audit_rows):
    text = "".join(chr(0x4E00 + (place * 7919) % 5000) for place in range(400))
    parts = [text[place : place + 60] for place in range(0, 360, 60)]
    rows = [*_long_rows(), pair(*parts[:3]), pair(*(part[:-1] + "\u4e01" for part in parts[:3]))]
    assert finding_of(audit_rows(rows), "duplicate_near").figures["num_near_rows"] == 1


def test_a_held_out_prompt_near_one_that_is_trained_on(audit_rows):
    rows, held_out = _long_rows(), make_clean_rows(5, 2)
    held_out[2]["prompt"] = _near(rows[6]["prompt"])
    finding = finding_of(audit_rows(rows, held_out), "duplicate_near")
    assert (finding.severity, finding.count) == ("warning", 1)
    assert lines_of(finding) == [[3, 7]]


def test_a_template_does_not_make_prompts_alike(audit_rows, clean_rows):
    template = "Given the idea that follows, write a title that many people would like to click on, please: "
    rows = [{**row, "prompt": template + row["prompt"][:24]} for row in clean_rows]
    assert "duplicate_near" not in {finding.check for finding in audit_rows(rows).findings}
    rows.append({**make_clean_rows(1, 77)[0], "prompt": rows[3]["prompt"] + "s"})
    assert finding_of(audit_rows(rows), "duplicate_near").figures["num_near_prompts"] == 1


def test_a_thousand_alike_are_all_found(audit_rows):
    base = _long_rows()[0]
    rows = [{name: f"{text} {place}" for name, text in base.items()} for place in range(1000)]
    assert finding_of(audit_rows(rows), "duplicate_near").figures["num_near_rows"] == 999
