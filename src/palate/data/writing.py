"""Pairs to a file that Palate, `datasets` and other trainers read as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from palate.records import Messages, Pair

__all__ = ["write_pairs_jsonl"]


def write_pairs_jsonl(pairs: Iterable[Pair], path: Path) -> None:
    """One pair a line: prompt, chosen and rejected as message lists, and where the pair came from."""
    lines = [
        json.dumps(
            {
                "prompt": _plain(pair.prompt),
                "chosen": _plain(pair.chosen),
                "rejected": _plain(pair.rejected),
                "provenance": dict(pair.provenance.detail),
            },
            ensure_ascii=False,
        )
        for pair in pairs
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    temporary.replace(path)


def _plain(messages: Messages) -> list[dict[str, str]]:
    return [message.as_dict() for message in messages]
