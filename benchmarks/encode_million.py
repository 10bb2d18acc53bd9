"""Rows per second and peak memory of turning pairs into the tokens a training reads.

    python benchmarks/encode_million.py --num-rows 50000          # a first run, and one that finds the table
    python benchmarks/encode_million.py --num-rows 50000 --peer   # trl's DPOTrainer on the same rows
    python benchmarks/encode_million.py --num-rows 50000 --source FOLDER   # another checkout's src folder

The rows are made up, of about 2 x 150 tokens in chat form. Each measurement is a process of its own. A source
folder whose trainings take no stream is given the records in memory, as it would read them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

VOCABULARY = 8192


def write_rows(path: Path, num_rows: int, words: list[str]) -> None:
    """Pairs over as many prompts as rows, 60 words of prompt and 60 of either answer."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_rows):
            prompt, chosen, rejected = (" ".join(rng.choices(words, k=60)) for _ in range(3))
            row = {"prompt": f"{number}: {prompt}", "chosen": chosen, "rejected": rejected}
            file.write(json.dumps(row) + "\n")


def make_tokenizer(folder: Path) -> list[str]:
    """A byte-level BPE tokenizer with ChatML; returns the words it knows best."""
    from palate.playground.tokenizer import build_tokenizer

    rng = random.Random(1)
    syllables = ["ka", "lo", "mi", "ran", "tes", "u", "vor", "el", "in", "sha", "dro", "pe"]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(6000)]
    build_tokenizer(
        (" ".join(rng.choices(words, k=50)) for _ in range(2000)), VOCABULARY, 2048
    ).save_pretrained(folder)
    return words


def encode(data: Path, model: Path) -> dict[str, Any]:
    """What this process takes for it, from the file to the examples in their order."""
    from transformers import AutoTokenizer

    from palate import data as data_room
    from palate.engine import Renderer
    from palate.recipe import parse_recipe
    from palate.train.batches import plan_batches
    from palate.train.encoding import encode_data

    recipe = parse_recipe("output: unused", [f"data.train={{source: {data}}}", "data.eval_fraction=0.01"])
    renderer = Renderer(AutoTokenizer.from_pretrained(model))
    before = peak_bytes()
    started, cpu_started = time.perf_counter(), time.process_time()
    takes_stream = (
        Path(sys.modules["palate.train.encoding"].__file__ or "").parent / "token_store.py"
    ).exists()
    read = data_room.stream_records if takes_stream else data_room.read_records
    train_set, _ = encode_data(recipe, read(recipe.data.train), None, renderer)
    encoded, cpu_seconds = time.perf_counter(), time.process_time() - cpu_started
    plan = plan_batches(train_set.examples, recipe.train, 0)
    first = plan.batch(0)
    planned = time.perf_counter()
    return {
        "num_examples": len(train_set),
        "encode_seconds": round(encoded - started, 2),
        "encode_cpu_seconds": round(cpu_seconds, 2),
        "plan_and_first_batch_seconds": round(planned - encoded, 2),
        "tokens_of_first_pair": sum(len(branch) for branch in first[0].branches),
        "peak_bytes": peak_bytes(),
        "peak_bytes_before": before,
    }


def encode_with_peer(data: Path, model: Path) -> dict[str, Any]:
    """trl's own preparation, as its DPOTrainer does it when it is made."""
    from datasets import load_dataset
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
    from trl import DPOConfig, DPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(model)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = LlamaConfig(vocab_size=len(tokenizer), **shape)
    tiny, reference = LlamaForCausalLM(config), LlamaForCausalLM(config)
    before = peak_bytes()
    started, cpu_started = time.perf_counter(), time.process_time()
    rows = load_dataset("json", data_files=str(data), split="train").map(_as_messages)
    options = DPOConfig(output_dir=str(data.parent / "peer"), max_length=1024, report_to=[], use_cpu=True)
    DPOTrainer(model=tiny, ref_model=reference, args=options, train_dataset=rows, processing_class=tokenizer)
    return {
        "num_examples": len(rows),
        "encode_seconds": round(time.perf_counter() - started, 2),
        "encode_cpu_seconds": round(time.process_time() - cpu_started, 2),
        "peak_bytes": peak_bytes(),
        "peak_bytes_before": before,
    }


def _as_messages(row: dict[str, str]) -> dict[str, Any]:
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    return {name: [{"role": role, "content": row[name]}] for name, role in roles.items()}


def peak_bytes() -> int:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(what: str, folder: Path, source: Path) -> dict[str, Any]:
    """One measurement in a process of its own."""
    environment = dict(os.environ, PALATE_HOME=str(folder / "home"), PYTHONPATH=str(source))
    environment |= {"HF_HOME": str(folder / "hf"), "TRL_EXPERIMENTAL_SILENCE": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--child", what, "--folder", str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    found["rows_per_second"] = round(found["num_examples"] / found["encode_seconds"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--num-rows", type=int, default=50_000)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--source", type=Path, default=Path(__file__).parents[1] / "src")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--child", choices=("encode", "peer"))
    asked = parser.parse_args()
    if asked.child:
        work = encode if asked.child == "encode" else encode_with_peer
        print(json.dumps(work(asked.folder / "rows.jsonl", asked.folder / "tokenizer")))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_rows(folder / "rows.jsonl", asked.num_rows, make_tokenizer(folder / "tokenizer"))
        names = ["peer"] if asked.peer else ["encode", "encode"]
        for name in names:
            print(json.dumps({"what": name, **measured(name, folder, asked.source)}), flush=True)
        tokens = folder / "home" / "tokens"
        if tokens.is_dir():
            size = sum(file.stat().st_size for file in tokens.rglob("*") if file.is_file())
            print(
                json.dumps({"bytes_on_disk": size, "bytes_of_rows": (folder / "rows.jsonl").stat().st_size})
            )


if __name__ == "__main__":
    main()
