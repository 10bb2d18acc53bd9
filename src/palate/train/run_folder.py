"""The folder of a run: what is in it, and how it gets there.

A file is written whole under another name and renamed, so that a reader never sees half of one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from palate.errors import ArtifactError, RecipeError
from palate.recipe import Recipe, dump_recipe, load_recipe

__all__ = ["RunFolder"]

_MARK = "# The recipe of this run, every default written out. By this line Palate knows the folder.\n"


class RunFolder:
    """Paths and writing of one run."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

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
        for folder in (self.adapter, self.model):
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
            differing = [
                name
                for name in ("seed", "model", "data", "objective", "train")
                if getattr(other, name) != getattr(recipe, name)
            ]
            if differing and self._has_work():
                raise RecipeError(
                    "another run lives in this folder",
                    where=f"output = {self.path}",
                    why=f"its recipe differs in: {', '.join(differing)}",
                    next="name another folder with output=...",
                )
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise RecipeError(
                "this is not a run folder, and not empty",
                where=f"output = {self.path}",
                next="name another folder with output=...",
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.recipe_file.write_text(_MARK + dump_recipe(recipe), encoding="utf-8")
        except OSError as error:
            raise ArtifactError(f"the run folder cannot be written: {error}", where=str(self.path)) from None

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
        return self.has("summary.json") and self.read("summary.json").get("status") == "done"

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
        """Write a JSON file whole."""
        file = self.path / name
        temporary = file.with_name(f".{file.name}.tmp")
        # Not-a-number has no place in JSON; readers in other languages would refuse the whole file. Half an
        # emoji is text to a model, and not to a file.
        text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
        with _writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(text.encode("utf-8", "backslashreplace") + b"\n")
            temporary.replace(file)

    def clear(self) -> None:
        """Remove what an earlier attempt at this run left; whatever else lies here stays."""
        for folder in (self.adapter, self.model, self.checkpoints, self.path / "evaluation"):
            shutil.rmtree(folder, ignore_errors=True)
        for name in ("metrics.jsonl", "summary.json", "report.html"):
            (self.path / name).unlink(missing_ok=True)

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl, at once."""
        path = self.path / "metrics.jsonl"
        with _writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics, allow_nan=False) + "\n")


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"the file cannot be written: {error.strerror or error}",
            where=str(file),
            next="free some space, or make the folder writable, and run again",
        ) from None
