"""Items and events for tests of what votes add up to; events are numbered in the order they are made."""

from __future__ import annotations

from dataclasses import replace

from palate.annotate.ballots import Ballots
from palate.annotate.events import Event, Item, Task
from palate.records import Comparison, Message, Provenance


def comparison(prompt: str, a: str, b: str, models: tuple[str, str] | None = None) -> Comparison:
    detail = {} if models is None else {"a": {"model": models[0]}, "b": {"model": models[1]}}
    return Comparison(
        (Message("user", prompt),),
        (Message("assistant", a),),
        (Message("assistant", b),),
        Provenance("made.jsonl", 7, detail),
    )


def items_of(*comparisons: Comparison, task: Task = "label") -> list[Item]:
    return [Item(each, task, number) for number, each in enumerate(comparisons, 1)]


def some_items(num: int, models: tuple[str, str] | None = None) -> list[Item]:
    """Items of a prompt each."""
    return items_of(*(comparison(f"p{number}", "one", "other", models) for number in range(num)))


def grid(num_prompts: int, num_completions: int) -> list[Item]:
    """Every two completions of each prompt."""
    return items_of(
        *(
            comparison(f"p{prompt}", f"c{first}", f"c{second}")
            for prompt in range(num_prompts)
            for first in range(num_completions)
            for second in range(first + 1, num_completions)
        )
    )


class Box:
    """A ballot box: makes events, numbers them and folds them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ballots = Ballots()

    def put(self, event: Event) -> Event:
        numbered = replace(event, number=len(self.events) + 1)
        self.events.append(numbered)
        self.ballots.apply(numbered)
        return numbered

    def vote(self, item: Item | str, choice: str = "a", by: str = "ann", **more: object) -> Event:
        return self._put("vote", item, by, choice=choice, **more)

    def skip(self, item: Item | str, by: str = "ann", **more: object) -> Event:
        return self._put("skip", item, by, **more)

    def adjudicate(self, item: Item | str, choice: str, by: str = "ann") -> Event:
        return self._put("adjudicate", item, by, choice=choice)

    def undo(self, event: Event, by: str | None = None) -> Event:
        return self._put("undo", event.item, by or event.annotator, repeat=event.repeat, undoes=event.key)

    def _put(self, kind: str, item: Item | str, by: str, **more: object) -> Event:
        key = f"k{len(self.events) + 1}"
        id = item if isinstance(item, str) else item.id
        return self.put(Event(**{"key": key, "annotator": by, "kind": kind, "item": id, **more}))
