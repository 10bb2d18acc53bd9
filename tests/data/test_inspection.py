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
        "num_rows": 10,
        "num_kept": 1,
        "num_set_aside": 9,
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
