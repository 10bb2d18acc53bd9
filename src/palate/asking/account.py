"""What asking took: requests, tokens, money and what became of them, by model."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from palate.asking.requests import Reply
from palate.watcher import Watcher

__all__ = ["Account", "ModelAccount"]

_MAX_REASONS = 20
_MAX_REASONS_HELD = 1000
_OTHERS = "others"


@dataclass(slots=True)
class ModelAccount:
    """One model's part. Tokens and cost are those of new responses; what the store gave was paid before."""

    num_new: int = 0
    """Requests whose response came now."""
    num_stored: int = 0
    """Requests whose response was in the store."""
    num_without: int = 0
    """Requests without any response: failed, or not asked."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    num_estimated: int = 0
    """New responses whose tokens the server did not count."""
    cost: float | None = 0.0
    """None where the model has no price."""
    stored_cost: float | None = 0.0
    """What the stored responses would cost now."""
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By status and reason."""
    retries: Counter[str] = field(default_factory=Counter)
    """Attempts after which another followed, by reason."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        reasons = [
            {"status": status, "reason": reason, "count": count}
            for (status, reason), count in self.reasons.most_common(_MAX_REASONS)
        ]
        rest = sum(count for _, count in self.reasons.most_common()[_MAX_REASONS:])
        if rest:
            reasons.append({"status": "", "reason": _OTHERS, "count": rest})
        return {
            "num_requests": self.num_new + self.num_stored + self.num_without,
            "num_new": self.num_new,
            "num_stored": self.num_stored,
            "num_without_response": self.num_without,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
            "num_estimated": self.num_estimated,
            "cost": self.cost,
            "stored_cost": self.stored_cost,
            "statuses": dict(self.statuses),
            "reasons": reasons,
            "num_retries": sum(self.retries.values()),
            "retries": dict(self.retries.most_common(_MAX_REASONS)),
        }


@dataclass(slots=True)
class Account:
    """Everything that was asked through one endpoint. Each reply counts once. Threads may share it."""

    currency: str = ""
    models: dict[str, ModelAccount] = field(default_factory=dict)
    wall_seconds: float = 0.0
    """Time during which something was asked, as a watch on the wall has it."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, reply: Reply) -> None:
        """Count a reply."""
        with self._lock:
            model = self.models.setdefault(reply.request.model, ModelAccount())
            model.statuses[reply.status] += 1
            if reply.reason:
                known = (reply.status, reply.reason) in model.reasons
                reason = reply.reason if known or len(model.reasons) < _MAX_REASONS_HELD else _OTHERS
                model.reasons[reply.status, reason] += 1
            if reply.status in ("failed", "not_asked"):
                model.num_without += 1
            elif not reply.is_new:
                model.num_stored += 1
                model.stored_cost = _sum(model.stored_cost, reply.cost)
            else:
                model.num_new += 1
                model.prompt_tokens += reply.usage.prompt_tokens
                model.cached_tokens += reply.usage.cached_tokens
                model.completion_tokens += reply.usage.completion_tokens
                model.num_estimated += reply.usage.estimated
                model.cost = _sum(model.cost, reply.cost)

    def add_retry(self, model: str, reason: str) -> None:
        """Count an attempt that is followed by another."""
        with self._lock:
            self.models.setdefault(model, ModelAccount()).retries[reason] += 1

    @property
    def cost(self) -> float | None:
        """Of all models' new responses; None where one of them has no price."""
        costs = [model.cost for model in self.models.values()]
        return None if None in costs else sum(cost or 0.0 for cost in costs)

    def count(self, *statuses: str) -> int:
        """How many replies have one of these statuses."""
        return sum(model.statuses[status] for model in self.models.values() for status in statuses)

    def counted(self, replies: Iterable[Reply], total: int, watcher: Watcher) -> Iterator[Reply]:
        """The replies, each counted as it is given out, and their time; a bar where `total` is known."""
        if total:
            watcher.begin("asking", total)
        began = time.monotonic()
        try:
            for num_done, reply in enumerate(replies, 1):
                self.add(reply)
                if total:
                    watcher.advance(num_done, self.in_words())
                yield reply
        finally:
            self.wall_seconds += time.monotonic() - began
            if total:
                watcher.end()

    @property
    def num_replies(self) -> int:
        """All of them."""
        return sum(sum(model.statuses.values()) for model in self.models.values())

    def in_words(self) -> str:
        """The state in a few words, for a progress bar."""
        parts = []
        bad = self.num_replies - self.count("answered")
        stored = sum(model.num_stored for model in self.models.values())
        if bad:
            parts.append(f"{bad} without an answer")
        if stored:
            parts.append(f"{stored} from the store")
        if self.cost:
            parts.append(f"cost {self.cost:.4g} {self.currency}".rstrip())
        return ", ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        with self._lock:
            return {
                "currency": self.currency,
                "cost": self.cost,
                "wall_seconds": round(self.wall_seconds, 3),
                "models": {name: model.as_dict() for name, model in self.models.items()},
            }


def _sum(total: float | None, cost: float | None) -> float | None:
    return None if total is None or cost is None else total + cost
