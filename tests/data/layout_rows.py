"""One preference as each layout writes it, and rows of each layout in its usual variations."""

from __future__ import annotations

from typing import Any

from said import dicts

ASKED, BETTER, WORSE = "Is the mill open?", "Yes, until six.", "No idea."
PROMPT, CHOSEN, REJECTED = dicts(f"u: {ASKED}"), dicts(f"a: {BETTER}"), dicts(f"a: {WORSE}")
HUMAN = f"\n\nHuman: {ASKED}\n\nAssistant:"


def turn(speaker: str, value: str) -> dict[str, str]:
    """A turn as ShareGPT has it."""
    return {"from": speaker, "value": value}


PAIR_ROWS: dict[str, list[dict[str, Any]]] = {
    "strings": [{"prompt": ASKED, "chosen": BETTER, "rejected": WORSE}],
    "messages": [
        {"prompt": PROMPT, "chosen": CHOSEN, "rejected": REJECTED},
        {
            "prompt": [turn("human", ASKED)],
            "chosen": [turn("gpt", BETTER)],
            "rejected": repr([turn("gpt", WORSE)]),
        },
    ],
    "mixed": [
        {"prompt": ASKED, "chosen": CHOSEN, "rejected": REJECTED},
        # As UltraFeedback is binarized: the prompt once more inside both, and all of chosen in "messages".
        {
            "prompt": ASKED,
            "prompt_id": "7",
            "chosen": PROMPT + CHOSEN,
            "rejected": PROMPT + REJECTED,
            "messages": PROMPT + CHOSEN,
        },
    ],
    "question": [{"system": "", "question": ASKED, "chosen": BETTER, "rejected": WORSE}],
    "transcript": [{"chosen": f"{HUMAN} {BETTER}", "rejected": f"{HUMAN} {WORSE}"}],
    "implicit": [
        {"chosen": PROMPT + CHOSEN, "rejected": PROMPT + REJECTED},
        {"prompt": None, "chosen": PROMPT + CHOSEN, "rejected": PROMPT + REJECTED, "dataset": "x"},
        {"chosen": repr(PROMPT + CHOSEN), "rejected": repr(PROMPT + REJECTED)},
        {"messages": PROMPT + CHOSEN, "chosen": PROMPT + CHOSEN, "rejected": PROMPT + REJECTED},
        {
            "chosen": [turn("human", ASKED), turn("gpt", BETTER)],
            "rejected": [turn("human", ASKED), turn("gpt", WORSE)],
        },
    ],
    "sharegpt": [
        {
            "conversations": [turn("human", ASKED)],
            "chosen": turn("gpt", BETTER),
            "rejected": turn("gpt", WORSE),
        },
        {
            "conversations": [turn("human", ASKED)],
            "chosen": [turn("gpt", BETTER)],
            "rejected": [turn("gpt", WORSE)],
            "tools": "[]",
        },
        {"conversations": PROMPT, "chosen": CHOSEN[0], "rejected": REJECTED[0], "system": None},
        {"conversations": [turn("human", ASKED)], "chosen": BETTER, "rejected": WORSE},
        {"messages": PROMPT, "chosen": CHOSEN[0], "rejected": REJECTED[0]},
    ],
    "openai": [
        {
            "input": {"messages": PROMPT, "tools": [], "parallel_tool_calls": True},
            "preferred_output": CHOSEN,
            "non_preferred_output": REJECTED,
        },
        {"input": {"messages": PROMPT}, "preferred_output": CHOSEN, "non_preferred_output": REJECTED},
    ],
    "arena": [
        {
            "conversation_a": PROMPT + REJECTED,
            "conversation_b": PROMPT + CHOSEN,
            "winner": "model_b",
            "model_a": "big",
            "model_b": "small",
        },
        {"conversation_a": PROMPT + CHOSEN, "conversation_b": PROMPT + REJECTED, "winner": "model_a"},
    ],
    "instruction": [
        {"id": "1", "instruction": ASKED, "chosen": BETTER, "rejected": WORSE, "split": "train"},
        {"instruction": ASKED, "input": "", "chosen": BETTER, "rejected": WORSE, "history": []},
        {"instruction": ASKED, "input": None, "output": [BETTER, WORSE]},
    ],
    "stackexchange": [
        {"qid": 3, "question": ASKED, "date": "", "metadata": [], "response_j": BETTER, "response_k": WORSE}
    ],
    "shp": [
        {"history": ASKED, "human_ref_A": BETTER, "human_ref_B": WORSE, "labels": 1},
        {"history": ASKED, "human_ref_A": WORSE, "human_ref_B": BETTER, "labels": 0},
    ],
    "saferlhf": [
        {"prompt": ASKED, "response_0": BETTER, "response_1": WORSE, "better_response_id": 0},
        {
            "prompt": ASKED,
            "response_0": WORSE,
            "response_1": BETTER,
            "better_response_id": 1,
            "safer_response_id": 0,
            "is_response_0_safe": True,
            "is_response_1_safe": False,
        },
    ],
    "webgpt": [
        {
            "question": {"dataset": "x", "id": "1", "full_text": ASKED},
            "answer_0": WORSE,
            "score_0": -0.5,
            "answer_1": BETTER,
            "score_1": 0.5,
        },
        {"question": ASKED, "answer_0": BETTER, "score_0": 1, "answer_1": WORSE, "score_1": -1},
    ],
    "helpsteer3": [
        {"context": PROMPT, "response1": WORSE, "response2": BETTER, "overall_preference": 1},
        {"context": PROMPT, "response1": BETTER, "response2": WORSE, "overall_preference": -1},
    ],
}
"""Rows that all say: ASKED, and BETTER is better than WORSE."""

POST = {"id": "t3_1", "post": "The mill was closed.", "title": "The mill", "subreddit": "mills"}

OTHER_ROWS: dict[str, list[dict[str, Any]]] = {
    "stance": [{"prompt": ASKED, "support": BETTER, "oppose": WORSE}],
    "summaries": [
        {"info": POST, "summaries": [{"text": "No."}, {"text": "Closed."}], "choice": 1},
        {
            "info": {"id": "9", "article": "It rained."},
            "summaries": [{"text": "Rain.", "policy": "ref"}, {"text": "Sun.", "policy": "sup1"}],
            "choice": 0,
        },
    ],
    "labels": [{"prompt": ASKED, "completion": BETTER, "label": True}],
    "kto_tag": [
        {"messages": PROMPT + CHOSEN, "kto_tag": True},
        {"conversations": [turn("human", ASKED), turn("gpt", BETTER)], "kto_tag": True},
        {"instruction": ASKED, "input": "", "output": BETTER, "kto_tag": True},
        {"messages": PROMPT + CHOSEN, "label": True},
    ],
    "ranking": [{"prompt": ASKED, "completions": [BETTER, WORSE]}],
    "ultrafeedback": [
        {
            "source": "x",
            "instruction": ASKED,
            "models": ["a", "b"],
            "completions": [
                {"model": "a", "response": WORSE, "overall_score": 3.5},
                {"model": "b", "response": BETTER, "overall_score": 8},
            ],
        }
    ],
    "nectar": [
        {
            "prompt": HUMAN + " ",
            "answers": [
                {"answer": WORSE, "model": "a", "rank": 2.0},
                {"answer": BETTER, "model": "b", "rank": 1.0},
            ],
            "turns": 1,
        }
    ],
}
"""Rows of the layouts that do not say that, or not in a pair."""

ALL_ROWS = {**PAIR_ROWS, **OTHER_ROWS}
