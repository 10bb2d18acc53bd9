"""Extracts to pairs: a model writes instructions and answers; the other answer is the writer's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from palate.asking import Reply, Request
from palate.errors import CallError
from palate.generate.asking import Generator, ask_all, check_sampling, count_replies, lineage, unusable_row
from palate.generate.triple_filters import Triple, TripleFilters
from palate.generate.triple_prompt import PROMPT_VERSION, spans_for, triple_messages, triple_schema
from palate.generate.verification import MIN_SIMILARITY, Located, locate
from palate.records import Extract, Message, Messages, Pair, Provenance
from palate.watcher import Watcher

__all__ = ["Triples", "generate_triples"]


@dataclass(frozen=True, slots=True)
class Triples:
    """Pairs, and what was not used."""

    pairs: tuple[Pair, ...]
    set_aside: tuple[dict[str, Any], ...]
    """A row for each reply that is no answer and each triple that did not pass, with stage and reason."""
    account: dict[str, Any]
    """Counts. Triples = pairs + not verbatim + filtered + repeated."""


def generate_triples(
    extracts: Sequence[Extract],
    generator: Generator,
    *,
    num_triples: int = 5,
    filters: TripleFilters | None = None,
    min_similarity: float = MIN_SIMILARITY,
    system: str | None = None,
    temperature: float = 0.7,
    top_p: float = 1.0,
    max_tokens: int = 4096,
    seed: int | None = 0,
    held_to_schema: bool = False,
    watcher: Watcher | None = None,
) -> Triples:
    """`num_triples` of each extract: chosen is the answer taken from it, rejected the one the model wrote.

    The answer that is said to be from the extract has to be: it is looked for there (`locate`), and the pair
    has the extract's own characters. `held_to_schema` is for a model whose every token is held to the schema:
    then the schema lists the extract's runs of sentences, and gives the other texts a form that passes.
    `system` is put before every pair's prompt; `seed` goes to the model, None to none.

    Raises:
        CallError: there is no extract, or a number is out of bounds. PalateError: nothing can be asked at
            all.
    """
    filters = filters or TripleFilters()
    if not extracts or num_triples < 1:
        raise CallError("triples need one extract or more, and one triple of each or more")
    check_sampling(temperature, top_p, max_tokens)
    if not 0 < min_similarity <= 100:
        raise CallError(f"a similarity of {min_similarity:g}: it is a percentage", where="min_similarity")
    work = _Work(generator, filters, min_similarity, system)
    questions: list[tuple[Generator, Request]] = []
    asked: list[Extract] = []
    for extract in extracts:
        spans = spans_for(extract, filters) if held_to_schema else None
        if spans == []:
            work.set_aside_extract(extract, "no run of its sentences passes the filters")
            continue
        schema = triple_schema(num_triples, spans=spans, filters=filters)
        messages = triple_messages(extract, num_triples, filters)
        request = Request(
            generator.model, messages, 0, temperature, top_p, max_tokens, seed=seed, schema=schema
        )
        questions.append((generator, request))
        asked.append(extract)
    replies = [reply for _, reply in ask_all(questions, watcher)]
    for extract, reply in zip(asked, replies, strict=True):
        work.take(extract, reply)
    return Triples(
        tuple(work.pairs), tuple(work.rows), {"num_extracts": len(extracts), **work.account(replies)}
    )


class _Work:
    """Replies in, pairs and rows set aside out."""

    def __init__(
        self, generator: Generator, filters: TripleFilters, min_similarity: float, system: str | None
    ) -> None:
        self.generator, self.filters = generator, filters
        self.min_similarity, self.system = min_similarity, system
        self.pairs: list[Pair] = []
        self.rows: list[dict[str, Any]] = []
        self.num_triples = self.num_repaired = self.num_not_asked_for = 0
        self.left_out: Counter[str] = Counter()
        self._seen: set[tuple[str, str]] = set()

    def account(self, replies: Sequence[Reply]) -> dict[str, Any]:
        """The counts of every stage."""
        filtered = {
            name: num for name, num in self.left_out.items() if name not in ("not_verbatim", "repeated")
        }
        return {
            "num_extracts_without_span": self.num_not_asked_for,
            **count_replies(replies),
            "num_triples": self.num_triples,
            "num_not_verbatim": self.left_out["not_verbatim"],
            "filtered": filtered,
            "num_repeated": self.left_out["repeated"],
            "num_repaired": self.num_repaired,
            "num_pairs": len(self.pairs),
        }

    def set_aside_extract(self, extract: Extract, reason: str) -> None:
        """An extract that nothing can be asked about."""
        self.num_not_asked_for += 1
        self.rows.append({"stage": "extracts", "reason": reason, **_origin(extract), "text": extract.text})

    def take(self, extract: Extract, reply: Reply) -> None:
        """A reply's triples, each as a pair or set aside."""
        if not reply.is_answer:
            self.rows.append({**unusable_row(self.generator, reply), **_origin(extract)})
            return
        said = lineage(self.generator, reply)
        for number, item in enumerate(reply.parsed["triples"]):
            self.num_triples += 1
            found = locate(item["extracted_answer"], extract.text, extract.sentences, self.min_similarity)
            text = extract.text[found.start : found.end] if found else item["extracted_answer"].strip()
            triple = Triple(_told(item, "instruction"), _told(item, "generated_answer"), text)
            reason = self._reason(triple, extract, found)
            if found is None or reason:
                self.left_out[reason] += 1
                told = {"number": number, **_as_row(triple)}
                self.rows.append({"stage": "triples", "reason": reason, **_origin(extract), **said, **told})
                continue
            self.num_repaired += found.repaired
            self.pairs.append(self._pair(triple, extract, found, said))

    def _reason(self, triple: Triple, extract: Extract, found: Located | None) -> str:
        if found is None:
            return "not_verbatim"
        if reason := self.filters.reason(triple):
            return reason
        own = locate(triple.generated, extract.text, (), 100.0)
        if own is not None:
            return "generated_verbatim"
        if (key := (triple.instruction.casefold(), triple.extracted)) in self._seen:
            return "repeated"
        self._seen.add(key)
        return ""

    def _pair(self, triple: Triple, extract: Extract, found: Located, said: Mapping[str, Any]) -> Pair:
        opening: Messages = () if self.system is None else (Message("system", self.system),)
        detail = {
            **extract.provenance.detail,
            **{name: value for name, value in _origin(extract).items() if name not in ("source", "line")},
            "span": [found.start, found.end],
            "repaired": found.repaired,
            "similarity": found.similarity,
            "prompt_version": PROMPT_VERSION,
            **said,
        }
        return Pair(
            (*opening, Message("user", triple.instruction)),
            (Message("assistant", triple.extracted),),
            (Message("assistant", triple.generated),),
            Provenance(extract.provenance.source, extract.provenance.line, detail),
        )


def _told(item: Mapping[str, str], name: str) -> str:
    return item[name].strip()


def _as_row(triple: Triple) -> dict[str, str]:
    return {
        "instruction": triple.instruction,
        "generated_answer": triple.generated,
        "extracted_answer": triple.extracted,
    }


def _origin(extract: Extract) -> dict[str, Any]:
    return {
        "source": extract.provenance.source,
        "line": extract.provenance.line,
        "document": extract.document,
        "extract": extract.id,
        "extract_number": extract.number,
    }
