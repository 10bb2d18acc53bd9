"""The audit that a run begins with: what would be trained on is looked at before it is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from palate.data import RecordStream
from palate.data.audit import Audit
from palate.data.audit.run import audit_source
from palate.data.audit.token_checks import Tokenised
from palate.data.excerpts import excerpt
from palate.engine import Renderer, UnusableRow, load_tokenizer, resolve_model_folder
from palate.errors import DataError
from palate.playground import model_folder
from palate.recipe import DataOptions, Recipe
from palate.records import Message, Messages, content_id
from palate.train import RunFolder, file_hash
from palate.watcher import Watcher

__all__ = ["MAX_ROWS_COMPARED", "MAX_ROWS_TOKENISED", "RendererTokens", "audit_before_run", "tokens_of_model"]

AUDIT_FILE = "audit.json"
MAX_ROWS_COMPARED = 20_000
"""Above so many rows no near duplicates are searched for before a run: that takes minutes."""
MAX_ROWS_TOKENISED = 20_000
"""Above so many rows the tokenizer is not run over them only to be audited: the run counts what it drops."""
_MAX_NOTES = 3


class RendererTokens:
    """What the audit asks of a tokenizer, answered by the renderer that a run trains with."""

    def __init__(self, renderer: Renderer, options: DataOptions) -> None:
        tokenizer = renderer.tokenizer
        self._renderer = renderer
        self.special_tokens: Sequence[str] = [
            token.content for token in tokenizer.added_tokens_decoder.values() if token.special
        ]
        self.bos_id: int | None = tokenizer.bos_token_id
        self.max_length: int = options.max_length
        self.too_long: str = options.too_long
        self.ending: str = self._ending()

    def tokenise(self, items: Sequence[tuple[Messages, Messages]]) -> list[Tokenised | str]:
        """Of each prompt and completion the tokens, or why there are none."""
        return [
            str(found)
            if isinstance(found, UnusableRow)
            else Tokenised(found.branch.token_ids.tolist(), found.num_prompt, found.boundary_merged)
            for found in self._renderer.render_many(items)
        ]

    def _ending(self) -> str:
        """What the template puts behind an answer, seen on one."""
        question, answer = Message("user", "A question?"), Message("assistant", "An answer.")
        text = str(
            self._renderer.tokenizer.apply_chat_template(
                [question.as_dict(), answer.as_dict()], chat_template=self._renderer.template, tokenize=False
            )
        )
        behind = text.rpartition(answer.content)[2]
        ids = self._renderer.tokenizer(behind, add_special_tokens=False)["input_ids"]
        num_ends = sum(token in self._renderer.stop_ids for token in ids)
        if num_ends:
            return "one" if num_ends == 1 else "several"
        return "text" if behind.strip() else "none"


def tokens_of_model(
    model: str, *, template: str | None = None, max_length: int | None = None
) -> RendererTokens:
    """The tokenizer of a model, a folder or a Hub name, for an audit without a recipe.

    Raises:
        ModelError: the tokenizer cannot be used.
        DataError: the template is none, or the length is no number of tokens.
    """
    given = {"template": template, "max_length": max_length}
    try:
        options = DataOptions.model_validate(
            {name: value for name, value in given.items() if value is not None}
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(first["msg"], where="--" + str(first["loc"][0]).replace("_", "-")) from None
    where = model_folder() if model == "playground" else resolve_model_folder(model)
    return RendererTokens(
        Renderer(load_tokenizer(where, model), options.template, _generation_stops(where)), options
    )


def audit_before_run(
    train: RecordStream,
    held_out: RecordStream | None,
    recipe: Recipe,
    folder: RunFolder,
    base: Path | None = None,
    watcher: Watcher | None = None,
) -> dict[str, Any] | None:
    """Audit what a recipe trains on, keep the findings in RUN/audit.json and return them.

    A run that goes on, or that was refused and is tried again, takes the audit it has, unless data, recipe or
    model are others since. `base` is where the model lies, for a name that nobody else knows. None where the
    recipe has no audit.

    Raises:
        DataError: an error was found in rows that would be trained on, and data.audit.allow does not name it.
        ModelError: the tokenizer cannot be used.
    """
    watcher, options = watcher or Watcher(), recipe.data.audit
    if options is None:
        (folder.path / AUDIT_FILE).unlink(missing_ok=True)  # an earlier attempt's, which this one has not
        return None
    of = _fingerprint(recipe, train, held_out)
    known = folder.read(AUDIT_FILE) if folder.has(AUDIT_FILE) else {}
    if of is not None and known.get("of") == of:
        is_news = known["allowed"] != list(options.allow)
        if is_news:
            known["allowed"] = list(options.allow)
            folder.write(AUDIT_FILE, known)
        _refuse_broken(known["findings"], options.allow, train, held_out)
        if is_news:  # a run that was refused and now begins
            _note(known["findings"], folder, watcher)
        return known
    found = _audited(train, held_out, recipe, base, watcher)
    content = {"of": of, **found.as_dict(), "allowed": list(options.allow)}
    folder.write(AUDIT_FILE, content)
    _refuse_broken(content["findings"], options.allow, train, held_out)
    _note(content["findings"], folder, watcher)
    return content


def _audited(
    train: RecordStream, held_out: RecordStream | None, recipe: Recipe, base: Path | None, watcher: Watcher
) -> Audit:
    options = recipe.data.audit
    num_rows = train.count_rows() + (held_out.count_rows() if held_out is not None else 0)
    tokens = None
    if num_rows <= MAX_ROWS_TOKENISED:
        where = base or resolve_model_folder(recipe.model.base, recipe.model.revision)
        renderer = Renderer(
            load_tokenizer(where, recipe.model.base), recipe.data.template, _generation_stops(where)
        )
        tokens = RendererTokens(renderer, recipe.data)
    found = audit_source(
        train,
        held_out,
        near_duplicates=options is not None and options.near_duplicates and num_rows <= MAX_ROWS_COMPARED,
        tokens=tokens,
        watcher=watcher,
    )
    return replace(found, not_checked=_not_checked(found, num_rows))


def _not_checked(found: Audit, num_rows: int) -> dict[str, str]:
    """What was left out, in words for a run. Nobody claims excerpts here."""
    skipped = {name: needs for name, needs in found.not_checked.items() if name != "not_verbatim"}
    if num_rows > MAX_ROWS_COMPARED and "duplicate_near" in skipped:
        skipped["duplicate_near"] = f"palate data audit: above {MAX_ROWS_COMPARED:,} rows it takes minutes"
    if num_rows > MAX_ROWS_TOKENISED:
        reason = f"at most {MAX_ROWS_TOKENISED:,} rows; data.json counts what was too long or unusable"
        skipped |= {name: reason for name in ("boundary", "eos", "truncation") if name in skipped}
    if "leak_prompt" in skipped:
        skipped |= dict.fromkeys(
            ("leak_prompt", "leak_completion", "counting_baseline"),
            "held-out rows of their own: data.eval. What data.eval_fraction holds out shares no prompt",
        )
    return skipped


def _generation_stops(folder: Path) -> list[int]:
    """The tokens the model's own generation settings end an answer with, as `Policy.stop_ids`."""
    from transformers import GenerationConfig

    try:
        stops = GenerationConfig.from_pretrained(folder).eos_token_id
    except (OSError, ValueError):
        return []  # most models have such a file, and none has to
    return [] if stops is None else [int(stop) for stop in (stops if isinstance(stops, list) else [stops])]


def _fingerprint(recipe: Recipe, train: RecordStream, held_out: RecordStream | None) -> str | None:
    """Equal where an audit would find the same; None where only an audit can tell."""
    hashes = []
    for records, options in ((train, recipe.data.train), (held_out, recipe.data.eval)):
        if records is None or options is None:
            hashes.append("none")
            continue
        # What Palate makes itself (the playground's pairs) is a file of another name.
        found = file_hash(records.options.source)
        if found is None:
            return None
        hashes.append(found)
    decisive = recipe.data.model_dump(mode="json", exclude={"audit": {"allow"}})
    return content_id(hashes, decisive, recipe.model.base, recipe.model.revision)


def _refuse_broken(
    findings: Sequence[dict[str, Any]],
    allow: Sequence[str],
    train: RecordStream,
    held_out: RecordStream | None,
) -> None:
    """Errors in rows that would be used stop a run before it costs anything."""
    broken = [
        found
        for found in findings
        if found["severity"] == "error" and found["num_kept"] and found["check"] not in allow
    ]
    if not broken:
        return
    names = ", ".join(f"{found['check']} ({found['count']:,})" for found in broken)
    first = broken[0]
    places = ", ".join(excerpt(str(example["place"]), 200) for example in first["examples"][:3])
    command = ["palate", "data", "audit", train.source]
    command += ["--against", held_out.source] if held_out is not None else []
    allowing = ", ".join(dict.fromkeys([*allow, *(found["check"] for found in broken)]))
    raise DataError(
        f"the audit found errors in rows that would be trained {'or measured ' * bool(held_out)}on: {names}",
        where=train.source,
        why=f"{first['meaning']} See {places}",
        next=f"{shlex.join(command)} says more; mend the rows, or train in spite of it with "
        f"data.audit.allow=[{allowing}]",
    )


def _note(findings: Sequence[dict[str, Any]], folder: RunFolder, watcher: Watcher) -> None:
    """One line for each of the gravest; the rest is in the file."""
    told = [found for found in findings if found["severity"] != "info"]
    for found in told[:_MAX_NOTES]:
        watcher.note(
            f"audit: {found['severity']} {found['check']}, {found['count']:,}: "
            f"{_first_sentence(found['meaning'])}"
        )
    if len(told) > _MAX_NOTES:
        watcher.note(f"audit: {len(told) - _MAX_NOTES} more in {folder.path / AUDIT_FILE}")


def _first_sentence(text: str) -> str:
    return excerpt(text.split(". ")[0].removesuffix("."), 200)
