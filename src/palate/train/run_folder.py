"""The folder of a run: what is in it, and how it gets there.

What is written goes through `palate.durable`, so that a reader never sees half of a file. One process trains
in a folder at a time.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from palate import durable
from palate.errors import ArtifactError, RecipeError
from palate.recipe import Recipe, dump_recipe, load_recipe
from palate.records import content_id

__all__ = ["RunFolder", "recipe_fingerprint"]

_MARK = "# The recipe of this run, every default written out. By this line Palate knows the folder.\n"
_LOCK, _HOLDER = ".lock", ".lock-holder"


class RunFolder:
    """Paths and writing of one run."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def metrics_file(self) -> Path:
        """One JSON object a line, for every step and every evaluation."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints stand, one folder a step."""
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """The best adapter, after training with one."""
        return self.path / "adapter"

    @property
    def model(self) -> Path:
        """The best model, after full fine-tuning."""
        return self.path / "model"

    @property
    def trained(self) -> Path:
        """Whichever of the two there is.

        Raises:
            ArtifactError: neither is there.
        """
        results = (self.adapter, self.model)
        if not any(folder.is_dir() for folder in results):
            durable.settle(self.path)  # a kill may have left the one there was without its name
        for folder in results:
            if folder.is_dir():
                return folder
        raise ArtifactError(
            "this run has no trained model", where=str(self.path), next="palate train RECIPE makes one"
        )

    def begin(self, recipe: Recipe) -> None:
        """Make the folder for this recipe, or take up the one it has.

        A folder in which an attempt failed before it had anything to show is free to take.

        Raises:
            RecipeError: another run lives here already, or something that is no run.
        """
        if self._is_run():
            other = load_recipe(self.recipe_file)
            theirs, ours = _decisive(other), _decisive(recipe)
            differing = [name for name in sorted(theirs | ours) if theirs.get(name) != ours.get(name)]
            if differing and self._has_work():
                raise RecipeError(
                    "another run lives in this folder",
                    where=f"output = {self.path}",
                    why=f"its recipe differs in: {', '.join(differing)}",
                    next="name another folder with output=..., or take back what differs",
                )
        else:
            self._refuse_foreign()
        durable.write_text(self.recipe_file, _MARK + dump_recipe(recipe))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Have the folder to oneself: made where it is missing, and cleared of what killed writers left.

        The lock is the operating system's, which frees it when its holder dies.

        Raises:
            RecipeError: another process has it, or this is a folder of something else.
            ArtifactError: the folder cannot be written.
        """
        from filelock import FileLock, Timeout

        if not self._is_run():
            self._refuse_foreign()
        durable.ensure_folder(self.path)
        lock = FileLock(self.path / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RecipeError(
                "another process is training in this folder",
                where=f"output = {self.path}",
                why=self._holder(),
                next="wait until it is done, or name another folder with output=...",
            ) from None
        except OSError as error:
            raise ArtifactError(
                f"the folder cannot be locked: {error.strerror or error}",
                where=str(self.path / _LOCK),
                next="make the folder writable, or name another with output=...",
            ) from None
        try:
            durable.settle(self.path)
            durable.write_text(self.path / _HOLDER, f"process {os.getpid()} on {platform.node()}\n")
            yield
        finally:
            with suppress(OSError):  # it only names the holder
                (self.path / _HOLDER).unlink()
            lock.release()

    def _holder(self) -> str:
        try:
            return f"{(self.path / _HOLDER).read_text(encoding='utf-8').strip()} has it"
        except (OSError, UnicodeDecodeError):
            return ""

    def _refuse_foreign(self) -> None:
        """Leave a folder alone that somebody else has put something into."""
        path = self.path
        ours = (_LOCK, _HOLDER)  # and what was left by a process that was killed while it began
        if not path.exists() or (
            path.is_dir() and all(p.name in ours or durable.is_leftover(p) for p in path.iterdir())
        ):
            return
        raise RecipeError(
            "this is not a run folder, and not empty",
            where=f"output = {path}",
            next="name another folder with output=...",
        )

    def _is_run(self) -> bool:
        """Whether Palate made this folder. A recipe of the user's own that lies here does not make it one."""
        try:
            return self.recipe_file.read_text(encoding="utf-8").startswith(_MARK)
        except (OSError, UnicodeDecodeError):
            return False

    def _has_work(self) -> bool:
        return self.has("summary.json") or self.has("metrics.jsonl") or self.checkpoints.exists()

    def is_done(self) -> bool:
        """Whether training finished here."""
        results = (self.adapter, self.model)
        done = self.has("summary.json") and self.read("summary.json").get("status") == "done"
        return done and any(folder.is_dir() for folder in results)

    def has(self, name: str) -> bool:
        """Whether the folder holds this file."""
        return (self.path / name).exists()

    def read(self, name: str) -> dict[str, Any]:
        """A JSON file of this run.

        Raises:
            ArtifactError: it is not there, or damaged.
        """
        file = self.path / name
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ArtifactError("this run has no such file", where=str(file)) from None
        except (OSError, ValueError) as error:
            raise ArtifactError(f"the file is damaged: {error}", where=str(file)) from None

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file whole.

        Raises:
            ArtifactError: it cannot be written. ValueError, TypeError: the content is no JSON.
        """
        durable.write_json(self.path / name, content)

    def clear(self) -> None:
        """Remove what an earlier attempt at this run left; whatever else lies here stays.

        Raises:
            ArtifactError: something cannot be removed.
        """
        for folder in (self.adapter, self.model, self.checkpoints, self.path / "evaluation"):
            durable.remove_folder(folder)
        for name in ("metrics.jsonl", "summary.json", "findings.json", "report.html"):
            (self.path / name).unlink(missing_ok=True)

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl, at once: a kill takes none of it; for a power cut, `flush_log`.

        Raises:
            ArtifactError: it cannot be written. ValueError, TypeError: the metrics are no JSON.
        """
        durable.append_line(self.metrics_file, json.dumps(metrics, allow_nan=False))

    def flush_log(self) -> None:
        """Have all lines on the disk: before a checkpoint that counts on them.

        Raises:
            ArtifactError: they cannot be written.
        """
        if self.metrics_file.exists():
            durable.flush_file(self.metrics_file)

    def truncate_metrics(self, step: int, last_evaluated: int) -> int:
        """Drop the lines of metrics.jsonl that a run which goes on after `step` will write again.

        Returns how many of the steps before have no line: somebody has removed them.

        They are those of later steps, those of evaluations after the step `last_evaluated`, and a line at the
        end that a kill or a power cut tore.

        Raises:
            ArtifactError: another line cannot be read, or the file cannot be written.
        """
        if not self.metrics_file.exists():
            return step
        lines = self.metrics_file.read_bytes().split(b"\n")
        end = lines.pop()  # what follows the last line end: nothing, unless it was torn
        kept = []
        for number, line in enumerate(lines, start=1):
            try:
                metrics = dict(json.loads(line))
                limit = last_evaluated if metrics["split"] == "eval" else step
                keep = metrics["step"] <= limit
            except (ValueError, TypeError, KeyError):
                if number == len(lines):
                    break
                raise ArtifactError(
                    f"line {number} cannot be read",
                    where=str(self.metrics_file),
                    next="remove that line; the others are used as they are",
                ) from None
            if keep:
                kept.append(line + b"\n")
        if end or len(kept) < len(lines):
            durable.write_bytes(self.metrics_file, b"".join(kept))
        return step - sum(json.loads(line)["split"] == "train" for line in kept)


# Where a run is written, how it is audited, divided, watched and compared, and what is kept of it on the way
# may change while it goes on: none of it changes the result.
_FREE = re.compile(
    r"output|parallel|deepspeed|compare\b.*|data\.audit\b.*"
    r"|train\.(trackers|tracker_project|keep_checkpoints|checkpoint_every)\b.*"
)


def _decisive(recipe: Recipe) -> dict[str, str]:
    """All options of a recipe that decide its result, by their dotted names."""
    found: dict[str, str] = {}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                visit(inner, f"{path}.{name}" if path else str(name))
        elif not _FREE.fullmatch(path):
            found[path] = json.dumps(value, sort_keys=True)

    visit(recipe.model_dump(mode="json"), "")
    return found


def recipe_fingerprint(recipe: Recipe) -> str:
    """Equal for recipes that make the same model."""
    return content_id(_decisive(recipe))
