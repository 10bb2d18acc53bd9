"""Telling by its wording that a model declined: few patterns, at the very start of a short text."""

from __future__ import annotations

import re

__all__ = ["MAX_REFUSAL_CHARACTERS", "declining_words"]

MAX_REFUSAL_CHARACTERS = 400
"""A longer text that begins like a refusal has most likely gone on to answer."""

# What is declined has to be a task: "I'm sorry, but I can't come on Friday" is a letter someone asked for.
_TASK = (
    r"(?:help|assist|comply|fulfil|provide|create|write|generate|engage|continue|answer|respond|discuss|support|"
    r"participate|complete|do that|do this)"
)
_UNABLE = r"(?:can(?:no|')?t|can not|won't|will not|am not able to|'m not able to|am unable to|'m unable to)"
_ENGLISH = (
    rf"(?:(?:i'?m|i am) (?:very |really |so )?sorry|sorry|(?:my )?apologies|i apologi[sz]e|unfortunately)"
    rf"[,.;:!]* (?:but |for [^.]{{1,60}}, but )?(?:as an ai[^,]{{0,40}}, )?i ?{_UNABLE} {_TASK}\b",
    rf"i ?{_UNABLE} (?:{_TASK} (?:with|you|to|in|any|content|that|this)\b)",
    rf"as an ai[^,]{{0,40}}, i ?(?:{_UNABLE}|must decline|don't have the ability)",
    r"i(?: must|'ll have to| have to)(?: respectfully| politely)? decline\b",
)
_CHINESE_TASK = (
    "(?:为您|为你|给您|给你)?(?:协助|提供|帮助|帮您|帮你|回答|满足|完成|继续|生成|讨论|处理|撰写|执行)"
)
_CHINESE = (
    rf"(?:很|非常|十分)?(?:抱歉|对不起|遗憾)[,，。!！、]?\s*(?:但|但是|作为[^,，]{{0,12}}[,，])?我?(?:无法|不能|不可以|不便){_CHINESE_TASK}",
    rf"作为(?:一个|一名|一款)?(?:ai|人工智能|语言模型)[^,，]{{0,12}}[,，]\s*我?(?:无法|不能|不可以){_CHINESE_TASK}",
    r"我(?:无法|不能|不可以)(?:协助|提供|帮助您|帮助你|满足|讨论|回答(?:这|该))",
)
_DECLINES = re.compile("|".join(f"(?:{pattern})" for pattern in (*_ENGLISH, *_CHINESE)), re.IGNORECASE)


def declining_words(text: str) -> str | None:
    """The words with which a text declines, or None. A guess from wording, in English and Chinese."""
    text = text.strip().replace("’", "'").lstrip("\"'*_ \n")
    if len(text) > MAX_REFUSAL_CHARACTERS:
        return None
    found = _DECLINES.match(text)
    return found[0] if found else None
