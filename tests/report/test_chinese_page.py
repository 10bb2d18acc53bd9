"""A Chinese report is Chinese from its first word to its last, and older files stay readable."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import synthetic_comparison as full
import synthetic_run as synthetic

from palate.report import build_report
from palate.report.cautions import findings_of
from palate.report.comparison import Comparison
from palate.report.folder import read_run
from palate.report.phrases import Phrases

QUOTED = {"code", "pre", "style"}
"""Elements whose text is a machine's or a file's."""
QUOTING = {"text", "packages", "words", "who", "heads", "role"}
"""Classes of elements that quote: answers, prompts, names of packages and models."""
# Three English words in a row are a sentence, or its beginning; names of models and figures are not.
COMMAND = re.compile(r"palate [a-z]+( [a-z]+)?")
ENGLISH = re.compile(r"(?<![\w./-])[A-Za-z][a-z']+(?: [A-Za-z][a-z']+){2,}(?![\w/-])")


class Reader(HTMLParser):
    """The text of a page outside of what it quotes, and the text that it says is English."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.english: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.pieces += [value for key in ("aria-label", "title") if (value := attributes.get(key))]
        if tag != "meta":
            self.open.append((tag, attributes))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        while self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        classes = {name for _, found in self.open for name in (found.get("class") or "").split()}
        if QUOTED & {tag for tag, _ in self.open} or QUOTING & classes or not data.strip():
            return
        self.pieces.append(data.strip())
        if any(found.get("lang") == "en" for _, found in self.open):
            self.english.append(data.strip())


def bare_run(home: Path) -> Path:
    folder = home / "bare"
    folder.mkdir()
    (folder / "recipe.yaml").write_text("seed: 7\n", encoding="utf-8")
    return folder


def english_of(page: Reader) -> list[str]:
    """Its pieces with English sentences in them; a command to type is none."""
    return [piece for piece in page.pieces if ENGLISH.search(COMMAND.sub("", piece))]


def read(folder: Path) -> Reader:
    return Reader(build_report(folder, language="zh").read_text(encoding="utf-8"))


def change(path: Path, **changes: Any) -> None:
    synthetic.write_json(path, json.loads(path.read_text("utf-8")) | changes)


@pytest.mark.parametrize("num_models", [2, 3])
def test_no_english_sentence_is_on_a_rich_page(tmp_path: Path, num_models: int) -> None:
    page = read(full.write_full_run(tmp_path / "run", num_models=num_models))
    assert page.english == []
    assert english_of(page) == []
    said = " ".join(page.pieces)
    assert "54 个留出数据对，只能把准确率限定在 65.1% 至 98.1% 之间" in said
    assert "最后 60 步里" in said and "边际的 82%" in said
    assert "先出现的回答获胜占 71%（95% 置信区间 53% 至 84%）" in said
    assert "提示词只有 16 个，偏少" in said and "88% 的情况下优选回答更短" in said


def test_so_it_is_where_little_is_known(tmp_path: Path) -> None:
    assert english_of(read(bare_run(tmp_path))) == []


def test_a_withheld_verdict_is_said_in_chinese(tmp_path: Path) -> None:
    folder = full.write_full_run(tmp_path / "run", num_steps=2)
    because = "The headline is withheld: innkeeper failed the canary null_answer, "
    because += "so that what it prefers says nothing yet."
    path = folder / "evaluation" / "comparison.json"
    change(path, judge_card=full.judge_card() | {"withheld_because": because}, win_rate=None, win_rates=[])
    page = read(folder)
    assert page.english == []
    assert "结论暂不给出：innkeeper 没有通过自检题“空洞回答”，它偏好哪一边目前不说明任何问题。" in page.pieces


@pytest.mark.parametrize(
    "evidence", [{}, {"num_pairs": "many", "num_prompts": 11, "accuracy_low": [], "accuracy_high": None}]
)
def test_a_finding_without_its_figures_is_told_as_it_stands(tmp_path: Path, evidence: dict[str, Any]) -> None:
    folder = full.write_full_run(tmp_path / "run", num_steps=2)
    found = full.findings()
    found["findings"][1]["evidence"] = evidence
    synthetic.write_json(folder / "findings.json", found)
    view = findings_of(read_run(folder), Phrases("zh"))[1]
    assert view.name == "留出集太小" and view.sentence == found["findings"][1]["sentence"]
    assert read(folder).english == [view.sentence]


def test_a_later_stage_keeps_the_language_of_the_report_there_is(tmp_path: Path) -> None:
    folder = bare_run(tmp_path)

    def language() -> str:
        found = re.search(r'<html lang="([^"]*)">', build_report(folder).read_text(encoding="utf-8"))
        assert found is not None
        return found.group(1)

    assert language() == "en"
    build_report(folder, language="zh")
    assert language() == "zh-CN"
    build_report(folder, language="en")
    assert language() == "en"
    for foreign in ("", '<html lang="tlh">', '<html lang="zh-CN"', "\0" * 300):
        (folder / "report.html").write_text(foreign, encoding="utf-8")
        assert language() == "en"
    (folder / "report.html").write_bytes(b'\xff\xfe<html lang="zh-CN">')
    assert language() == "zh-CN"


def test_a_comparison_knows_every_key_of_its_own() -> None:
    """The rich page is rich: all that a comparison may have is in it."""
    content = full.full_comparison(3)
    assert set(Comparison.model_fields) - set(content) <= {"pair_accuracy"}
