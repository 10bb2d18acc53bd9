"""Whether a prompt speaks of a text that it does not hold: what the audit reports, and no triple may do."""

from __future__ import annotations

import re

__all__ = ["MAX_CHARACTERS", "speaks_of_unseen_text"]

MAX_CHARACTERS = 400
"""A prompt longer than this may hold the text it speaks of."""
_MAX_CJK_CHARACTERS = 150

_TEXT = r"(?:extract|excerpt|passage|context|document|article|text|paragraph|snippet|transcript|essay)s?"
_VERB = (
    r"(?:says?|states?|describes?|discuss(?:es)?|mentions?|provides?|suggests?|presents?|addresses|address|"
    r"reach(?:es)?|refers?|argues?|explains?|highlights?|impl(?:y|ies)|illustrates?|conveys?|emphasi[sz]es?|"
    r"indicates?|outlines?|portrays?|identif(?:y|ies)|define[sd]?|claims?|concludes?|shows?|uses?|raises?|"
    r"recommends?|propose[sd]?|reveals?|covers?|focus(?:es)?|offers?|give[ns]?|provided|above|below|"
    r"make[s]?|made|express(?:es)?|view[s]?|believe[sd]?|think[s]?|feel[s]?|support[s]?)"
)
_WRITER = r"(?:authors?|writer|narrator|speaker|study|story|narrative)"
_ENGLISH = (
    # "the extract?", "this passage describes", "the given context"; not "the context of", "the text editor"
    rf"\b(?:the|this|these|that)\s+(?:(?:provided|given|above|following|original|attached|entire|whole)\s+)?"
    rf"{_TEXT}(?:['’]s\b|(?=\s*(?:[?.!,;)]|$))|(?=\s+{_VERB}\b))"
    rf"|\b(?:above|given|provided)\s+{_TEXT}\b"
    # "did the authors make", "according to the author"; not "the author of Emma"
    rf"|\b(?:do|does|did|has|have)\s+the\s+{_WRITER}\b(?!\s+of\b)"
    rf"|\baccording\s+to\s+the\s+(?:{_WRITER}|{_TEXT})\b(?!\s+of\b)"
    rf"|\bthe\s+authors?['’]s?\s"
)
_CHINESE = (
    "(?:这|這|该|該|此|上述|以上|上面的?|下面的?|下列)(?:一)?(?:段|篇|份|个|個|則|则)?"
    "(?:文本|文章|段落|文字|摘录|摘錄|节选|節選|材料|短文|文档|文檔|上下文|报道|報導)"
    "|(?:根据|根據|依据|依據|结合|結合)(?:上下文|文章|文本|材料|短文|原文)"
    "|文中(?:提到|指出|所|的)|作者(?:认为|認為|指出|提到|提出|的观点|的觀點|是如何|如何|为什么|為什麼)"
)
_SPEAKS = re.compile(f"{_ENGLISH}|{_CHINESE}", re.IGNORECASE)
_HINTS = (
    "extract", "excerpt", "passage", "context", "document", "article", "text", "paragraph", "snippet",
    "transcript", "essay", "author", "writer", "narrator", "speaker", "study", "story", "narrative",
    "文", "作者", "段", "材料", "报道", "報導", "摘",
)  # fmt: skip
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
_GIVEN = re.compile(
    r"\n"  # something follows, or goes before, on a line of its own
    r"|[:：]\s*\S.{30,}"  # "Summarise this text: ..."
    r"|[\"“”«»「『].{30,}?[\"“”«»」』]"
    r"|[:：]\s*[\"“«「『].{8,}"
    r"|```|https?://"
)


def speaks_of_unseen_text(prompt: str) -> re.Match[str] | None:
    """Where a prompt, its turns as one text, speaks of a text that it cannot hold; None where it does not.

    The rule: words such as "the extract", "this passage describes" or "according to the author" (English and
    Chinese) in a prompt of at most 400 characters (150 where it is Chinese or Japanese) without a line
    break, a quotation, code, a link, or 30 characters after a colon. A longer prompt is not judged.
    """
    if len(prompt) > MAX_CHARACTERS:
        return None
    plain = prompt.lower()
    # A substring is found many times faster than the pattern matches.
    if not any(hint in plain for hint in _HINTS) or (found := _SPEAKS.search(prompt)) is None:
        return None
    too_long = len(prompt) > _MAX_CJK_CHARACTERS and len(_CJK.findall(prompt)) * 2 > len(prompt)
    return None if too_long or _GIVEN.search(prompt.strip()) else found
