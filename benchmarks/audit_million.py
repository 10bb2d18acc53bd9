"""How long `palate data audit` takes on a million pairs, and how much memory: measured in child processes.

    python benchmarks/audit_million.py [--rows 1000000] [--folder FOLDER]

The pairs are made of invented words: a prompt of 60 to 200 characters and sides of 300 to 500, with some rows
repeated, exactly or nearly, so that every check has work. The audit is timed from the start of the process to
its end, Python's own start included, without near duplicates (`--no-near-duplicates`) and with them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

__all__ = ["main", "make_pairs", "measure"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SHARE_REPEATED = 0.01


def make_pairs(path: Path, num_rows: int, seed: int = 1) -> None:
    """Write the pairs as JSONL. One row in a hundred repeats an earlier one, and one nearly does."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(_LETTERS, k=rng.randint(2, 9))) for _ in range(20_000)]

    def text(shortest: int, longest: int) -> str:
        wanted = rng.randint(shortest, longest)
        return " ".join(rng.choices(words, k=1 + wanted // 6))[:wanted].strip().capitalize() + "."

    recent: list[dict[str, str]] = []
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_rows):
            row = {"prompt": text(60, 200), "chosen": text(300, 500), "rejected": text(300, 500)}
            if recent and rng.random() < _SHARE_REPEATED:
                row = rng.choice(recent)
            elif recent and rng.random() < _SHARE_REPEATED:
                row = {name: f"{value} Now." for name, value in rng.choice(recent).items()}
            if number % 100 == 0:
                recent = [*recent[-99:], row]
            file.write(json.dumps(row) + "\n")


def measure(path: Path, *options: str) -> dict[str, Any]:
    """Audit a file in a child; seconds on the wall and of the processor, and the most memory it had."""
    arguments = [sys.executable, "-m", "palate", "data", "audit", str(path), "--json", *options]
    start = time.monotonic()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.execv(sys.executable, arguments)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as output:
        said = output.read()
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}")
    audit = json.loads(said)
    return {
        "options": list(options),
        "num_rows": audit["num_rows"],
        "wall_seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_rss_gb": round(usage.ru_maxrss / 1e6, 3),  # Linux counts it in KiB
        "findings": {finding["check"]: finding["count"] for finding in audit["findings"]},
    }


def main() -> None:
    """Make the file, audit it twice, print the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to make the file; a temporary folder if absent")
    given = parser.parse_args()
    if given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "pairs.jsonl"
        make_pairs(path, given.rows)
        size = path.stat().st_size
        print(f"{given.rows:,} pairs, {size / 1e9:.2f} GB, load before {os.getloadavg()[0]:.1f}", flush=True)
        for options in (("--no-near-duplicates",), ()):
            print(json.dumps(measure(path, *options)), f"load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
