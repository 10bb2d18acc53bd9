"""Where a prompt ends and a completion begins, when a row does not say so itself."""

from __future__ import annotations

from collections.abc import Mapping

from palate.data.messages import Unusable
from palate.records import Message, Messages

__all__ = ["after_prompt", "common_turns", "with_prompt_inside"]


def after_prompt(prompt: Messages, completions: Mapping[str, Messages]) -> tuple[Messages, list[Messages]]:
    """Prompt and completions, each completion without the prompt that it may repeat at its start.

    `completions` has the completions by the names that reasons call them. A completion that repeats the
    prompt may hold a system message that the prompt lacks; when all do, it becomes the prompt's.
    """
    cut = [_without_prompt(prompt, completion, name) for name, completion in completions.items()]
    systems = [system for system, _ in cut]
    if any(system != systems[0] for system in systems):
        names = " and ".join(completions) if len(cut) == 2 else "the completions"
        raise Unusable(f"{names} repeat the prompt with different system messages")
    return systems[0] + prompt, [completion for _, completion in cut]


def _without_prompt(prompt: Messages, completion: Messages, column: str) -> tuple[Messages, Messages]:
    """The system message that only the completion has, and the completion proper."""
    if not completion or completion[0].role == "assistant":
        return (), completion
    system, rest = _split_system(completion)
    system_of_prompt, wanted = _split_system(prompt)
    # White space at the ends differs where one of the two was stripped on its way into the file.
    repeated = [(m.role, m.content.strip()) for m in rest[: len(wanted)]]
    if not wanted or repeated != [(m.role, m.content.strip()) for m in wanted]:
        raise Unusable(f'"{column}" starts with a {completion[0].role} turn that does not repeat the prompt')
    if system and system_of_prompt and system != system_of_prompt:
        raise Unusable(f'"{column}" repeats the prompt with another system message')
    return (() if system_of_prompt else system), rest[len(wanted) :]


def _split_system(messages: Messages) -> tuple[Messages, Messages]:
    is_system = bool(messages) and messages[0].role == "system"
    return (messages[:1], messages[1:]) if is_system else ((), messages)


def common_turns(chosen: Messages, rejected: Messages) -> tuple[Messages, Messages, Messages]:
    """Two whole dialogues as their shared prompt and what each says after it.

    The prompt is the longest common beginning after which both go on with an assistant turn that answers
    somebody. Dialogues that part before their last turn give completions of several turns. White space at
    the ends of a turn does not make it another turn; the prompt is written as in `chosen`.
    """
    shared = 0
    while shared < min(len(chosen), len(rejected)) and _same_turn(chosen[shared], rejected[shared]):
        shared += 1
    for cut in range(shared, 0, -1):
        answers = [side[cut].role if cut < len(side) else None for side in (chosen, rejected)]
        if answers == ["assistant", "assistant"] and chosen[cut - 1].role != "assistant":
            return chosen[:cut], chosen[cut:], rejected[cut:]
    raise Unusable("chosen and rejected share no prompt that both answer")


def _same_turn(one: Message, other: Message) -> bool:
    return one.role == other.role and (
        one.content == other.content or one.content.strip() == other.content.strip()
    )


def with_prompt_inside(
    prompt: Messages, chosen: Messages, rejected: Messages
) -> tuple[Messages, Messages, Messages]:
    """Prompt, chosen and rejected of two whole dialogues, beside which a text repeats a part of the prompt.

    The text may be what the user says first, or last before the sides part; the prompt is all turns that
    both share.

    Raises:
        Unusable: the sides share no prompt, or the text is none of its user turns.
    """
    try:
        asked, (better, worse) = after_prompt(prompt, {"chosen": chosen, "rejected": rejected})
    except Unusable as reason:
        try:
            whole = common_turns(chosen, rejected)
        except Unusable:
            raise reason from None
        said = {message.content.strip() for message in whole[0] if message.role == "user"}
        if prompt[-1].content.strip() not in said:
            raise
        return whole
    if better and worse and better[0].role == worse[0].role == "assistant":
        return common_turns(asked + better, asked + worse)
    return asked, better, worse
