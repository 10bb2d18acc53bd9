"""The local model as one who is asked: the same interface as a server, and the same store."""

from __future__ import annotations

import hashlib
import operator
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from palate.asking import (
    Account,
    AskedForm,
    PriceList,
    Reply,
    Request,
    ResponseStore,
    Usage,
    chat_completion,
    read_reply,
)
from palate.asking.wire import check_request
from palate.engine import Policy, Renderer, load_trained, resolve_model_folder
from palate.engine.adapter import adapter_hash
from palate.engine.loading import base_of_adapter
from palate.engine.reference import weights_hash
from palate.errors import CallError, ModelError
from palate.generate.decoding import Decoded, Row, decode, schema_tokenizer
from palate.recipe import ModelOptions
from palate.watcher import Watcher

__all__ = ["LocalModel", "content_hash"]

_SHAPES_PROMPTS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
)


class LocalModel:
    """A model of this machine, asked as a server is. What it said is kept, and said again when asked again.

    The weights are loaded when something is asked that the store does not have. Its name as a server holds a
    hash of weights, adapter and tokenizer: another model never gets its answers, whatever it is called.
    """

    def __init__(
        self,
        model: str,
        *,
        store: ResponseStore,
        folder: Path | None = None,
        options: ModelOptions | None = None,
        template: str = "tokenizer",
        batch_size: int = 16,
    ) -> None:
        """
        Args:
            model: a Hub name, a model folder or an adapter folder.
            folder: where the base lies, for names that neither the Hub nor the file system knows.
            options: device, dtype and attention are used.
            batch_size: how many answers are written at once; halved where memory does not suffice.

        Raises:
            CallError: `batch_size` is no number of answers. ModelError: there is no such model.
        """
        if batch_size < 1:
            raise CallError(f"batches of {batch_size} answers", where="batch_size", next="give 1 or more")
        self.model = model
        self.account = Account()
        self._store, self._folder, self._template = store, folder, template
        self._options = options or ModelOptions(base=model, adapter=None)
        self._batch_size = batch_size
        self._server = f"local:{_answering_hash(model, folder, template, self._options)[:16]}"
        self._policy: Policy | None = None
        self._renderer: Renderer | None = None
        self._schema_tokenizer: Any = None

    @property
    def server(self) -> str:
        """`local:` and 16 digits of the hash of what answers."""
        return self._server

    def ask(self, requests: Iterable[Request], watcher: Watcher | None = None) -> Iterator[Reply]:
        """One reply to each request, each on the disk before it is given out; equal ones are asked once.

        A request's answer depends on the request and the model: its draw is seeded by its key.

        Raises:
            CallError: a request is for another model, or has what has no effect here.
            ModelError: the model cannot be loaded, or its answers cannot be held to a schema.
            ArtifactError: the store cannot be read or written.
        """
        watcher = watcher or Watcher()
        replies = self._ask(iter(requests), watcher)
        yield from self.account.counted(replies, operator.length_hint(requests), watcher)

    def _ask(self, requests: Iterator[Request], watcher: Watcher) -> Iterator[Reply]:
        # Several batches at once, so that prompts of one length come together.
        while window := list(islice(requests, min(8 * self._batch_size, sys.maxsize))):
            new: dict[str, list[Request]] = {}
            for request in window:
                self._check(request)
                stored = self._store.get(self._server, request)
                if stored is None:
                    new.setdefault(request.key(self._server), []).append(request)
                else:
                    yield read_reply(request, stored, PriceList.free())
            for replies in self._answered([equal[0] for equal in new.values()], watcher):
                for reply in replies:
                    for place, request in enumerate(new[reply.request.key(self._server)]):
                        yield _as_if_for(request, reply, is_new=not place)

    def _check(self, request: Request) -> None:
        check_request(request)
        if request.model != self.model:
            raise CallError(f'"{request.model}" was asked for, and this is {self.model}')
        if request.extra:
            raise CallError(f"extra has no effect on a local model: {', '.join(sorted(request.extra))}")

    def _answered(self, requests: Sequence[Request], watcher: Watcher) -> Iterator[list[Reply]]:
        """Replies, batch by batch. Of one batch all have one limit of tokens."""
        if not requests:
            return
        policy, renderer = self._loaded()
        room = int(getattr(policy.text_config, "max_position_embeddings", 0) or 1 << 30)
        ids = {id(request): renderer.prompt_ids(request.messages) for request in requests}
        no_room = [request for request in requests if len(ids[id(request)]) >= room]
        if no_room:
            yield [
                Reply(
                    request,
                    "failed",
                    reason=f"the prompt has {len(ids[id(request)]):,} tokens, the model room for {room:,}",
                )
                for request in no_room
            ]
        fitting = [request for request in requests if len(ids[id(request)]) < room]
        fitting.sort(key=lambda request: (request.max_tokens, len(ids[id(request)])))
        while fitting:
            limit = fitting[0].max_tokens
            batch = [request for request in fitting[: self._batch_size] if request.max_tokens == limit]
            limit = min(limit, room - max(len(ids[id(request)]) for request in batch))
            rows = [self._row(request, ids[id(request)]) for request in batch]
            began = time.monotonic()
            try:
                decoded = decode(policy, renderer, rows, limit, self._schema_tokenizer)
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                self._batch_size = len(batch) // 2
                watcher.note(f"memory is short: {self._batch_size} answers at once from here on")
                continue
            seconds = (time.monotonic() - began) / len(batch)
            yield [self._kept(r, row, d, seconds) for r, row, d in zip(batch, rows, decoded, strict=True)]
            fitting = fitting[len(batch) :]

    def _row(self, request: Request, prompt_ids: Sequence[int]) -> Row:
        if request.schema is not None and self._schema_tokenizer is None:
            self._schema_tokenizer = schema_tokenizer(*self._loaded())
        seed = int(request.key(self._server)[:15], 16)
        return Row(prompt_ids, request.temperature, request.top_p, seed, request.schema)

    def _kept(self, request: Request, row: Row, decoded: Decoded, seconds: float) -> Reply:
        if decoded.problem:
            reason = f"the answer could not be held to the schema: {decoded.problem}"
            self._store.fail(self._server, request, reason)
            return Reply(request, "failed", reason=reason)
        _, renderer = self._loaded()
        text = str(renderer.tokenizer.decode(list(decoded.ids), skip_special_tokens=True))
        cuts = [place for stop in request.stop if stop and (place := text.find(stop)) >= 0]
        text = text[: min(cuts)] if cuts else text
        body = chat_completion(
            text,
            model=self.model,
            finish_reason="stop" if decoded.finished or cuts else "length",
            usage=Usage(len(row.prompt_ids), len(decoded.ids) + decoded.finished),
        )
        form: AskedForm = "text" if request.schema is None else "schema"
        stored = self._store.put(self._server, request, body, asked_form=form, seconds=seconds)
        return read_reply(request, stored, PriceList.free(), is_new=True)

    def _loaded(self) -> tuple[Policy, Renderer]:
        if self._policy is None or self._renderer is None:
            self._policy = load_trained(self.model, self._options, folder=self._folder)
            self._renderer = Renderer(self._policy.tokenizer, self._template, self._policy.stop_ids())
        return self._policy, self._renderer


def _as_if_for(request: Request, reply: Reply, *, is_new: bool) -> Reply:
    return replace(reply, request=request, is_new=reply.is_new and is_new)


def _answering_hash(model: str, folder: Path | None, template: str, options: ModelOptions) -> str:
    """The content's hash, and another where the weights are held otherwise than the checkpoint has them."""
    digits = content_hash(model, folder, template)
    held: list[str] = [] if options.dtype == "auto" else [options.dtype]
    held += [] if options.quantization is None else [options.quantization.model_dump_json()]
    return hashlib.sha256(" ".join([digits, *held]).encode()).hexdigest() if held else digits


def content_hash(model: str, folder: Path | None, template: str) -> str:
    """sha256 over what shapes answers: weights, config, tokenizer, template, and an adapter.

    Raises:
        ModelError: there is no such model.
    """
    content = hashlib.sha256(f"{template}\n".encode())
    adapter = Path(model).expanduser()
    base: str = model
    revision: str | None = None
    if folder is None and (adapter / "adapter_config.json").is_file():
        content.update(adapter_hash(adapter).encode())
        named = base_of_adapter(adapter)
        base, revision = str(named["base"]), named["revision"]
    found = folder or resolve_model_folder(base, revision)
    if not (found / "config.json").is_file():
        own = found / "adapter"
        raise ModelError(
            "no model is in this folder",
            where=base,
            why="it holds no config.json",
            next=f"name {own}" if own.is_dir() else "name a folder that does, or a Hub model",
        )
    content.update(weights_hash(found).encode())
    for name in _SHAPES_PROMPTS:
        if (found / name).is_file():
            content.update(name.encode() + hashlib.sha256((found / name).read_bytes()).digest())
    return content.hexdigest()
