"""The embedded playground: an invented world and a tiny model that lives in it, for the demo and the tests.

    folder = model_folder()                     # trained on first use, about a minute, then cached
    pairs = write_pairs()                       # a JSONL file of preference pairs
    prompts = held_out_prompts(32)              # never trained on by anything
    preferred_style(prompts[0], "Oh, dear ...") # 1.0 or 0.0

The base model answers every question in one of two voices, about equally often. The preferences favour the
hearth, a warm innkeeper, over the ledger, a dry clerk; both state the same facts. See docs/playground.md.
"""

from __future__ import annotations

import json
from pathlib import Path

from palate.home import palate_home
from palate.playground import corpus
from palate.playground.cache import file_made_once, folder_made_once, model_key, write_whole
from palate.playground.style import StyleName, style_of
from palate.playground.training import OnProgress, Settings, train_into
from palate.playground.world import question_asked
from palate.records import Message, Messages

__all__ = [
    "StyleName",
    "held_out_prompts",
    "is_correct",
    "model_folder",
    "palate_home",
    "preferred_style",
    "style_of",
    "training_prompts",
    "write_pairs",
]

_NUM_PAIR_PROMPTS = 450
_ANSWERS_PER_VOICE = 2
_PAIRS_SEED = 0


def model_folder(on_progress: OnProgress | None = None, *, settings: Settings | None = None) -> Path:
    """A Hugging Face folder with the base model and its tokenizer, trained on first use and cached.

    `on_progress(step, num_steps, loss)` is called while it trains, and never when the cache has it.
    """
    settings = settings or Settings()

    def train(folder: Path) -> None:
        train_into(folder, settings, on_progress)

    return folder_made_once(palate_home() / "playground" / f"model-{model_key(settings)}", train)


def write_pairs(path: str | Path | None = None) -> Path:
    """A JSONL file of preference pairs, as message lists: at `path`, or cached where none is given.

    Each prompt has two answers in either voice, every one of them against every one of the other.
    """
    if path is not None:
        write_whole(Path(path), _pairs_text())
        return Path(path)
    return file_made_once(palate_home() / "playground" / f"pairs-{model_key(Settings())}.jsonl", _pairs_text)


def training_prompts(num_prompts: int, seed: int = 0) -> list[Messages]:
    """Different prompts that pairs may be made from, drawn by `seed`.

    Raises `DataError` when there are too few.
    """
    return corpus.training_prompts(num_prompts, seed)


def held_out_prompts(num_prompts: int) -> list[Messages]:
    """Prompts about pairs of things that neither the base model nor any pair was made from, always the same.

    Raises `DataError` when there are too few.
    """
    return corpus.held_out_prompts(num_prompts)


def preferred_style(prompt: Messages, answer: str) -> float:
    """1.0 when the answer is in the preferred style, 0.0 when it is in the other or in neither. A judge."""
    return 1.0 if style_of(answer) == "preferred" else 0.0


def is_correct(prompt: Messages, answer: str) -> bool:
    """True when the answer states the two facts that the prompt asks for and no others in their place."""
    question = question_asked(prompt[-1].content)
    return question is not None and question.is_answered_by(answer)


def _pairs_text() -> str:
    rows = (
        {
            "prompt": [message.as_dict() for message in pair.prompt],
            "chosen": [Message("assistant", pair.chosen).as_dict()],
            "rejected": [Message("assistant", pair.rejected).as_dict()],
        }
        for pair in corpus.pairs(_NUM_PAIR_PROMPTS, _ANSWERS_PER_VOICE, _PAIRS_SEED)
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
