"""What `inspect_source` says."""

from __future__ import annotations

import json

from palate.data import inspect_source
from palate.recipe import SourceOptions


def test_everything_by_hand(write):
    good = {"prompt": "1?", "chosen": "yes", "rejected": "no"}
    rows = [good, good | {"chosen": ""}, good | {"rejected": "yes"}] + [good | {"chosen": ""}] * 7
    path = write("rows.jsonl", rows)
    found = inspect_source(SourceOptions(source=path))
    assert found == {
        "layout": "strings",
        "kind": "pairs",
        "num_rows": 10,
        "num_kept": 1,
        "num_set_aside": 9,
        "counts": {"num_prompts": 1},
        "examples": [
            {
                "source": path,
                "line": 1,
                "prompt": [{"role": "user", "content": "1?"}],
                "chosen": [{"role": "assistant", "content": "yes"}],
                "rejected": [{"role": "assistant", "content": "no"}],
            }
        ],
        "set_aside": [
            {"reason": '"chosen" is empty', "count": 8, "places": [f"{path}:{n}" for n in (2, 4, 5, 6, 7)]},
            {"reason": "chosen and rejected are identical", "count": 1, "places": [f"{path}:3"]},
        ],
    }
    assert json.loads(json.dumps(found)) == found


def test_only_a_few_examples(write):
    rows = [{"prompt": f"{i}?", "chosen": "yes", "rejected": "no"} for i in range(50)]
    assert [e["line"] for e in inspect_source(SourceOptions(source=write("rows.csv", rows)))["examples"]] == [
        2,
        3,
        4,
    ]


def test_labels_are_counted_each_way(write):
    rows = [{"prompt": f"{i % 2}?", "completion": f"{i}", "label": i < 3, "w": i} for i in range(5)]
    found = inspect_source(SourceOptions(source=write("rows.json", rows), weight_column="w"))
    assert found["kind"] == "labels"
    assert found["counts"] == {"num_prompts": 2, "num_desirable": 2, "num_undesirable": 2}
    assert found["weight"] == {"min": 1.0, "median": 2.5, "max": 4.0}
    assert "margin" not in found
    assert found["examples"][0]["completion"] == [{"role": "assistant", "content": "1"}]
    assert [example["label"] for example in found["examples"]] == [True, True, False]


def test_rankings_are_counted_by_length(write):
    scores = [[1, 2, 3], [1, 2, 2], [5, 5, 1], [1, 1, 1]]
    rows = [{"prompt": f"{i}?", "completions": ["a", "b", "c"], "scores": s} for i, s in enumerate(scores)]
    rows.append({"prompt": "9?", "completions": ["a", "a", "b"], "scores": [3, 2, 1]})
    found = inspect_source(SourceOptions(source=write("rows.json", rows)))
    assert (found["kind"], found["num_kept"], found["num_set_aside"]) == ("rankings", 4, 1)
    assert found["counts"] == {
        "num_prompts": 4,
        "num_completions": {"2": 1, "3": 3},
        "num_repeated": 1,
        "num_pairs": 3 + 2 + 2 + 1,
        "num_tied": 2,
        "num_below_gap": 0,
    }
    assert [[m["content"] for m in c] for c in found["examples"][0]["completions"]] == [["c"], ["b"], ["a"]]
    assert json.loads(json.dumps(found)) == found


def test_margins_have_a_spread_unless_no_row_is_left(write):
    rows = [{"prompt": "1?", "chosen": "yes", "rejected": f"no {i}", "gap": i} for i in (0, 4, 1)]
    options = {"margin_column": "gap"}
    found = inspect_source(SourceOptions(source=write("rows.json", rows), **options))
    assert found["margin"] == {"min": 0.0, "median": 1.0, "max": 4.0}
    spoilt = [row | {"gap": "?"} for row in rows]
    assert inspect_source(SourceOptions(source=write("rows.json", spoilt), **options))["margin"] is None
