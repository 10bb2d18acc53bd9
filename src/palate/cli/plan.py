"""`palate plan`: what a run will do and take, before it does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from palate.cli.console import ConsoleWatcher, error_console, output_console, print_json
from palate.cli.options import AsJson, Flag

__all__ = ["plan"]


def plan(
    recipe: Path,
    *overrides: Annotated[
        str, Parameter(help="key.path=value, laid over the recipe.", allow_leading_hyphen=False)
    ],
    probe: Flag = False,
    as_json: AsJson = False,
) -> None:
    """What a training will do, take and leave behind: steps, tokens, memory, disk. Exit 1 if it cannot fit.

    Parameters
    ----------
    recipe
        A recipe file.
    probe
        Load the model and take two steps, to measure time and memory.
    """
    from palate.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)  # before anything heavy: a slip in it is told at once
    from palate.pipeline import plan_recipe

    found = plan_recipe(loaded, ConsoleWatcher(), probe=probe)
    if as_json:
        print_json(found)
    else:
        _show(found, output_console())
    if not found["fits"]:
        for problem in found["problems"]:
            said = f"{problem['what']}\n  why:  {problem['why']}\n  next: {problem['next']}"
            error_console().print(said, style="red", markup=False)
        sys.exit(1)


def _show(found: dict[str, Any], console: Console) -> None:
    for name, rows in _sections(found):
        console.print(Text(name, "bold"), soft_wrap=not console.is_terminal)
        if not console.is_terminal:  # one line each, for whoever searches them
            for label, value, remark in rows:
                console.print(Text(f"  {label:<20}  {value:>10}  {remark}".rstrip()), soft_wrap=True)
            continue
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, min_width=20)
        table.add_column(justify="right", no_wrap=True, min_width=10)
        table.add_column(overflow="fold")
        for label, value, remark in rows:
            table.add_row(Text(f"  {label}", "dim"), Text(value), Text(remark, "dim"))
        console.print(table)


Row = tuple[str, str, str]


def _sections(found: dict[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    yield "steps", _steps(found)
    yield "tokens", _tokens(found)
    yield _memory_title(found), _memory(found)
    yield "disk", _disk(found)
    if found["probe"] is not None:
        yield "measured on two steps", _probe(found)


def _steps(found: dict[str, Any]) -> list[Row]:
    early = ", or fewer: it may stop early" if found["may_stop_early"] else ""
    held = f"at most {found['num_checkpoints_held']} on disk at once, one being written"
    return [
        (
            "training pairs",
            f"{found['num_pairs_train']:,}",
            f"{found['num_rows_set_aside']:,} rows set aside",
        ),
        ("held-out pairs", f"{found['num_pairs_eval']:,}", ""),
        ("optimizer steps", f"{found['num_steps']:,}", f"{found['num_epochs']:.4g} epochs{early}"),
        ("evaluations", f"{found['num_evaluations']:,}", ""),
        ("checkpoints", f"{found['num_checkpoints']:,}", f"and one at every new best; {held}"),
    ]


def _tokens(found: dict[str, Any]) -> list[Row]:
    tokens = found["tokens"]
    train = tokens["train"]
    per_step = train["computed"] / found["num_steps"]
    rows = [
        ("represented", f"{train['represented']:,}", "by all completions, each with its prompt"),
        (
            "computed",
            f"{train['computed']:,}",
            f"{train['sharing_factor']:.2f} times fewer: shared ones once",
        ),
        ("per step", f"{per_step:,.0f}", f"in {train['num_rows'] / found['num_steps']:.1f} rows"),
    ]
    if found["num_evaluations"]:
        rows.append(("per evaluation", f"{tokens['evaluation']['computed']:,}", ""))
    if "reference" in tokens:
        rows.append(("reference, once", f"{tokens['reference']['computed']:,}", "less what its cache has"))
    return rows


_PARTS = {
    "process": "the interpreter and its libraries, without a model",
    "kernels": "compiled products, one for each shape",
    "weights": "the base",
    "adapter": "",
    "reference": "a copy that follows the policy",
    "other_reference": "the other model, until it has been asked",
    "optimizer": "",
    "gradients": "",
    "activations": "the largest row, kept for the backward pass",
    "head": "a chunk of logits",
    "heap": "what the allocator holds beyond that",
    "loading": "the file, until it is converted",
    "checkpoint": "a copy of the optimizer's state, to be written",
}


def _memory_title(found: dict[str, Any]) -> str:
    phase = max(found["memory_phases"], key=found["memory_phases"].__getitem__)
    return f"memory at the largest moment, {phase}, on {found['device']}"


def _memory(found: dict[str, Any]) -> list[Row]:
    held = " + ".join(f"{_gb(size)} {name}" for name, size in found["weights"].items() if size >= 1e5)
    rows = [
        (name.replace("_", " "), _gb(size), held if name == "weights" else _PARTS[name])
        for name, size in found["memory"].items()
        if size
    ]
    return [*rows, ("peak", _gb(found["peak_memory_bytes"]), f"of {_gb(found['available_memory_bytes'])}")]


def _disk(found: dict[str, Any]) -> list[Row]:
    disk = found["disk"]
    count = found["num_checkpoints_held"]
    return [
        ("checkpoints", _gb(disk["checkpoints"]), f"{count} of {_gb(disk['checkpoint'])}"),
        ("result", _gb(disk["result"]), ""),
        ("reference cache", _gb(disk["reference_cache"]), "less what it has"),
        ("in all", _gb(disk["total"]), f"of {_gb(disk['free'])}"),
    ]


def _probe(found: dict[str, Any]) -> list[Row]:
    from palate.report.wording import duration

    probe = found["probe"]
    planned = found["peak_memory_bytes"]
    return [
        ("a step", duration(probe["seconds_per_step"]), f"{probe['tokens_per_second']:,.0f} tokens/s"),
        ("reference", duration(probe["reference_seconds"]), "less what its cache has"),
        ("training", duration(probe["train_seconds"]), ""),
        ("evaluations", duration(probe["evaluation_seconds"]), ""),
        ("in all", duration(probe["total_seconds"]), "without loading and comparing"),
        ("peak memory", _gb(probe["peak_memory_bytes"]), f"of two steps; planned {_gb(planned)} for all"),
    ]


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 5e6 else f"{size / 1e6:.2f} MB"
