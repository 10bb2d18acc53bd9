"""`table_win_rate`: published figures to the last digit, and what weakens a table said aloud."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from palate.cli import main
from palate.errors import DataError
from palate.evaluate.fears.unfinished import unfinished_signs
from palate.evaluate.winrate import table_win_rate

SHARED = Path(__file__).parents[3] / "shared" / "data"
TITLES = SHARED / "youtube_titles" / "title_eval_annotated.csv"


def run(capsys: pytest.CaptureFixture[str], *tokens: str) -> tuple[object, str]:
    """The exit code, and what was printed."""
    with pytest.raises(SystemExit) as ended:
        main(["winrate", *tokens])
    return ended.value.code, capsys.readouterr().out


def votes(path: Path, rows: list[tuple[str, str, str]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("base_text", "new_text", "new_text_preferred"), *rows])
    return str(path)


@pytest.mark.skipif(not (SHARED / "alpaca_eval").is_dir(), reason="AlpacaEval's judgements are not here")
def test_the_published_figures_of_alpaca_eval() -> None:
    folder = SHARED / "alpaca_eval"
    with (folder / "expected.csv").open(encoding="utf-8") as file:
        published = list(csv.DictReader(file))
    assert len(published) == 8
    for row in published:
        found = table_win_rate(str(folder / f"{row['model']}.annotations.json.gz")).as_dict()
        assert 100 * found["win_rate"] == pytest.approx(float(row["win_rate"]), abs=1e-6)
        assert 100 * found["standard_error"] == pytest.approx(float(row["standard_error"]), abs=1e-6)
        assert 100 * found["discrete_win_rate"] == pytest.approx(float(row["discrete_win_rate"]), abs=1e-6)
        counts = (found["num_wins"], found["num_losses"], found["num_ties"], found["num_comparisons"])
        assert counts == tuple(int(row[name]) for name in ("n_wins", "n_wins_base", "n_draws", "n_total"))


@pytest.mark.skipif(not TITLES.is_file(), reason="the annotated titles are not beside the project")
def test_fifty_titles_and_what_weakens_them() -> None:
    """34 of 50. Of the base's titles 7 look cut off, of the tuned model's 2: without these 27 of 41."""
    found = table_win_rate(str(TITLES)).as_dict()
    assert (found["num_wins"], found["num_losses"], found["num_ties"]) == (34, 16, 0)
    assert found["interval_95"] == pytest.approx([0.5419, 0.7924], abs=1e-4)
    assert found["sign_test_p"] == pytest.approx(0.015347, abs=1e-6)
    assert found["num_unfinished"] == {"of": 2, "against": 7}
    assert found["without_unfinished"]["num_wins"] == 27
    assert found["without_unfinished"]["num_losses"] == 14
    assert any("27 of 41" in warning for warning in found["warnings"])


def test_a_claim_that_rests_on_cut_off_answers_is_said_to(tmp_path: Path) -> None:
    """The new one wins 16 of 20; 12 times the other was cut off."""
    rows = [("A guide to the", "A guide to maps", "1")] * 12
    rows += [("Maps of old", "Old maps here", "1")] * 4 + [("Old maps here", "Maps of old", "0")] * 4
    numbered = [(f"{n} {base}", f"{n} {new}", won) for n, (base, new, won) in enumerate(rows)]
    found = table_win_rate(votes(tmp_path / "v.csv", numbered))
    (said,) = (warning for warning in found.warnings if "cut off" in warning)
    assert "0 of 20 of new, 12 of 20 of base" in said
    assert "base may be losing by" in said
    assert "4 of 8" in said
    assert "rests on them" in said


def test_nothing_is_said_of_answers_that_are_whole(tmp_path: Path) -> None:
    rows = [(f"Maps of old {n}", f"Old maps {n}", "1") for n in range(40)]
    found = table_win_rate(votes(tmp_path / "v.csv", rows))
    assert found.without_unfinished is None
    assert found.as_dict()["num_unfinished"] == {"of": 0, "against": 0}
    assert not any("cut off" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("Maps of the World", ()),
        ('"Maps of the World', ("unclosed_quote",)),
        ('"Maps" of the "World"', ()),
        ("Maps (of the World", ("unclosed_bracket",)),
        ("Maps of the", ("ends_inside_a_phrase",)),
        ("Maps, towns,", ("ends_inside_a_phrase",)),
        ("What is it about", ("ends_inside_a_phrase",)),
        ("On", ()),
        ("```python\nprint('(')\n```", ()),
        ("```python\nprint(1)", ("unclosed_bracket",)),
        ("地图（世界", ("unclosed_bracket",)),
        ("", ()),
    ],
)
def test_signs(text: str, signs: tuple[str, ...]) -> None:
    assert unfinished_signs([text, "A Title", "Another Title"])[0] == signs


def test_no_end_of_a_sentence_is_a_sign_only_among_sentences() -> None:
    sentences = [f"This is sentence {n}." for n in range(9)]
    assert unfinished_signs([*sentences, "This one went far"])[-1] == ("no_sentence_end",)
    titles = [f"Title {n}" for n in range(9)]
    assert unfinished_signs([*titles, "This one went far"])[-1] == ()


def test_a_table_without_a_judgement(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"generator_1": "a", "generator_2": "b", "preference": null}\n', encoding="utf-8")
    with pytest.raises(DataError, match="no row holds a judgement"):
        table_win_rate(str(path))


def test_the_command_says_it_in_json_and_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"Maps of old {n}", f"Old maps {n}", "1" if n % 4 else "0") for n in range(40)]
    path = votes(tmp_path / "v.csv", rows)
    found = json.loads(run(capsys, path, "--json")[1])
    assert {
        "num_wins", "num_losses", "num_ties", "win_rate", "standard_error", "interval_95",
        "discrete_win_rate", "sign_test_p", "length_controlled_win_rate", "warnings",
    } <= set(found)  # fmt: skip
    assert found["win_rate"] == 0.75
    code, said = run(capsys, path, "--of", "base")
    assert code == 0
    assert "new is preferred to base" in said
    assert "win / tie / loss: 10 / 0 / 30" in said
    assert run(capsys, path, "--of", "nwe")[0] == 2


def test_it_loads_no_torch(tmp_path: Path) -> None:
    path = votes(tmp_path / "v.csv", [("x", "y", "1"), ("z", "w", "0")])
    program = f"import sys; from palate.evaluate.winrate import table_win_rate; table_win_rate({path!r}); "
    program += "assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_shows_only_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "winrate.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "docs/winrate.md", "exec"), {})
    names = set(table_win_rate("votes.csv").as_dict())
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) <= names


def test_a_prompt_without_a_verdict_is_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"generator_1": "a", "generator_2": "b", "preference": p, "instruction": p} for p in (2, None)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert "rests on: 1 comparison, 1 prompt (" in run(capsys, str(path))[1]


def test_how_many_more_a_given_interval_takes(tmp_path: Path) -> None:
    """34 of 50: score intervals at that rate are 0.06 wide from 926 on."""
    rows = [(f"Old maps {n}", f"Maps of old {n}", "1" if n < 34 else "0") for n in range(50)]
    table = votes(tmp_path / "v.csv", rows)
    assert table_win_rate(table, within=0.03).as_dict()["within"] == {"half_width": 0.03, "num_more": 876}
    assert table_win_rate(table, within=0.2).as_dict()["within"]["num_more"] == 0
    assert table_win_rate(table).as_dict()["within"] is None


def soft(path: Path, preferences: list[float | None]) -> str:
    """AlpacaEval's rows, `preference` running from 1, generator_1 is better, to 2."""
    rows = [
        {"instruction": f"q{n}", "generator_1": "old", "generator_2": "new", "preference": preference}
        for n, preference in enumerate(preferences)
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")
    return str(path)


def test_the_sentence_is_on_the_win_rate_that_is_printed(tmp_path: Path) -> None:
    """Of 400, 360 are lost by a hair and 40 won outright: a mean of 0.532, and 10% of sides."""
    found = table_win_rate(soft(tmp_path / "s.json", [1.48] * 360 + [2.0] * 40)).as_dict()
    assert found["win_rate"] == pytest.approx(0.532) and found["discrete_win_rate"] == 0.1
    assert found["sentence"].startswith("new is preferred to old: new has a win rate of 53.2% over 400")
    (said,) = (warning for warning in found["warnings"] if "wins and losses" in warning)
    assert "new has 10.0% (95% interval 7." in said
    agreed = table_win_rate(soft(tmp_path / "a.json", [1.1] * 90 + [1.9] * 10)).as_dict()
    assert agreed["sentence"].startswith("old is preferred to new: new has a win rate of 18.0%")
    assert not any("wins and losses" in warning for warning in agreed["warnings"])


def test_what_settles_probabilities_is_of_their_interval(tmp_path: Path) -> None:
    """With so many more of the same, the interval leaves 50% out; with a tenth fewer it does not."""
    own = [1.2, 1.9, 1.7, 1.3, 1.8, 1.4] * 5
    found = table_win_rate(soft(tmp_path / "s.json", own)).as_dict()
    more = found["num_more_to_settle"]
    assert f"about {more} more comparisons would settle it" in found["sentence"]
    enough = table_win_rate(soft(tmp_path / "e.json", own * (1 + 2 * more // len(own)))).as_dict()
    few = table_win_rate(soft(tmp_path / "f.json", own * (1 + more // 2 // len(own)))).as_dict()
    assert enough["num_more_to_settle"] == 0 and enough["interval_95"][0] > 0.5
    assert few["num_more_to_settle"] > 0 and few["interval_95"][0] <= 0.5


def test_how_close_probabilities_are_is_of_their_interval(tmp_path: Path) -> None:
    """Their interval is narrower than the one of sides: what it takes to be within 0.03 follows it."""
    own = [1.2, 1.9, 1.7, 1.3, 1.8, 1.4] * 10
    found = table_win_rate(soft(tmp_path / "s.json", own), within=0.03).as_dict()
    total = len(own) + found["within"]["num_more"]
    low, high = found["interval_95"]
    assert total == pytest.approx(len(own) * ((high - low) / 2 / 0.03) ** 2, rel=0.1), (
        "by sides it would be 1,064"
    )
    done = table_win_rate(soft(tmp_path / "d.json", own), within=(high - low) / 2 + 1e-6).as_dict()
    assert done["within"]["num_more"] == 0


def test_probabilities_that_a_missing_verdict_could_undo(tmp_path: Path) -> None:
    held = table_win_rate(soft(tmp_path / "h.json", [1.9] * 40 + [None]))
    assert held.sentence.endswith("1 comparison has no verdict and is not counted.")
    assert "would not hold" not in held.sentence
    undone = table_win_rate(soft(tmp_path / "u.json", [1.9] * 20 + [None] * 20))
    assert "It would not hold if all missing verdicts had gone the other way." in undone.sentence


def test_the_rows_that_are_printed_and_the_sentence_round_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """34 of 50: 54.19% to 79.24%, outwards 54.1% to 79.3% wherever it stands."""
    rows = [(f"Maps of old {n}", f"Old maps {n}", "1" if n < 34 else "0") for n in range(50)]
    said = run(capsys, votes(tmp_path / "v.csv", rows))[1]
    assert said.count("95% interval 54.1% to 79.3%") == 2
    assert "79.2%" not in said


def test_what_is_set_aside_is_said_with_its_reason(tmp_path: Path) -> None:
    rows = [(f"Maps of old {n}", f"Old maps {n}", "1" if n else "perhaps") for n in range(3)]
    warnings = table_win_rate(votes(tmp_path / "v.csv", rows)).warnings
    (said,) = (warning for warning in warnings if "set aside" in warning)
    assert said.startswith("1 row holds no judgement that can be read and is set aside; the first, line 2:")
    assert '"new_text_preferred" is no choice' in said


def test_a_comparison_is_told_from_its_verdicts(tmp_path: Path) -> None:
    file = tmp_path / "comparison.json"
    file.write_text('{"models": ["a", "b"], "win_rates": [], "samples": []}', encoding="utf-8")
    with pytest.raises(DataError, match="whole comparison") as raised:
        table_win_rate(str(file))
    assert "verdicts.jsonl beside it" in str(raised.value.next)


def test_verdicts_of_a_judge_that_failed_are_said_to_be(tmp_path: Path) -> None:
    row = {
        "id": "1", "prompt": "q", "completion_a": "x", "completion_b": "y", "generator_a": "old",
        "generator_b": "new", "judge": "coin", "preferred": "b",
    }  # fmt: skip
    table = tmp_path / "verdicts.jsonl"
    table.write_text(json.dumps(row) + "\n", encoding="utf-8")
    card = {"judge": "coin", "withheld_because": "coin failed the canaries null_answer"}
    (tmp_path / "judge_card.json").write_text(json.dumps(card), encoding="utf-8")
    first = table_win_rate(str(table), of="new").warnings[0]
    assert first == "The judge's card, beside this file, says: coin failed the canaries null_answer"
    (tmp_path / "judge_card.json").write_text(json.dumps(card | {"judge": "other"}), encoding="utf-8")
    assert not any("card" in warning for warning in table_win_rate(str(table), of="new").warnings)
