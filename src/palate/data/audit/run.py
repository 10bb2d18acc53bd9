"""The auditor: one pass over the rows for every check, and another only for what has to be quoted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from palate.data.audit.check import AuditedRecord, Check, Side
from palate.data.audit.draft import Draft, Quotes, finished, quoted
from palate.data.audit.finding import CHECKS, MAX_EXAMPLES, Audit, CheckName, Finding, SourceAccount
from palate.data.audit.index import RowIndex
from palate.data.audit.languages import LanguageMix
from palate.data.audit.near_duplicates import NearDuplicates
from palate.data.audit.phrases import OneSidedPhrases
from palate.data.audit.relations import relations
from palate.data.audit.set_aside import SetAsideRows
from palate.data.audit.sides import EmptySides, IdenticalPairs
from palate.data.audit.template_tokens import TemplateTokens
from palate.data.audit.token_checks import TokenCheck, Tokens
from palate.data.audit.unseen_context import UnseenContext
from palate.data.audit.verbatim import NotVerbatim
from palate.data.reading import RecordStream
from palate.records import Document, SetAside
from palate.watcher import Watcher

__all__ = ["audit_source", "build_checks"]

_SEVERITIES = ("error", "warning", "info")
_ROWS_BETWEEN_NEWS = 1000


def build_checks(*, documents: Iterable[Document] | None = None, tokens: Tokens | None = None) -> list[Check]:
    """Every check that looks at one record at a time."""
    checks: list[Check] = [
        SetAsideRows(),
        IdenticalPairs(),
        EmptySides(),
        TemplateTokens(tokens.special_tokens if tokens is not None else ()),
        LanguageMix(),
        UnseenContext(),
        OneSidedPhrases(),
    ]
    if tokens is not None:
        checks.append(TokenCheck(tokens))
    if documents is not None:
        checks.append(NotVerbatim(documents))
    return checks


def _not_checked(train: RecordStream, against: RecordStream | None) -> Iterator[tuple[CheckName, str]]:
    """The checks that cannot be made without more than was given."""
    if against is None:
        yield "leak_prompt", "held-out rows: --against FILE"
        yield "leak_completion", "held-out rows: --against FILE"
        yield "counting_baseline", "held-out rows: --against FILE"
    elif "labels" in (train.kind, against.kind):
        yield "counting_baseline", "comparisons on both sides; a label compares its completion with none"


def audit_source(
    train: RecordStream,
    against: RecordStream | None = None,
    *,
    near_duplicates: bool = True,
    documents: Iterable[Document] | None = None,
    tokens: Tokens | None = None,
    watcher: Watcher | None = None,
) -> Audit:
    """Everything the checks find in a source, and between it and the held-out rows of `against`.

    The source is read once, and its beginning a second time where examples have to be quoted or near
    duplicates verified. Memory grows by about 100 bytes a pair, not with the length of its texts.

    Raises:
        DataError: as reading either source does.
    """
    near = NearDuplicates() if near_duplicates else None
    auditor = _Auditor(
        train, against, build_checks(documents=documents, tokens=tokens), near, watcher or Watcher()
    )
    auditor.go_through()
    drafts = [*relations(auditor.index), *auditor.near_duplicates()]
    quotes = auditor.quote({row for draft in drafts for row in draft.rows})
    findings = [finding for check in auditor.checks for finding in check.findings()]
    findings += [finished(draft, quotes) for draft in drafts]
    account = auditor.account("train", train)
    skipped = dict(_not_checked(train, against))
    if not near_duplicates:
        skipped["duplicate_near"] = "the search for them: --near-duplicates"
    if documents is None:
        skipped["not_verbatim"] = "the documents that completions are taken from: --documents FILE"
    if tokens is None:
        skipped |= dict.fromkeys(
            ("boundary", "eos", "truncation"), "a tokenizer: --model NAME (a run has one)"
        )
    return Audit(
        sources=(train.source, *([against.source] if against else [])),
        num_rows=account.num_rows,
        num_kept=account.num_kept,
        num_set_aside=account.num_set_aside,
        findings=merged(findings),
        not_checked={name: skipped[name] for name in CHECKS if name in skipped},
        layout=account.layout,
        kind=account.kind,
        against=None if against is None else auditor.account("eval", against),
    )


@dataclass(slots=True)
class _Counts:
    num_kept: int = 0
    num_set_aside: int = 0


class _Auditor:
    """Leads every check over the rows of both sides."""

    def __init__(
        self,
        train: RecordStream,
        against: RecordStream | None,
        checks: list[Check],
        near: NearDuplicates | None,
        watcher: Watcher,
    ) -> None:
        self.streams: list[tuple[Side, RecordStream]] = [("train", train)]
        if against is not None:
            self.streams.append(("eval", against))
        self.checks, self.near, self.watcher, self.index = checks, near, watcher, RowIndex()
        self._counts: dict[Side, _Counts] = {"train": _Counts(), "eval": _Counts()}

    def go_through(self) -> None:
        """Show every row to every check."""
        for side, stream in self.streams:
            counts, checks, index = self._counts[side], self.checks, self.index
            self.watcher.begin(f"auditing {stream.source}", stream.num_rows or 0)
            for number, item in enumerate(stream):
                if isinstance(item, SetAside):
                    counts.num_set_aside += 1
                    for check in checks:
                        check.see_set_aside(item, side)
                else:
                    record = AuditedRecord(item, side, counts.num_kept)
                    counts.num_kept += 1
                    index.see(record)
                    if self.near is not None:
                        self.near.see(record)
                    for check in checks:
                        check.see(record)
                if number % _ROWS_BETWEEN_NEWS == 0:
                    self.watcher.advance(number)
            self.watcher.end()

    def again(self, rows: set[int]) -> Iterator[tuple[int, AuditedRecord]]:
        """The records with these numbers of the index, read once more."""
        number, last = 0, max(rows, default=-1)
        for side, stream in self.streams:
            if number > last:
                return
            first = number
            for item in stream:
                if isinstance(item, SetAside):
                    continue
                if number in rows:
                    yield number, AuditedRecord(item, side, number - first)
                number += 1
                if number > last:
                    return

    def near_duplicates(self) -> list[Draft]:
        """Those that are, after a close look at those that may be."""
        if self.near is None or self.index.kind("train") is None:
            return []
        candidates = self.near.candidates(self.index)
        candidates.verify(self.again(candidates.wanted))
        return list(candidates.drafts())

    def quote(self, rows: set[int]) -> Quotes:
        """What examples say of these rows."""
        return {number: quoted(record) for number, record in self.again(rows)}

    def account(self, side: Side, stream: RecordStream) -> SourceAccount:
        """What became of a side's rows."""
        counts = self._counts[side]
        num_rows = counts.num_kept + counts.num_set_aside
        return SourceAccount(
            stream.source, stream.layout, stream.kind, num_rows, counts.num_kept, counts.num_set_aside
        )


def merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """One finding of each check, the gravest first. Where several checks found one thing, counts add up."""
    by_name: dict[CheckName, Finding] = {}
    for finding in findings:
        earlier = by_name.get(finding.check)
        by_name[finding.check] = finding if earlier is None else _both(earlier, finding)
    order = {name: place for place, name in enumerate(CHECKS)}
    return tuple(
        sorted(by_name.values(), key=lambda found: (_SEVERITIES.index(found.severity), order[found.check]))
    )


def _both(one: Finding, other: Finding) -> Finding:
    return Finding(
        one.check,
        min(one.severity, other.severity, key=_SEVERITIES.index),
        one.count + other.count,
        (*one.examples, *other.examples)[:MAX_EXAMPLES],
        f"{one.meaning} {other.meaning}",
        one.remedy if one.remedy == other.remedy else f"{one.remedy} {other.remedy}",
        {**one.figures, **other.figures},
        one.num_kept + other.num_kept,
    )
