"""What was measured of the same models on the same texts is kept, and not measured again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from palate import __version__, durable
from palate.evaluate.contestants import Contestant
from palate.generate.local import content_hash
from palate.recipe import ModelOptions
from palate.records import content_id
from palate.watcher import Watcher

__all__ = ["KeptMeasures"]


class KeptMeasures:
    """A file with the last figures of each kind, each under the hash of all that they follow from.

    The hash is of the models' weights, adapters, tokenizers and templates, the kind of numbers they are held
    in, and whatever was read; and of this version of Palate, which may compute otherwise than another.
    """

    def __init__(self, file: Path | None, model: ModelOptions) -> None:
        """
        Args:
            file: where they lie; None keeps nothing.
            model: how models are held: dtype, attention and quantization.
        """
        self._file, self._model = file, model

    def found(
        self,
        kind: str,
        contestants: Sequence[Contestant],
        read: object,
        measure: Callable[[], Mapping[str, Any]],
        watcher: Watcher,
    ) -> dict[str, Any]:
        """The figures of this kind, measured now where these are not kept.

        Args:
            kind: such as `drift`.
            contestants: in their order, whose names the figures go by.
            read: texts and options, as plain data.
            measure: called where they are not kept. What it raises is not kept.

        Raises:
            ModelError: a model is not there. ArtifactError: the file cannot be written.
        """
        held = self._model.model_dump(include={"dtype", "attention", "quantization"})
        hashes = [(one.name, content_hash(one.source, one.folder, one.template)) for one in contestants]
        key = content_id(kind, __version__, held, hashes, read)
        kept = self._kept()
        if kept.get(kind, {}).get("key") == key:
            watcher.note(f"{kind.replace('_', ' ')}: as measured before, of the same models and texts")
            return dict(kept[kind]["found"])
        found = dict(measure())
        if self._file is not None:
            # Read again: another command may have written its own figures meanwhile.
            durable.write_json(self._file, self._kept() | {kind: {"key": key, "found": found}})
        return found

    def _kept(self) -> dict[str, Any]:
        """Nothing where the file is damaged: then all is measured again."""
        kept: object = {}
        if self._file is not None:
            with suppress(OSError, ValueError):
                kept = json.loads(self._file.read_text(encoding="utf-8"))
        if not isinstance(kept, dict):
            return {}
        return {k: v for k, v in kept.items() if isinstance(v, dict) and isinstance(v.get("found"), dict)}
