"""The programmatic judge: a function that scores answers, found by name, and verdicts from its scores.

A judge that fails has said nothing. An exception, a result that is no number, or a number that is not finite
is a missing verdict with its reason, never a score: read as 0 it would be evidence that nobody gave.
"""

from __future__ import annotations

import importlib
import inspect
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from palate.errors import JudgeError, did_you_mean
from palate.judge.builtin import BUILT_IN_SCORERS
from palate.records import Comparison, Messages, Verdict

__all__ = ["Score", "Scorer", "judge_by_score", "load_scorer", "preferred_of", "score_answer"]

Scorer = Callable[[Messages, str], float]
"""Takes a prompt's messages and an answer; returns a number, larger is better."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a scorer made of one answer: a finite number, or None and why there is none."""

    value: float | None
    problem: str = ""


def load_scorer(spec: str) -> Scorer:
    """The scorer a name stands for: a built-in, or `module:function` from an installed module or this folder.

    Naming a function runs its module, as importing it would: name only code you trust.

    Raises:
        JudgeError: no such built-in, module or function, or one that cannot be called as a scorer.
    """
    module_name, colon, function_name = spec.partition(":")
    if not colon:
        if spec in BUILT_IN_SCORERS:
            return BUILT_IN_SCORERS[spec]
        raise JudgeError(
            f'"{spec}": no such judge.{did_you_mean(spec, BUILT_IN_SCORERS)} '
            f"Built in: {', '.join(BUILT_IN_SCORERS)}",
            next="name one of these, or a function of your own as module:function",
        )
    _check_module_name(spec, module_name, function_name)
    module = _import(spec, module_name)
    return _function_of(spec, module, function_name)


def score_answer(scorer: Scorer, prompt: Messages, answer: str) -> Score:
    """One answer's score, or the reason that there is none; a failing scorer never stops the work."""
    try:
        result: Any = scorer(prompt, answer)
        # float("3") would read a number into text that a scorer returned by mistake.
        if not (hasattr(type(result), "__float__") or hasattr(type(result), "__index__")):
            return Score(None, f"the scorer returned {_brief(result)}, not a number")
        value = float(result)
    except (Exception, SystemExit) as error:  # whatever a person's function may raise, or end the run with
        return Score(None, f"the scorer failed: {type(error).__name__}: {_brief(error)}")
    if not math.isfinite(value):
        return Score(None, f"the scorer returned {value}, not a finite number")
    return Score(value)


def judge_by_score(scorer: Scorer, spec: str, comparison: Comparison) -> Verdict:
    """Which of two completions scores higher; equal scores tie, a missing score leaves the verdict missing.

    Args:
        scorer: from `load_scorer`.
        spec: its name, for the record.
    """
    prompt = comparison.prompt
    a = score_answer(scorer, prompt, comparison.completion_a[-1].content)
    b = score_answer(scorer, prompt, comparison.completion_b[-1].content)
    preferred, reason = preferred_of(a, b)
    scores = {"score_a": a.value, "score_b": b.value}
    return Verdict(comparison, spec, preferred, reason, detail=scores)


def preferred_of(a: Score, b: Score) -> tuple[Literal["a", "b", "tie"] | None, str]:
    """The higher of two scores, and why; None where either is missing."""
    if a.value is None or b.value is None:
        missing = [
            f"answer {side}: {score.problem}" for side, score in (("a", a), ("b", b)) if score.value is None
        ]
        return None, "; ".join(missing)
    reason = f"scores {a.value:.6g} and {b.value:.6g}"
    return ("tie" if a.value == b.value else "a" if a.value > b.value else "b"), reason


def _check_module_name(spec: str, module_name: str, function_name: str) -> None:
    parts = module_name.removesuffix(".py").replace("/", ".").replace("\\", ".").split(".")
    if all(part.isidentifier() for part in module_name.split(".")) and function_name.isidentifier():
        if not module_name.endswith(".py"):
            return
        why = "a module is named without .py"
    else:
        why = "a module is named as in an import statement, a function by its plain name"
    example = ".".join(part for part in parts if part.isidentifier()) or "my_taste"
    function = function_name if function_name.isidentifier() else "score"
    raise JudgeError(
        f'"{spec}" is not module:function', why=why, next=f"write it like this: {example}:{function}"
    )


def _import(spec: str, module_name: str) -> ModuleType:
    folder = os.getcwd()  # noqa: PTH109 - sys.path holds strings
    if folder not in sys.path:
        # Last, so that a file here never stands in for an installed module of the same name, and left there,
        # because a scorer may import its neighbours only when it is called.
        sys.path.append(folder)
    importlib.invalidate_caches()  # the file may be younger than this process
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise JudgeError(
                f'"{spec}": there is no module "{error.name}"',
                why=f"it is not installed, and not in {folder}",
                next="start palate in the folder that holds the file, or install the package",
            ) from None
        problem: BaseException = error
    except (Exception, SystemExit) as error:
        problem = error
    raise JudgeError(
        f'"{spec}": importing {module_name} failed: {type(problem).__name__}: {problem}',
        why=_innermost_line(problem),
        next=f'mend it until `python -c "import {module_name}"` is silent',
    ) from problem


def _function_of(spec: str, module: ModuleType, function_name: str) -> Scorer:
    where = getattr(module, "__file__", None) or module.__name__
    function = getattr(module, function_name, None)
    if function is None:
        own = [
            name
            for name, value in vars(module).items()
            if callable(value)
            and not name.startswith("_")
            and getattr(value, "__module__", "") == module.__name__
        ]
        listing = f" It has: {', '.join(own)}" if own else " It has no functions of its own"
        raise JudgeError(
            f'"{spec}": the module has no "{function_name}".{did_you_mean(function_name, own)}{listing}',
            where=where,
            next="name a function that takes (prompt, answer) and returns a number",
        )
    if not callable(function):
        raise JudgeError(
            f'"{spec}": {function_name} is a {type(function).__name__}, not a function',
            where=where,
            next="name a function that takes (prompt, answer) and returns a number",
        )
    if inspect.iscoroutinefunction(function):
        raise JudgeError(
            f'"{spec}": {function_name} is asynchronous, a scorer is not',
            where=where,
            next="write `def` instead of `async def`",
        )
    try:
        inspect.signature(function).bind((), "")
    except TypeError as error:
        raise JudgeError(
            f'"{spec}": {function_name} cannot be called as a scorer: {error}',
            where=where,
            next=f"a scorer takes the prompt's messages and an answer: def {function_name}(prompt, answer)",
        ) from None
    except ValueError:
        pass  # some compiled functions do not tell their signature; calling one will
    return function


def _innermost_line(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _brief(value: object) -> str:
    """At most a line of it: a scorer may return, or quote, a whole answer."""
    text = str(value) if isinstance(value, BaseException) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 120 else text[:117] + "..."
