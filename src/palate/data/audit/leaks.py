"""What the held-out rows share with those to train on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from palate.data.audit.draft import Draft
from palate.data.audit.finding import MAX_EXAMPLES
from palate.data.audit.index import Keys, Numbers, RowIndex

__all__ = ["leaked_completions", "leaked_prompts"]


def leaked_prompts(index: RowIndex) -> Iterator[Draft]:
    """Held-out rows whose prompt is trained on, also in other case, spaces or punctuation."""
    train, held_out = index.rows("train"), index.rows("eval")
    leaked = held_out[np.isin(index.prompt[held_out], index.prompt[train])]
    if not len(leaked):
        return
    num, share = len(leaked), len(leaked) / len(held_out)
    num_exact = int(np.isin(index.asked[leaked], index.asked[train]).sum())
    earlier = _first_with(index.prompt[train], index.prompt[leaked[:MAX_EXAMPLES]])
    yield Draft(
        "leak_prompt",
        "error",
        num,
        list(zip(leaked[:MAX_EXAMPLES].tolist(), earlier, strict=True)),
        f"{num:,} of {len(held_out):,} held-out rows ({share:.1%}) {_have(num)} a prompt that is trained on, "
        f"{num - num_exact:,} of them in other case, spaces or punctuation or under another system message. "
        "What is measured on them is memory.",
        "Split by prompt: palate data split FILE -o FOLDER. Or take what the two share out of FILE: palate "
        "data curate FILE -o OUT --against EVAL_FILE --against-parts prompts.",
        {
            "num_prompts": len(np.unique(index.prompt[leaked])),
            "num_exact": num_exact,
            "share_of_eval_rows": share,
        },
    )


def leaked_completions(index: RowIndex) -> Iterator[Draft]:
    """Held-out rows with a completion that is trained on, under whatever prompt."""
    train, held_out = index.rows("train"), index.rows("eval")
    if not len(train) or not len(held_out):
        return
    border = index.start[held_out[0]]
    seen, candidates = index.completions[:border], index.completions[border:]
    leaked = np.isin(candidates, seen)
    if not leaked.any():
        return
    of_row = np.repeat(held_out, np.diff(index.start)[held_out])
    rows = np.unique(of_row[leaked])
    earlier_rows = np.repeat(train, np.diff(index.start)[train])
    first = np.searchsorted(of_row, rows[:MAX_EXAMPLES])
    wanted = [
        candidates[at:][of_row[at:] == row][leaked[at:][of_row[at:] == row]][0]
        for at, row in zip(first, rows, strict=False)
    ]
    earlier = [int(earlier_rows[place]) for place in _first_with(seen, np.array(wanted, np.uint64))]
    num, share = len(rows), len(rows) / len(held_out)
    yield Draft(
        "leak_completion",
        "warning",
        num,
        list(zip(rows[:MAX_EXAMPLES].tolist(), earlier, strict=True)),
        f"{num:,} of {len(held_out):,} held-out rows ({share:.1%}) {_have(num)} a completion that is trained "
        "on. A model that learned which texts win, and not why, may be right on them.",
        "Look for counting_baseline: it is found where this explains held-out accuracy. palate data split "
        "FILE -o FOLDER --group-by-completion holds out completions of their own. Leave it where answers are "
        "few by nature, such as yes and no.",
        {
            "num_completions": int(leaked.sum()),
            "share_of_eval_rows": share,
            **_by_side(index, train, held_out),
        },
    )


def _by_side(index: RowIndex, train: Numbers, held_out: Numbers) -> dict[str, int]:
    """For pairs: how many held-out completions of each side are trained on as either."""
    if index.kind("train") != "pairs" or index.kind("eval") != "pairs":
        return {}
    sides = {"chosen": 0, "rejected": 1}
    return {
        f"num_{now}_that_was_{then}": int(
            np.isin(
                index.completions[index.start[held_out] + sides[now]],
                index.completions[index.start[train] + sides[then]],
            ).sum()
        )
        for now in sides
        for then in sides
    }


def _have(num: int) -> str:
    return "has" if num == 1 else "have"


def _first_with(names: Keys, wanted: Keys) -> list[int]:
    """Where each of a few names stands first."""
    return [int(np.argmax(names == name)) for name in wanted]
