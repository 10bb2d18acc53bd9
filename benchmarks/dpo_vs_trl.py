"""DPO with Palate and with trl's DPOTrainer: speed, memory, and whether the numbers are the same.

    python benchmarks/dpo_vs_trl.py --data preferences.csv --group-by-prompt --json result.json

Each tool runs in a process of its own, on the same rows in the same order, the same random model, the same
initial adapter, the same optimizer settings. `docs/benchmarks.md` says how to read what comes out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from workload import SIZES, Settings

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "trl")


def main() -> None:
    """Run the comparison, or one part of it where this is the process started for that part."""
    args = _arguments()
    if args.part:
        _run_part(args.part, Path(args.folder))
        return
    if find_spec("trl") is None:
        raise SystemExit(
            "trl is not installed; it comes with Palate's development tools: pip install -e '.[dev]'"
        )
    with tempfile.TemporaryDirectory(prefix="palate-benchmark-") as folder:
        result = compare(args, Path(folder))
    if args.json:
        text = json.dumps(result, indent=2) + "\n"
        if args.json == "-":
            sys.stdout.write(text)
        else:
            Path(args.json).write_text(text, encoding="utf-8")
    if args.json != "-":
        print(_as_table(result))


def compare(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All parts, one after the other, and what follows from them."""
    settings = Settings(
        data=str(Path(args.data).resolve()) if args.data else "",
        limit=args.limit,
        num_steps=args.steps + args.warmup_steps,
        num_warmup_steps=args.warmup_steps,
        size=args.size,
        dtype=args.dtype,
        num_threads=args.threads,
        max_length=args.max_length,
        seed=args.seed,
        beta=args.beta,
    )
    (folder / "settings.json").write_text(json.dumps(asdict(settings)), encoding="utf-8")
    facts = _part(folder, f"prepare:{'both' if args.group_by_prompt else 'plain'}", args.threads)
    variants = args.trl_batch.split(",")
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(args.repeats):
        for name in _names(variants, args.group_by_prompt):
            run = _part(folder, name, args.threads)
            run["load_average"] = os.getloadavg()[0]
            runs.setdefault(name, []).append(run)
            speed, peak = run["pairs_per_second"], run["peak_memory_bytes"] / 1e9
            print(f"{name}: {speed:.2f} pairs/s, {peak:.2f} GB", file=sys.stderr)
    typical = {name: _typical(of_name) for name, of_name in runs.items()}
    result: dict[str, Any] = {
        "palate": typical["palate:plain"],
        "trl": typical[f"trl:plain:{variants[0]}"],
        "max_abs_logp_difference": _difference(typical, variants[0], "plain"),
    }
    if args.group_by_prompt:
        result["palate_grouped"] = typical["palate:grouped"]
        result["trl_grouped"] = typical[f"trl:grouped:{variants[0]}"]
        result["max_abs_logp_difference_grouped"] = _difference(typical, variants[0], "grouped")
    result["trl_other_batches"] = [typical[f"trl:plain:{variant}"] for variant in variants[1:]]
    for part in typical.values():
        del part["logps"]
    result["ratios"] = _ratios(result)
    result["settings"] = {
        **asdict(settings),
        **facts,
        "data": Path(args.data).name if args.data else "invented titles",
    }
    result["machine"] = {
        "processor": _processor(),
        "num_cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }
    return result


def _names(variants: list[str], grouped: bool) -> list[str]:
    names = ["palate:plain", *(f"trl:plain:{variant}" for variant in variants)]
    return [*names, "palate:grouped", f"trl:grouped:{variants[0]}"] if grouped else names


def _typical(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run of median speed, with the largest memory of all and every speed beside it."""
    speeds = [run["pairs_per_second"] for run in runs]
    typical = min(runs, key=lambda run: abs(run["pairs_per_second"] - statistics.median(speeds)))
    peak = max(run["peak_memory_bytes"] for run in runs)
    return {**typical, "peak_memory_bytes": peak, "pairs_per_second_of_each_repeat": speeds}


def _difference(typical: dict[str, dict[str, Any]], variant: str, order: str) -> float:
    ours, theirs = typical[f"palate:{order}"]["logps"], typical[f"trl:{order}:{variant}"]["logps"]
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def _ratios(result: dict[str, Any]) -> dict[str, float]:
    """Palate against trl: the named batch, and the fastest and the leanest of all that were tried."""
    peers = [result["trl"], *result["trl_other_batches"]]
    fastest = max(peer["pairs_per_second"] for peer in peers)
    leanest = min(peer["peak_memory_bytes"] for peer in peers)
    ratios = {}
    for name, peer in (("palate", "trl"), ("palate_grouped", "trl_grouped")):
        if name not in result:
            continue
        ours, theirs = result[name], result[peer]
        before = "memory_before_loading_bytes"
        ratios[f"{name}_speed"] = ours["pairs_per_second"] / theirs["pairs_per_second"]
        ratios[f"{name}_speed_by_cpu_time"] = theirs["cpu_seconds_per_pair"] / ours["cpu_seconds_per_pair"]
        ratios[f"{name}_memory"] = ours["peak_memory_bytes"] / theirs["peak_memory_bytes"]
        ratios[f"{name}_memory_added_by_work"] = (ours["peak_memory_bytes"] - ours[before]) / (
            theirs["peak_memory_bytes"] - theirs[before]
        )
        ratios[f"{name}_speed_against_fastest_trl"] = ours["pairs_per_second"] / fastest
        ratios[f"{name}_memory_against_leanest_trl"] = ours["peak_memory_bytes"] / leanest
        gaps = [abs(a - b) for a, b in zip(ours["losses"], theirs["losses"], strict=True)]
        ratios[f"{name}_largest_loss_difference_of_first_ten"] = max(gaps[:10])
    return ratios


def _part(folder: Path, name: str, num_threads: int) -> dict[str, Any]:
    """One part in a process of its own; what it found."""
    env = {
        # Threads that wait by spinning stop each other wherever the machine has anything else to do.
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "OMP_NUM_THREADS": str(num_threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "PALATE_HOME": str(folder / "home"),
    }
    command = [sys.executable, __file__, "--part", name, "--folder", str(folder)]
    done = subprocess.run(command, env=env, stdout=sys.stderr, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: failed, see above")
    return json.loads((folder / "part.json").read_text(encoding="utf-8"))


def _run_part(name: str, folder: Path) -> None:
    from tools import measure_palate, measure_trl
    from workload import prepare, read_settings

    what, order, *variant = name.split(":")
    if what == "prepare":
        found = prepare(read_settings(folder), folder, grouped=order == "both")
    elif what == "palate":
        found = measure_palate(folder, grouped=order == "grouped")
    else:
        found = measure_trl(folder, grouped=order == "grouped", variant=variant[0])
    (folder / "part.json").write_text(json.dumps(found), encoding="utf-8")


def _as_table(result: dict[str, Any]) -> str:
    settings, ratios = result["settings"], result["ratios"]
    lines = [
        f"{settings['data']}: {settings['num_steps'] - settings['num_warmup_steps']} steps of 8 pairs after "
        f"{settings['num_warmup_steps']} of warm-up, {settings['size']} {settings['dtype']}, "
        f"{settings['num_threads']} threads, sides of {settings['median_tokens']} tokens (median)",
        "",
        f"{'':24} {'pairs/s':>8} {'CPU s/pair':>11} {'peak memory':>12} {'before':>10} {'load':>5}",
    ]
    names: list[str] = ["trl", "palate", "trl_grouped", "palate_grouped"]
    rows = [(name, result[name]) for name in names if name in result]
    rows += [(f"trl {other['variant']}", other) for other in result["trl_other_batches"]]
    for name, run in rows:
        label = f"{name} {run['variant']}" if name in ("trl", "trl_grouped") else name
        peak, before = run["peak_memory_bytes"] / 1e9, run["memory_before_loading_bytes"] / 1e9
        speed, cpu, load = run["pairs_per_second"], run["cpu_seconds_per_pair"], run["load_average"]
        lines.append(f"{label:24} {speed:8.2f} {cpu:11.2f} {peak:9.2f} GB {before:7.2f} GB {load:5.1f}")
    for name in ("palate", "palate_grouped"):
        if name in result:
            lines += [
                "",
                f"{name}: {ratios[f'{name}_speed']:.1f} times trl's pairs/s at "
                f"{ratios[f'{name}_memory']:.2f} of its memory "
                f"({ratios[f'{name}_memory_added_by_work']:.2f} without imports)",
                f"against the fastest trl of all: {ratios[f'{name}_speed_against_fastest_trl']:.1f} times; "
                f"against the leanest: {ratios[f'{name}_memory_against_leanest_trl']:.2f} of its memory",
                f"losses of the first ten steps differ by at most "
                f"{ratios[f'{name}_largest_loss_difference_of_first_ten']:.2g}",
            ]
    lines.append(f"summed log-probabilities differ by at most {result['max_abs_logp_difference']:.2g}")
    return "\n".join(lines)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", help="any file that palate data reads; invented title pairs where absent")
    parser.add_argument("--limit", type=int, help="read only the first rows")
    parser.add_argument("--steps", type=int, default=12, help="measured optimizer steps of 8 pairs")
    parser.add_argument(
        "--warmup-steps", type=int, default=2, help="steps before the clock starts, at least 1"
    )
    parser.add_argument(
        "--repeats", type=int, default=1, help="measure everything this often; medians are reported"
    )
    parser.add_argument(
        "--group-by-prompt", action="store_true", help="measure pairs of one prompt together, too"
    )
    parser.add_argument("--size", choices=sorted(SIZES), default="135m", help="which random Llama")
    parser.add_argument(
        "--dtype", choices=["bfloat16", "float32"], default="bfloat16", help="of the base weights"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--max-length", type=int, default=1024, help="pairs with a longer side are left out")
    parser.add_argument("--beta", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--trl-batch",
        default="8x1,1x8",
        help="trl's pairs per device x accumulation, several separated by commas; the first is the peer. "
        "+checkpointing and +autocast switch on gradient checkpointing and bf16 autocast",
    )
    parser.add_argument("--json", metavar="FILE", help="write everything measured; - for standard output")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.warmup_steps < 1 or args.steps < 1 or args.repeats < 1:
        parser.error("--steps, --warmup-steps and --repeats are at least 1")
    return args


if __name__ == "__main__":
    main()
