"""What the judges of this machine have in common: which model it is, and what it is called."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from palate.engine import Head, Policy, Renderer, load_trained
from palate.generate.local import content_hash
from palate.recipe import ModelOptions, load_recipe
from palate.train import RunFolder

__all__ = ["JudgingModel", "LocalJudge", "share_of"]


@dataclass(frozen=True, slots=True)
class JudgingModel:
    """A model of this machine that judges: where it lies, what template it reads, and what it is called."""

    source: str
    folder: Path | None
    template: str
    called: str
    """The last part of the name it was given by, and the first digits of the hash of what judges."""
    model: str
    """Without the hash."""

    @classmethod
    def find(cls, model: str, folder: Path | None = None) -> JudgingModel:
        """Find it; no weights are loaded.

        Args:
            model: a Hub name, a model folder, an adapter's folder or a run folder.
            folder: where the base lies, for names that neither the Hub nor the file system knows.

        Raises:
            ModelError: there is no such model.
        """
        source, template = model, "tokenizer"
        run = RunFolder(model)
        if folder is None and run.recipe_file.is_file():
            source, template = str(run.trained), load_recipe(run.recipe_file).data.template
        brief = Path(model).expanduser().resolve().name if Path(model).expanduser().exists() else model
        digits = content_hash(source, folder, template)[:8]
        return cls(source, folder, template, f"{brief}@{digits}", brief)

    def load(self, head: Head, options: ModelOptions | None) -> tuple[Policy, Renderer]:
        """Its weights, and the renderer that writes for it.

        Raises:
            ModelError: it cannot be read, or it is a reward model where none is asked for, or the other way.
        """
        options = options or ModelOptions(base=self.source, adapter=None)
        policy = load_trained(self.source, options, head=head, folder=self.folder)
        return policy, Renderer(policy.tokenizer, self.template, policy.stop_ids())


class LocalJudge:
    """The model behind a judge: found when the judge is made, and loaded when it is first asked."""

    def __init__(
        self,
        model: str,
        folder: Path | None,
        options: ModelOptions | None,
        batch_size: int,
        name: str | None,
    ) -> None:
        """The arguments are those of the judges.

        Raises:
            ModelError: there is no such model.
        """
        self._model = JudgingModel.find(model, folder)
        self._name = name or self._model.called
        self._options, self._batch_size = options, batch_size
        self._loaded: tuple[Policy, Renderer] | None = None

    @property
    def name(self) -> str:
        """The model's, with the first digits of its hash."""
        return self._name

    @property
    def models(self) -> tuple[str, ...]:
        """The model."""
        return (self._model.model,)

    def _load(self, head: Head) -> tuple[Policy, Renderer]:
        self._loaded = self._loaded or self._model.load(head, self._options)
        return self._loaded


def share_of(logps: Sequence[float]) -> list[float]:
    """Log-probabilities of alternatives as their shares of what all of them have together."""
    most = max(logps)
    weights = [math.exp(value - most) for value in logps]
    return [weight / sum(weights) for weight in weights]
