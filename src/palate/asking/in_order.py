"""Many questions to several askers, and their replies in the order of the questions."""

from __future__ import annotations

from collections.abc import Sequence

from palate.asking.requests import Asker, Reply, Request
from palate.watcher import Watcher

__all__ = ["ask_in_order"]


def ask_in_order(questions: Sequence[tuple[Asker, Request]], watcher: Watcher | None = None) -> list[Reply]:
    """A reply to each question, in the order of the questions.

    Those of one asker are put to it together, asker by asker.

    Raises:
        PalateError: nothing can be asked at all. What came in before is in the store.
    """
    places: dict[int, list[int]] = {}
    for place, (asker, _) in enumerate(questions):
        places.setdefault(id(asker), []).append(place)
    replies: dict[int, Reply] = {}
    for own in places.values():
        asker = questions[own[0]][0]
        waiting: dict[str, list[int]] = {}
        for place in own:
            waiting.setdefault(questions[place][1].key(asker.server), []).append(place)
        for reply in asker.ask([questions[place][1] for place in own], watcher):
            replies[waiting[reply.request.key(asker.server)].pop(0)] = reply
    return [replies[place] for place in range(len(questions))]
