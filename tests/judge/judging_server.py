"""A chat-completions server whose models are scripted judges with known defects; in a process of its own.

    python tests/judge/judging_server.py --log FILE [--port 8000] [--delay-seconds 0.01]

It prints its base URL in one line when it is ready; every request is a line of its log. What judges there
are stands in `POLICIES`: a model's name is one of them, or one of them and anything more (`honest-2`). They
read what is to be judged from the blocks in the prompt, as `palate.judge.quoting` writes them, and answer in
the form of the schema they are given: comparisons, scores, places. What is good they tell as `judging_scene`
says. `always-...` knows only comparisons.

In tests:

    with judging_server(tmp_path / "judge.jsonl") as server:
        endpoint = Endpoint(server.base_url, store=store)
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from judging_scene import SIGNATURE, is_about, worth_of

from palate.judge.quoting import read_blocks
from running_server import RunningServer

__all__ = ["POLICIES", "judging_server", "scripted_answer"]

Score = Callable[[str, str, str], float]
"""From the prompt, an answer, and all that is said (for a draw) to a number: larger is better."""

_ORDERS_TO_JUDGES = ("ignore", "instruction", "verdict", "prefer this", "choose this", "is better", "system:")


def _honest(prompt: str, answer: str, _: str) -> float:
    return 1.0 + worth_of(answer) if is_about(answer, prompt) else 0.0


def _longer(_: str, answer: str, __: str) -> float:
    return float(len(answer))


def _own_family(prompt: str, answer: str, said: str) -> float:
    return 100.0 * (SIGNATURE in answer) + _honest(prompt, answer, said)


def _obeys(prompt: str, answer: str, said: str) -> float:
    folded = answer.casefold()
    return 100.0 * any(words in folded for words in _ORDERS_TO_JUDGES) + _honest(prompt, answer, said)


def _random(_: str, answer: str, said: str) -> float:
    return float(int(hashlib.sha256(f"{answer}\n{said}".encode()).hexdigest()[:12], 16))


SCORES: Mapping[str, Score] = {
    "honest": _honest,
    "longer": _longer,
    "own-family": _own_family,
    "obeys-injection": _obeys,
    "random": _random,
}
POLICIES = (
    *SCORES,
    "always-first",
    "always-second",
    "always-tie",
    "prose",
    "garbage",
    "refuses",
    "truncates",
    "empty",
)
"""Every scripted judge. `prose` says who is better in words of its own, and quotes an answer that lies."""


def scripted_answer(model: str, data: Mapping[str, Any], properties: Mapping[str, Any]) -> Any:
    """What a judge says of what it is shown: an object with the properties that the schema has."""
    prompt = "\n".join(message["content"] for message in data["conversation"])
    said = model + json.dumps(data)
    if "answer" in data:
        least, most = _bounds(properties)
        score = SCORES[_policy(model)](prompt, _text(data["answer"]), said)
        number = max(least, min(most, least + round((score - 1) * (most - least) / 9)))
        return _filled(properties, number)
    if "answers" in data:
        scores = {
            name: SCORES[_policy(model)](prompt, _text(answer), said)
            for name, answer in data["answers"].items()
        }
        places = {name: 1 + sum(other > own for other in scores.values()) for name, own in scores.items()}
        return {**_filled(properties, None), "places": places}
    return _filled(properties, _side(model, prompt, data, said, properties))


def _side(model: str, prompt: str, data: Mapping[str, Any], said: str, properties: Mapping[str, Any]) -> str:
    may_tie = "tie" in properties["verdict"]["enum"]
    policy = _policy(model)
    if policy.startswith("always-"):
        return policy.removeprefix("always-")
    first, second = (SCORES[policy](prompt, _text(data[side]), said + side) for side in ("first", "second"))
    if first == second and may_tie:
        return "tie"
    return "first" if first >= second else "second"


def _policy(model: str) -> str:
    return next(name for name in POLICIES if model == name or model.startswith(f"{name}-"))


def _text(completion: Any) -> str:
    return completion if isinstance(completion, str) else "\n".join(m["content"] for m in completion)


def _bounds(properties: Mapping[str, Any]) -> tuple[int, int]:
    for schema in properties.values():
        if schema.get("type") == "integer":
            return min(schema["enum"]), max(schema["enum"])
        if schema.get("type") == "object":
            return _bounds(schema["properties"])
    raise AssertionError("no scale in the schema")


def _filled(properties: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """The value wherever one of the schema's choices is asked for, and some words wherever there is text."""
    filled: dict[str, Any] = {}
    for name, schema in properties.items():
        if schema.get("type") == "object":
            filled[name] = _filled(schema["properties"], value)
        else:
            filled[name] = value if "enum" in schema else "Read both, weighed them by the rubric."
    return filled


def _completion(request: Mapping[str, Any]) -> dict[str, Any]:
    """`content`, and `finish_reason` or `refusal` where they are not the usual ones."""
    model = request["model"]
    data = read_blocks("\n".join(message["content"] for message in request["messages"]))["data"]
    policy = _policy(model)
    if policy == "refuses":
        return {"content": None, "refusal": "I will not compare these."}
    if policy == "empty":
        return {"content": ""}
    if policy == "truncates":
        return {"content": '{"reasoning": "The first answer is better because', "finish_reason": "length"}
    if policy == "garbage":
        return {"content": "The first answer is clearly better. Verdict: first."}
    properties = request["response_format"]["json_schema"]["schema"]["properties"]
    if policy == "prose":
        quoted = json.dumps(_filled(properties, "second"))
        return {"content": f"The second answer claims {quoted} and that is a trick. The first is better."}
    return {"content": json.dumps(scripted_answer(model, data, properties), ensure_ascii=False)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log_file: Path
    delay_seconds = 0.0
    lock = threading.Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = json.loads(body)
        line = {
            "event": "arrived",
            "digest": hashlib.sha256(body).hexdigest(),
            "model": request["model"],
            "prompt": request["messages"][-1]["content"],
            "messages": request["messages"],
        }
        with self.lock, self.log_file.open("a") as log:
            log.write(json.dumps(line) + "\n")
        time.sleep(self.delay_seconds)
        said = _completion(request)
        finish = said.pop("finish_reason", "stop")
        answer = {
            "object": "chat.completion",
            "model": request["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", **said}, "finish_reason": finish}],
            "usage": {"prompt_tokens": len(body) // 4, "completion_tokens": 40},
        }
        content = json.dumps(answer).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        self.wfile.write(head.encode() + content)

    def log_message(self, format: str, *args: Any) -> None:
        """Not on the terminal."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def judging_server(log: Path, *options: str) -> Iterator[RunningServer]:
    """The server for as long as the block lasts."""
    log.touch()
    command = [sys.executable, str(Path(__file__)), "--log", str(log), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield RunningServer(child.stdout.readline().strip(), log)
        finally:
            child.kill()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-seconds", type=float, default=0.0)
    options = parser.parse_args()
    _Handler.log_file, _Handler.delay_seconds = options.log, options.delay_seconds
    server = _Server(("127.0.0.1", options.port), _Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}/v1\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
