"""What Palate writes, `datasets` and trl's trainers take as it is: loaded, tokenised and trained a step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trl

from palate.data import write_records
from palate.records import Labelled, Message, Pair, Provenance, Ranking
from tiny_run import tokenizer, write_base

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

ENDINGS = [".jsonl", ".jsonl.gz", ".parquet"]
PROMPT = (
    Message("system", "Be brief."),
    Message("user", "1?"),
    Message("assistant", "1."),
    Message("user", "2?"),
)


def answer(text: str) -> tuple[Message, ...]:
    return (Message("assistant", text),)


def origin(number: int) -> Provenance:
    """Details of differing keys and types, which a column of objects could not hold."""
    details: list[dict[str, Any]] = [{}, {"judge": "me"}, {"judge": 3}, {"scores": {"a": [1, "b"]}}]
    return Provenance("rows.csv", number + 1, details[number % 4])


PAIRS = [Pair(PROMPT, answer("two"), answer(f"{i}"), origin(i)) for i in range(8)]
LABELS = [Labelled(PROMPT, answer(f"{i}"), i % 2 == 0, origin(i)) for i in range(8)]


def loaded(folder: Path, ending: str, records: list[Any]) -> Any:
    from datasets import load_dataset

    path = folder / f"rows{ending}"
    write_records(records, path)
    reader = "parquet" if ending == ".parquet" else "json"
    return load_dataset(reader, data_files=str(path), split="train", cache_dir=str(folder / "cache"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_base(tmp_path_factory.mktemp("base"))
    tokenizer().save_pretrained(folder)
    return folder


def settings(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "out"),
        "max_steps": 1,
        "per_device_train_batch_size": 4,
        "gradient_checkpointing": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "bf16": False,
        "use_cpu": True,
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_dpo_trainer_takes_pairs(tmp_path: Path, base: Path, ending: str) -> None:
    records = [replace(PAIRS[0], margin=0.5), replace(PAIRS[1], weight=2.0), *PAIRS[2:]]
    rows = loaded(tmp_path, ending, records)
    assert rows.column_names == ["prompt", "chosen", "rejected", "margin", "weight", "provenance"]
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "two"}]
    trainer = trl.DPOTrainer(
        model=str(base),
        args=trl.DPOConfig(**settings(tmp_path)),
        train_dataset=rows,
        processing_class=tokenizer(),
    )
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(0.6931, abs=1e-3)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_kto_trainer_takes_labels(tmp_path: Path, base: Path, ending: str) -> None:
    from trl import KTOConfig, KTOTrainer

    rows = loaded(tmp_path, ending, LABELS)
    assert rows.column_names == ["prompt", "completion", "label", "provenance"]
    assert rows["label"][:2] == [True, False]
    trainer = KTOTrainer(
        model=str(base),
        args=KTOConfig(**settings(tmp_path)),
        train_dataset=rows,
        processing_class=tokenizer(),
    )
    trainer.train()
    assert trainer.state.log_history[0]["loss"] > 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_datasets_takes_rankings(tmp_path: Path, ending: str) -> None:
    scored = Ranking(PROMPT, (answer("b"), answer("a")), origin(0), 1.0, (2.0, 1.0))
    rows = loaded(tmp_path, ending, [scored, replace(scored, scores=None)])
    assert rows[0]["scores"] == [2.0, 1.0]
    assert rows[1]["completions"] == [[{"role": "assistant", "content": text}] for text in "ba"]
