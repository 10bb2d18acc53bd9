"""The commands. Each parses, calls one function of the library, and prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from palate import __version__
from palate.cli.annotate import annotate_app
from palate.cli.compare import compare
from palate.cli.console import ConsoleWatcher, error_console, finish_output, output_console, print_json
from palate.cli.data import data_app
from palate.cli.diagnose import diagnose, show_findings
from palate.cli.generate import generate_app
from palate.cli.judge import judge
from palate.cli.launch import is_launched, is_main_process, launch_processes, settle_into_launch
from palate.cli.objectives import objectives
from palate.cli.options import AsJson, Seed
from palate.cli.plan import plan
from palate.cli.winrate import winrate
from palate.errors import CallError, PalateError
from palate.watcher import Watcher

__all__ = ["app", "main"]


def _default_in_help(value: Any) -> str | None:
    """None for a flag that is off and a list of nothing: that is what not typing an option means."""
    if value is None or value is False or value == ():
        return None
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _called_wrongly(error: cyclopts.CycloptsError) -> Text:
    words = " ".join(["palate", *(error.command_chain or ())])
    return Text(f"{error}\n  next: {words} --help lists what it takes", style="red")


app = cyclopts.App(
    name="palate",
    help="Give a language model your taste: preference pairs in, an aligned model and the evidence out.",
    version=__version__,
    default_parameter=Parameter(show_default=_default_in_help),
    error_formatter=_called_wrongly,
    suppress_keyboard_interrupt=False,
)
app.command(annotate_app)
app.command(compare)
app.command(data_app)
app.command(diagnose)
app.command(generate_app)
app.command(judge)
app.command(objectives)
app.command(plan)
app.command(winrate)

Overrides = Annotated[
    str, Parameter(help="key.path=value, laid over the recipe.", allow_leading_hyphen=False)
]

NumProcesses = Annotated[
    int, Parameter(help="Train in so many processes of this machine; the batch is divided among them.")
]


@app.command
def demo(*, output: str = "runs/demo", seed: Seed = 0, as_json: AsJson = False) -> None:
    """The whole story on a tiny invented world, with no network: generate, judge, train, compare, report.

    Parameters
    ----------
    output
        The run folder; an earlier demo in it is replaced.
    seed
        Seeds generation, training and the comparison.
    """
    from palate.pipeline import run_demo
    from palate.report import render_comparison, render_summary

    result = run_demo(output, seed=seed, watcher=ConsoleWatcher())
    if as_json:
        print_json(result.summary)
        return
    console = _console()
    render_comparison(result.comparison, console)
    render_summary(result.summary, console)
    _show_findings(result.folder)
    before, after = result.summary["preferred_share_before"], result.summary["preferred_share_after"]
    console.print(
        f"\nOn prompts never trained on, the preferred voice went "
        f"from {before:.0%} to {after:.0%} of answers.\n"
        f"Look closer: {result.report}",
        markup=False,
        soft_wrap=True,
    )


@app.command
def run(
    recipe: Path, *overrides: Overrides, num_processes: NumProcesses = 1, as_json: AsJson = False
) -> None:
    """Every stage a recipe has: train, compare, report. What is done already is left alone.

    Parameters
    ----------
    recipe
        A recipe file.
    """
    from palate.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)  # before anything heavy: a slip in it is told at once
    _launch_if_several(num_processes, ["run", str(recipe), *overrides], as_json)
    from palate.pipeline import run_recipe

    _show_run(run_recipe(loaded, _watcher()), Path(loaded.output), as_json)


@app.command
def resume(
    run: Path, *overrides: Overrides, num_processes: NumProcesses = 1, as_json: AsJson = False
) -> None:
    """Go on with a run that was stopped or killed, from its newest whole checkpoint.

    Of its recipe only what leaves the result as it is can be overridden, such as parallel.

    Parameters
    ----------
    run
        A run folder.
    """
    _launch_if_several(num_processes, ["resume", str(run), *overrides], as_json)
    from palate.pipeline import resume_run

    _show_run(resume_run(run, _watcher(), overrides=overrides), run, as_json)


@app.command
def train(
    recipe: Path, *overrides: Overrides, num_processes: NumProcesses = 1, as_json: AsJson = False
) -> None:
    """Train as a recipe says, and leave a run folder; go on where an earlier attempt stopped.

    Parameters
    ----------
    recipe
        A recipe file.
    """
    from palate.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)  # before anything heavy: a slip in it is told at once
    _launch_if_several(num_processes, ["train", str(recipe), *overrides], as_json)
    from palate.pipeline import train_stage
    from palate.report import render_summary

    summary = train_stage(loaded, _watcher())
    if not is_main_process():
        return
    if as_json:
        print_json(summary)
        return
    render_summary(summary, _console())
    _show_findings(Path(loaded.output))
    _console().print(f"\nNext: palate compare {loaded.output}", markup=False, soft_wrap=True)


def _launch_if_several(num_processes: int, arguments: list[str], as_json: bool) -> None:
    """Where several processes are asked for, start them, wait for them, and be done."""
    if num_processes != 1:
        sys.exit(launch_processes(num_processes, [*arguments, "--json"] if as_json else arguments))


def _show_run(summary: dict[str, Any], folder: Path, as_json: bool) -> None:
    from palate.report import render_comparison, render_summary
    from palate.train import RunFolder

    if not is_main_process():
        return
    if as_json:
        print_json(summary)
        return
    found = RunFolder(folder)
    if found.has("evaluation/comparison.json"):
        render_comparison(found.read("evaluation/comparison.json"), _console())
    render_summary(summary, _console())
    _show_findings(folder)
    _console().print(f"\nLook closer: {folder / 'report.html'}", markup=False, soft_wrap=True)


def _show_findings(folder: Path) -> None:
    from palate.train import RunFolder

    found = RunFolder(folder)
    if found.has("findings.json"):
        show_findings(found.read("findings.json"), folder, _console())


@app.command
def report(run: Path, *, language: Literal["en", "zh"] | None = None, as_json: AsJson = False) -> None:
    """Write a run's report.html: one file, no network.

    Parameters
    ----------
    run
        A run folder.
    language
        What the report is written in: English or Chinese; as the one that is there, and English where
        there is none yet.
    """
    from palate.report import build_report

    page = build_report(run, language=language)
    if as_json:
        print_json({"report": str(page)})
    else:
        _console().print(str(page), markup=False, soft_wrap=True)


def main(tokens: list[str] | None = None) -> None:
    """The `palate` command. Exit code 0: done. 1: the work fell short. 2: the call was wrong."""
    # Threads that wait by spinning lose most of their time as soon as another program runs: the same
    # training made 0.26 pairs/s so and 2.5 without, on two busy cores. Read when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character still shows the rest
    settle_into_launch()
    try:
        try:
            _refuse_empty(sys.argv[1:] if tokens is None else tokens)
            app(tokens, console=output_console(), error_console=error_console())
        finally:
            finish_output()
    except PalateError as error:
        if _is_ours_to_say(error):
            error_console().print(str(error), style="red", markup=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        if is_main_process():
            said = "stopped; finished stages are kept, and the same command again does the rest"
            error_console().print(said)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)


def _refuse_empty(tokens: list[str]) -> None:
    """An empty path is the folder one stands in, an empty name no name: nobody means either.

    Raises:
        CallError: a value is empty.
    """
    for before, token in zip(["", *tokens], tokens, strict=False):
        is_joined = token.startswith("--") and token.find("=") == len(token) - 1
        if not token.strip() or is_joined:
            option = token[:-1] if is_joined else before if before.startswith("-") else ""
            raise CallError(
                "an empty value",
                where=option,
                why="a shell leaves nothing in the place of a variable that is not set",
                next=f"give {option or 'it'} a value, or drop it",
            )


def _is_ours_to_say(error: PalateError) -> bool:
    """Several processes meet the same error, and a person should read it once."""
    if "WORLD_SIZE" not in os.environ:
        return True
    from palate.train.processes import ProcessLost, is_first_to_say

    if isinstance(error, ProcessLost) and is_launched():
        return False
    return is_first_to_say(error)


def _watcher() -> Watcher:
    return ConsoleWatcher() if is_main_process() else Watcher()


def _console() -> Console:
    return output_console()
