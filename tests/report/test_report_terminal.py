"""The essentials in a terminal and out of one."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from typing import Any

import pytest
import synthetic_run as synthetic
from rich.cells import cell_len
from rich.console import Console
from synthetic_comparison import full_comparison

from palate.errors import ArtifactError
from palate.report import render_comparison, render_summary


def piped(render: Any, content: dict[str, Any], **options: Any) -> str:
    console = Console(file=io.StringIO(), width=80)
    render(content, console, **options)
    return console.file.getvalue()  # type: ignore[attr-defined]


def in_terminal(render: Any, content: dict[str, Any], width: int = 80, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    render(content, console, **options)
    return console.file.getvalue()  # type: ignore[attr-defined]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture(autouse=True)
def _no_forced_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def test_a_pipe_gets_one_line_per_fact_without_codes_or_boxes() -> None:
    text = piped(render_comparison, synthetic.comparison()) + piped(render_summary, synthetic.summary())
    assert "\x1b" not in text
    assert not any(0x2500 <= ord(letter) <= 0x259F for letter in text)
    lines = text.splitlines()
    assert "prompt 1: Why does the tide come in twice a day?" in lines
    assert "tuned (harbour): In short, the moon pulls the near sea more than the far one." in lines
    assert "verdict: tuned better" in lines
    assert "The tuned model answers better than the base model, by the judge “shorter”." in lines
    assert "training: done, 120 steps, 1 min 44 s, best step 100" in lines
    assert "held out: reward accuracy 93%, margin +3.91, loss 0.0913" in lines
    assert "preferred style: 47% of answers before, 97% after" in lines
    assert not any(line != line.rstrip() for line in lines)


def test_the_first_prompts_are_shown_and_the_rest_counted() -> None:
    text = piped(render_comparison, synthetic.comparison(), num_samples=2)
    assert text.count("prompt ") == 2
    assert "(14 more prompts in comparison.json)" in text
    text = piped(render_comparison, synthetic.comparison(), num_samples=15)
    assert "(1 more prompt in comparison.json)" in text


def test_a_prompt_by_itself_is_worth_a_look_and_no_more_is_claimed() -> None:
    content = full_comparison()
    first = content["worse_prompts"][0]
    first["why"] = "x" * 150 + " 2 of 3 times"
    content["worse_prompts"] = [first] * 5
    lines = piped(render_comparison, content).splitlines()
    assert f"worth a look: “{first['prompt']}”: {first['why']}" in lines
    assert "(2 more in comparison.json; one prompt by itself may be chance)" in lines
    assert not any("became worse" in line for line in lines)


def test_of_several_models_a_prompt_worth_a_look_says_whose_answer_it_is() -> None:
    text = piped(render_comparison, full_comparison(3))
    assert "worth a look (harbour): “" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    content = synthetic.comparison()
    content["samples"][1]["tuned"][0]["text"] = "用亚麻布包好，放在阴凉的地方，不要放进冰箱。" * 5 + "x" * 120
    text = in_terminal(render_comparison, content, width, num_samples=16)
    text += in_terminal(render_summary, synthetic.summary(), width)
    assert max(cell_len(line) for line in plain(text).splitlines()) <= width


def test_the_columns_of_wide_text_stay_aligned() -> None:
    content = synthetic.comparison()
    content["samples"] = [content["samples"][8]]
    lines = plain(in_terminal(render_comparison, content)).splitlines()
    heading, answer = lines[1], lines[2]
    tuned_at = cell_len(heading[: heading.index("harbour")])
    assert cell_len(answer[: answer.rindex("简单地说，")]) == tuned_at


def test_nothing_in_an_answer_steers_the_terminal_or_is_taken_for_markup() -> None:
    content = synthetic.comparison()
    nasty = "[bold red]no[/] :smile: \x1b]0;owned\x07\x1b[2J\x9b31m \u202eback"
    content["samples"][0]["tuned"][0]["text"] = nasty
    content["samples"][0]["prompt"][0]["content"] = nasty
    content["tuned"] = nasty
    shown = "[bold red]no[/] :smile: ␛]0;owned␇␛[2J"
    assert shown in piped(render_comparison, content)
    text = in_terminal(render_comparison, content, 200)
    assert shown in plain(text)
    assert "\x1b" not in plain(text) and "\x07" not in text and "\x9b" not in text and "\u202e" not in text


def test_an_answer_that_was_cut_off_says_so() -> None:
    assert "(cut off at the length limit)" in piped(render_comparison, synthetic.comparison(), num_samples=7)


def test_a_terminal_gets_columns_and_marks_the_verdict() -> None:
    text = in_terminal(render_comparison, synthetic.comparison(), num_samples=1)
    assert "\x1b[1mWhy does the tide come in twice a day?" in text
    assert "\x1b[32m  tuned better" in text
    assert "Thank you for asking! It is a very     In short, the moon pulls" in plain(text)


def test_the_terminal_waits_for_no_plotting_template_or_tensor_library() -> None:
    heavy = "{'matplotlib', 'jinja2', 'torch', 'scipy', 'transformers'}"
    code = f"import sys, palate.report; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_missing_figures_leave_no_hole() -> None:
    assert piped(render_summary, {"status": "done"}) == "training: done\n"
    bare = {"base": "a", "tuned": "b", "samples": []}
    assert piped(render_comparison, bare) == "The answers stand side by side; no judge compared them.\n"


def test_a_comparison_of_another_shape_is_refused() -> None:
    with pytest.raises(ArtifactError, match="tuned"):
        piped(render_comparison, {"base": "a"})


def test_an_interval_reads_the_same_in_its_row_and_in_the_sentence() -> None:
    """44.93% to 55.04%: rounded outwards, and not to whole percents, which would be another interval."""
    content = full_comparison()
    content["win_rates"][0] |= {"win_rate": 0.5, "interval_95": [0.4493, 0.5504], "sign_test_p": 0.9}
    assert "win rate 50.0% (44.9% to 55.1%), sign test p = 0.9" in piped(render_comparison, content)


def test_where_nothing_was_judged_no_test_is_shown() -> None:
    content = full_comparison()
    content["win_rates"][0] |= {
        "num_wins": 0, "num_losses": 0, "num_ties": 0, "num_missing": 16, "win_rate": None,
        "interval_95": [0.0, 1.0], "sign_test_p": 1.0,
    }  # fmt: skip
    (row,) = (line for line in piped(render_comparison, content).splitlines() if "16 missing" in line)
    assert "sign test" not in row


def test_drift_and_perplexity_have_their_intervals() -> None:
    content = full_comparison()
    content["perplexity"]["harbour"] |= {"ratio_to_base": 1.08, "ratio_interval_95": [1.02, 1.14]}
    lines = piped(render_comparison, content).splitlines()
    assert "nats a token from the base: playground –, harbour 0.210 (0.180 to 0.240)" in lines
    assert "the same on neutral text: playground –, harbour 0.0130 (0.0100 to 0.0160)" in lines
    assert "perplexity: playground 12.4, harbour 13.4" in lines
    assert "times the base's: playground –, harbour 1.08 (1.02 to 1.14)" in lines


def test_of_several_models_a_warning_says_of_which_two_it_is() -> None:
    content = full_comparison(3)
    for row in content["win_rates"]:
        row["warnings"] = ["8 prompts are few."]
    first = content["win_rates"][0]
    first["warnings"] = [*first["warnings"], "The judged side is shorter."]
    lines = piped(render_comparison, content).splitlines()
    assert lines.count("note: 8 prompts are few.") == 1
    assert f"note: {first['of']} against {first['against']}: The judged side is shorter." in lines


def test_the_sentence_on_style_is_said() -> None:
    content = full_comparison()
    content["style"]["sentence"] = "harbour writes closer to the target than playground by words."
    assert content["style"]["sentence"] in piped(render_comparison, content).splitlines()


def test_what_is_wrong_with_the_judge_stands_beside_its_win_rate() -> None:
    content = full_comparison()
    content["judge_card"] |= {
        "judge": "coin",
        "forced": True,
        "findings": [{"name": "inconsistency", "what": "It changes its mind.", "evidence": "56% flipped"}],
    }
    content["ranking_notes"] = ["harbour won all"]
    lines = piped(render_comparison, content).splitlines()
    assert "the judge coin: It changes its mind. 56% flipped." in lines
    assert any(line.startswith("A canary failed") and line.endswith("says nothing yet.") for line in lines)
    assert "ranking: harbour won all" in lines
    content["judge_card"]["forced"] = False
    assert "A canary failed" not in piped(render_comparison, content)
