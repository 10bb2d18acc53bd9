"""Style distances: by hand, uniform where nothing differs, and loud where something was planted."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.spatial.distance import jensenshannon

from palate.errors import DataError
from palate.evaluate.style import MEASURES, Closer, compare_style, telling_features
from palate.evaluate.style.counting import aligned
from palate.evaluate.style.distances import burrows_delta, jensen_shannon, yardstick_of
from palate.evaluate.style.features import (
    FAMILIES,
    count_matrix,
    punctuation_of,
    shapes_of,
    tokens_of,
    words_of,
)
from palate.evaluate.style.saying import in_words
from palate.evaluate.style.units import beginning, pieces_like

COMMON = ["the", "of", "a", "and", "to", "in", "is", "it", "was", "for", "on", "with", "as", "that"]
RARE = [f"word{letter}{other}" for letter in "abcdefghij" for other in "abcdefghij"]


def written(
    generator: np.random.Generator, num_words: int, *, planted: float = 0.0, rare: np.ndarray | None = None
) -> str:
    """Whole sentences of one invented author, `num_words` words or a few more.

    `rare` are the weights of rare words. `planted` of the words are "tapestry", which the author never
    writes.
    """
    of_rare = np.full(len(RARE), 0.25) if rare is None else rare
    weights = np.concatenate([np.full(len(COMMON), 3.0), of_rare])
    sentences: list[list[str]] = []
    while sum(map(len, sentences)) < num_words:
        length = 4 + int(generator.geometric(0.12))
        words = [
            str(word) for word in generator.choice(COMMON + RARE, size=length, p=weights / weights.sum())
        ]
        for place in np.flatnonzero(generator.random(length) < planted):
            words[place] = "tapestry"
        words[0] = words[0].capitalize()
        words[-1] += str(generator.choice([".", ".", ".", "?", "!"]))
        sentences.append(words)
    return " ".join(" ".join(words) for words in sentences)


def texts(seed: int, num: int, num_words: int = 60, *, planted: float = 0.0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [written(generator, num_words, planted=planted) for _ in range(num)]


def alone(answers: list[str]) -> list[list[str]]:
    return [[answer] for answer in answers]


def test_words_signs_and_shapes_of_a_sentence() -> None:
    text = "It’s 3.5 km — NASA said:\n\n好的。"
    assert list(words_of(text)) == ["it's", "0", "km", "nasa", "said", "好", "的"]
    signs = ["word", "word", "word", "—", "word", "word", ":", "\n", "word", "word", "。"]
    assert list(punctuation_of(text)) == signs
    assert list(shapes_of("I saw NASA 2.")) == [
        "Xx-short x-short", "x-short X-middle", "X-middle 9", "9 .",
    ]  # fmt: skip


@given(st.lists(st.text(), max_size=5))
def test_counts_are_those_of_a_counter(some: list[str]) -> None:
    for features in FAMILIES.values():
        counts, names = count_matrix(some, features)
        assert list(names) == sorted(names)
        for row, text in zip(counts.toarray(), some, strict=True):
            assert {name: n for name, n in zip(names, row, strict=True) if n} == Counter(features(text))


def test_jensen_shannon_by_hand_and_against_scipy() -> None:
    """p = (1, 0), q = (1/2, 1/2), m = (3/4, 1/4): KL(p||m) = log2(4/3), KL(q||m) = (log2(2/3) + 1) / 2."""
    by_hand = math.sqrt((math.log2(4 / 3) + (math.log2(2 / 3) + 1) / 2) / 2)
    assert jensen_shannon(np.array([[7.0, 0.0]]), np.array([[3.0, 3.0]])) == pytest.approx([by_hand])
    assert jensen_shannon(np.array([[1.0, 0.0]]), np.array([[0.0, 5.0]])) == pytest.approx([1.0])
    generator = np.random.default_rng(0)
    p, q = generator.random((2, 6, 9))
    peer = [jensenshannon(a, b, base=2) for a, b in zip(p, q, strict=True)]
    assert jensen_shannon(p, q) == pytest.approx(peer, abs=1e-12)
    assert np.isnan(jensen_shannon(np.zeros((1, 2)), np.ones((1, 2)))).all()


def test_burrows_delta_by_hand() -> None:
    """Two texts of 10 words: frequencies of "the" .2 and .4, of "of" .8 and .6; sd (n-1) of both .1414.

    Bodies with frequencies .3/.7 and .5/.5 are .2 apart in each: .2 / .1414 = 1.414 deviations.
    """
    units = yardstick_of(csr_array(np.array([[2.0, 8.0], [4.0, 6.0]])))
    delta = burrows_delta(np.array([[3.0, 7.0]]), np.array([[5.0, 5.0]]), units)
    assert delta == pytest.approx([math.sqrt(2)])
    same_everywhere = yardstick_of(csr_array(np.array([[2.0, 8.0], [1.0, 4.0]])))
    assert np.isnan(burrows_delta(np.array([[3.0, 7.0]]), np.array([[5.0, 5.0]]), same_everywhere)).all()


def test_log_odds_by_hand() -> None:
    """10 of 20 words against 5 of 20, a prior of 4 words, half of them this one: (12/12) against (7/17)."""
    tells = telling_features(
        np.array([10.0, 10.0]), np.array([5.0, 15.0]), np.array([1.0, 1.0]), ("x", "y"), prior_size=4
    )
    x = next(tell for tell in tells if tell.feature == "x")
    assert x.log_odds == pytest.approx(math.log((12 / 12) / (7 / 17)))
    assert x.z == pytest.approx(x.log_odds / math.sqrt(1 / 12 + 1 / 7))
    assert (x.count_first, x.count_second) == (10, 5)
    y = next(tell for tell in tells if tell.feature == "y")
    assert y.log_odds == pytest.approx(-x.log_odds)


def test_a_word_seen_nowhere_is_not_named() -> None:
    tells = telling_features(np.array([1.0, 0.0]), np.array([2.0, 0.0]), np.array([3.0, 9.0]), ("x", "y"))
    assert [tell.feature for tell in tells] == ["x"]


def test_a_planted_word_is_found_and_named() -> None:
    """3% of the words of 60 answers of 60 words: about two a text. The word is new, so words and it alone."""
    found = compare_style({"m": alone(texts(1, 60, planted=0.03))}, texts(2, 60, 400), num_permutations=400)
    words = found.models["m"].distances["words"]
    assert words.permutation_p < 0.01
    assert words.value > words.noise_floor
    assert found.models["m"].telling_words[0].feature == "tapestry"
    assert found.models["m"].telling_words[0].z > 3


def test_two_halves_of_one_corpus_are_quiet() -> None:
    found = compare_style({"m": alone(texts(3, 60))}, texts(4, 60, 400), num_permutations=400)
    for measure in MEASURES:
        distance = found.models["m"].distances[measure]
        assert distance.permutation_p > 0.05, measure
        assert distance.value < distance.noise_floor_95, measure
    assert all(abs(tell.z) < 4 for tell in found.models["m"].telling_words)


def test_the_model_that_came_closer_is_told_from_the_other() -> None:
    target = texts(5, 60, 400)
    far, near = alone(texts(6, 60, planted=0.06)), alone(texts(7, 60, planted=0.01))
    found = compare_style({"base": far, "tuned": near}, target, num_permutations=400)
    base, tuned = (found.models[name].distances["words"].value for name in ("base", "tuned"))
    assert tuned < base
    assert found.closer_p["words"] < 0.01


def test_two_models_of_one_style_are_equally_close() -> None:
    answers = {"base": alone(texts(8, 60)), "tuned": alone(texts(9, 60))}
    found = compare_style(answers, texts(10, 60, 400), num_permutations=400)
    assert min(found.closer_p.values()) > 0.01
    same = compare_style(
        {"a": answers["base"], "b": answers["base"]}, texts(10, 60, 400), num_permutations=50
    )
    assert set(same.closer_p.values()) == {1.0}


def test_p_values_are_uniform_where_nothing_differs() -> None:
    """120 times answers and target of one author: about 5% under .05, half under .5."""
    found: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    for seed in range(120):
        target, answers = texts(1000 + seed, 24, 90), texts(5000 + seed, 24, 40)
        result = compare_style({"m": alone(answers)}, target, seed=seed, num_permutations=99)
        for measure in MEASURES:
            found[measure].append(result.models["m"].distances[measure].permutation_p)
    for measure, p_values in found.items():
        p = np.array(p_values)
        # Binomial: 120 * .05 = 6, sd 2.4; 120 * .5 = 60, sd 5.5. Bounds at more than three deviations.
        assert (p <= 0.05).sum() <= 14, measure
        assert 42 <= (p <= 0.5).sum() <= 78, measure


def on_subjects(
    generator: np.random.Generator, num: int, num_words: int, per_subject: int
) -> list[list[str]]:
    """`num` groups of texts; the texts of a group are about one thing, and share its rare words."""
    groups = []
    for _ in range(num):
        rare = 0.25 * generator.gamma(0.5, 2.0, len(RARE))
        groups.append([written(generator, num_words, rare=rare) for _ in range(per_subject)])
    return groups


def p_values(scene: str, times: int) -> dict[str, np.ndarray]:
    """Of answers and a target in which nothing differs but the subjects, which each text has of its own."""
    found: dict[str, list[float]] = {measure: [] for measure in MEASURES}
    for seed in range(times):
        generator = np.random.default_rng([seed, 3])
        per_prompt = 4 if scene == "several answers" else 1
        answers = on_subjects(generator, 20, 48, per_prompt)
        documents = [own[0] for own in on_subjects(generator, 24, 110, 1)]
        if scene == "unequal lengths":
            answers = [own for size in (12, 40, 80) for own in on_subjects(generator, 7, size, 1)]
        if scene == "five documents":
            documents = [own[0] for own in on_subjects(generator, 5, 480, 1)]
        result = compare_style({"m": answers}, documents, seed=seed, num_permutations=59)
        for measure in MEASURES:
            found[measure].append(result.models["m"].distances[measure].permutation_p)
    return {measure: np.array(values) for measure, values in found.items()}


@pytest.mark.parametrize(
    "scene", [pytest.param("several answers", marks=pytest.mark.thorough), "unequal lengths"]
)
def test_p_values_are_uniform_with_several_answers_and_unequal_lengths(scene: str) -> None:
    """80 times: 4 at or under .05 (sd 1.9), 40 at or under .5 (sd 4.5); bounds at three deviations.

    Several answers to a prompt averaged into one text came to 26 at or under .5.
    """
    for measure, p in p_values(scene, 80).items():
        assert (p <= 0.05).sum() <= 10, measure
        assert 27 <= (p <= 0.5).sum() <= 53, measure


@pytest.mark.thorough
@pytest.mark.parametrize("scene", ["several answers", "unequal lengths"])
def test_p_values_are_uniform_over_many_draws(scene: str) -> None:
    """400 times: 20 at or under .05 (sd 4.4), 200 at or under .5 (sd 10)."""
    for measure, p in p_values(scene, 400).items():
        assert (p <= 0.05).sum() <= 34, measure
        assert 170 <= (p <= 0.5).sum() <= 230, measure


def test_p_values_of_words_say_nothing_with_five_documents() -> None:
    """As docs/style.md says: pieces of one document share its subject, and look like a style."""
    found = p_values("five documents", 20)
    assert (found["words"] <= 0.05).mean() > 0.6
    assert (found["punctuation"] <= 0.05).mean() < 0.3


def test_several_answers_to_a_prompt_are_one_witness() -> None:
    """The same answer five times over says what it says once, to the last bit."""
    answers, target = texts(11, 30, planted=0.004), texts(12, 40, 300)
    once = compare_style({"m": alone(answers)}, target, num_permutations=300)
    repeated = compare_style({"m": [[answer] * 5 for answer in answers]}, target, num_permutations=300)
    assert repeated.num_prompts == once.num_prompts == 30
    for measure in MEASURES:
        five, one = (result.models["m"].distances[measure] for result in (repeated, once))
        assert five.permutation_p == one.permutation_p
        assert five.value == pytest.approx(one.value)


def test_of_several_answers_one_is_drawn() -> None:
    """Distances of three different answers to each prompt are those of the drawn ones alone, to the last bit;
    telling words count all of them."""
    generator = np.random.default_rng(17)
    answers = [
        [" ".join(generator.choice(COMMON + RARE, size=30).tolist()) + "." for _ in range(3)]
        for _ in range(20)
    ]
    target = texts(18, 40, 300)
    drawn = np.floor(np.random.default_rng([5, 1]).random(20) * 3).astype(int)
    alone_drawn = [[own[place]] for own, place in zip(answers, drawn, strict=True)]
    every = compare_style({"m": answers}, target, seed=5, num_permutations=50).models["m"]
    one = compare_style({"m": alone_drawn}, target, seed=5, num_permutations=50).models["m"]
    for measure in ("words", "punctuation", "shapes"):
        assert every.distances[measure] == one.distances[measure]
    assert every.telling_words != one.telling_words


def test_the_same_seed_gives_the_same_figures() -> None:
    answers, target = {"m": alone(texts(13, 12))}, texts(14, 25, 200)
    first = compare_style(answers, target, seed=3, num_permutations=50)
    assert compare_style(answers, target, seed=3, num_permutations=50) == first
    assert compare_style(answers, target, seed=4, num_permutations=50) != first


def test_pieces_are_whole_sentences_of_an_answers_length() -> None:
    documents = [" ".join(f"Sentence {n} of {d} has words." for n in range(40)) for d in range(25)]
    cut = pieces_like(documents, [13, 13], np.random.default_rng(0))
    pieces, are_apart = cut.texts, cut.are_apart
    assert are_apart
    assert len(pieces) == 25
    for piece, document in zip(pieces, documents, strict=True):
        assert piece in document
        assert piece.startswith("Sentence")
        assert piece.endswith("words.")
        assert piece.count(".") == 2  # seven tokens each: two reach 13


def test_few_documents_are_cut_from_end_to_end_and_it_is_said() -> None:
    book = " ".join(texts(15, 1, 4000))
    found = compare_style({"m": alone(texts(16, 30))}, [book], num_permutations=50)
    assert found.num_pieces > 40
    assert "fewer than 20" in found.warnings[0]


@pytest.mark.parametrize(
    ("answers", "target", "what"),
    [
        ({}, ["x"], "no answers"),
        ({"a": alone(["x"] * 4), "b": alone(["x"] * 5)}, ["x"], "[4, 5] prompts"),
        ({"a": alone(["x"] * 3)}, ["x"], "3 prompts say nothing"),
        ({"a": alone(["x"] * 4)}, [" ", ""], "the target corpus holds no text"),
        ({"a": alone([" "] * 4)}, ["x"], "the answers hold no text"),
        ({"a": alone(["x"] * 4)}, ["One."], "the target makes 2 pieces"),
    ],
)
def test_what_cannot_be_measured_is_said(
    answers: dict[str, list[list[str]]], target: list[str], what: str
) -> None:
    with pytest.raises(DataError) as raised:
        compare_style(answers, target)
    assert what in str(raised.value)


@pytest.mark.parametrize("words", [(80, 20, 200), (20, 80, 200), (60, 60, 15)])
def test_who_writes_less_is_no_other_author(words: tuple[int, int, int]) -> None:
    """One author with answers of these two lengths, and documents of the third; 40 times.

    At or under .05: 2 (sd 1.4), bound at more than three deviations. As they are, of 80 and 20 words,
    closer_p came out there 35 times by words and 38 times by shapes.
    """
    found: dict[str, int] = dict.fromkeys([f"{kind} {m}" for kind in ("p", "closer") for m in MEASURES], 0)
    for seed in range(40):
        generator = np.random.default_rng([seed, 9])
        base, tuned, documents = (on_subjects(generator, 24, num, 1) for num in words)
        result = compare_style(
            {"base": base, "tuned": tuned}, [own[0] for own in documents], seed=seed, num_permutations=59
        )
        for measure in MEASURES:
            p = result.models["tuned"].distances[measure].permutation_p
            found[f"p {measure}"] += p <= 0.05
            found[f"closer {measure}"] += result.closer_p[measure] <= 0.05
    assert max(found.values()) <= 8, found


def test_no_text_is_longer_than_those_it_stands_beside() -> None:
    """Whole sentences where one ends nearby, else as many tokens; a document's length bounds answers too."""
    answers = {
        "a": [["One two. Three four five six. Seven."]] * 4,
        "b": [["One two. Three."], ["x"], *[["y"]] * 2],
    }
    cut = aligned(answers, ["Long enough to hold any of them, and more than that."] * 20, generator())
    assert cut.cut["b"] == (("One two. Three.",), ("x",), ("y",), ("y",))
    assert cut.cut["a"][0] == ("One two.",)
    assert cut.cut["a"][1] == ("One",)
    short = aligned({"a": answers["a"]}, ["Two words"] * 20, generator())
    assert set(short.cut["a"]) == {("One two.",)}
    assert set(short.pieces) == {"Two words"}


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_beginning_by_hand() -> None:
    assert beginning("A b c. D e f g.", 5) == "A b c."  # 4 tokens are nearer to 5 than 9
    assert beginning("A b c. D e f g.", 8) == "A b c. D e f g."
    assert beginning("a b c d e f g h i j k", 4) == "a b c d"  # no sentence ends nearby
    assert beginning("好的。」他说。再见。", 3) == "好的。」"
    assert beginning("cafe\u0301 au lait", 1) == "caf\u00e9"


def test_a_sentence_that_stands_twice_in_a_document_glues_no_piece_together() -> None:
    document = " ".join(f"Yes. Then came number {number} of them." for number in range(60))
    cut = pieces_like([document], [10, 20], generator()).texts
    assert max(len(piece.split()) for piece in cut) <= 30
    assert " ".join(cut) == document
    several = pieces_like([document] * 20, [10], generator()).texts
    assert max(len(piece.split()) for piece in several) <= 15


@given(
    st.lists(st.sampled_from(["Yes.", "a", "b c.", "One line\n", "好。", "word, word"]), min_size=1),
    st.integers(1, 9),
)
def test_cutting_loses_nothing(parts: list[str], size: int) -> None:
    document = " ".join(parts)
    pieces = pieces_like([document], [size], generator()).texts
    assert "".join("".join(pieces).split()) == "".join(document.split())


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("हिन्दी में लिखा है।", ["हिन्दी", "में", "लिखा", "है", "।"]),
        ("العَرَبِيَّة", ["العَرَبِيَّة"]),
        ("ภาษาที่", ["ภ", "า", "ษ", "า", "ที่"]),
        ("人々は𠮷", ["人", "々", "は", "𠮷"]),
        ("cafe\u0301\u00ad", ["caf\u00e9"]),
        ("👍🏽 👨‍👩‍👧❤️ 🇩🇪🇫🇷", ["👍🏽", "👨‍👩‍👧", "❤️", "🇩🇪", "🇫🇷"]),
        ("a\r\nb", ["a", "\n", "b"]),
    ],
)
def test_words_and_signs_of_other_scripts(text: str, tokens: list[str]) -> None:
    assert tokens_of(text) == tokens


def test_where_nothing_varies_no_p_value_is_made_up() -> None:
    """Everybody says the same: delta has no yardstick, and said p = 0.02 of 50 deals before."""
    found = compare_style(
        {"a": alone(["Yes."] * 6), "b": alone(["Yes."] * 6)}, ["Yes."] * 30, num_permutations=50
    )
    for model in found.models.values():
        assert set(model.distances) == {"words", "punctuation", "shapes"}
        assert all(distance.permutation_p == 1 for distance in model.distances.values())
        assert model.telling_words == ()
    assert set(found.closer_p) == {"words", "punctuation", "shapes"}
    assert "delta is not measured for a, b" in " ".join(found.warnings)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["sentence"] == found.sentence


def test_answers_without_words_have_no_distance_by_words() -> None:
    found = compare_style({"m": alone(["!!! 🎉"] * 8)}, texts(20, 30), num_permutations=50)
    assert set(found.models["m"].distances) == {"punctuation", "shapes"}


def test_prompts_to_which_a_model_said_nothing_are_left_out() -> None:
    answers = {"a": alone([*texts(21, 9), " "]), "b": alone(["", *texts(22, 9)])}
    found = compare_style(answers, texts(23, 30, 200), num_permutations=50)
    assert found.num_prompts == 8
    assert "Style leaves out 2 prompts" in found.warnings[0]


def test_words_within_noise_are_not_named() -> None:
    """A word that one answer of forty says thirty times tells of that answer, not of the model."""
    answers = texts(24, 40)
    answers[0] = " ".join(["Lantern."] * 30)
    found = compare_style({"m": alone(answers)}, texts(25, 40, 300), num_permutations=200).models["m"]
    assert found.telling_noise_95 > 4
    assert found.telling_words == ()


def test_answers_that_are_copies_are_said() -> None:
    target = texts(26, 30, 90)
    found = compare_style({"m": alone([*target[:5], *texts(27, 15)])}, target, num_permutations=50)
    assert "5 of 20 answers of m stand in the target word for word" in " ".join(found.warnings)


def test_the_sentence_says_who_is_closer_and_no_more_than_the_p_values() -> None:
    far, near = alone(texts(6, 60, planted=0.06)), alone(texts(7, 60, planted=0.01))
    target = texts(5, 60, 400)
    found = compare_style({"base": far, "tuned": near}, target, num_permutations=400)
    lead = found.models["tuned"].closer["words"]
    assert lead.difference > 0
    assert found.sentence.startswith("tuned writes closer to the target than base by words (")
    assert f"{lead.difference:.3f}, p = {lead.p:.3f}" in found.sentence
    turned = compare_style({"base": near, "tuned": far}, target, num_permutations=400)
    assert turned.sentence.startswith("tuned writes farther from the target than base by words")
    level = compare_style(
        {"base": alone(texts(8, 60)), "tuned": alone(texts(9, 60))}, target, num_permutations=99
    )
    assert level.sentence.startswith("It is not shown that tuned writes closer to the target than base, nor")
    assert "tuned is not shown to differ from the target" in level.sentence


def test_p_values_that_say_nothing_are_not_put_in_words() -> None:
    """One book: by words and delta everything differs from it, as docs/style.md says."""
    found = compare_style({"m": alone(texts(16, 30))}, [" ".join(texts(15, 1, 4000))], num_permutations=99)
    assert "words" not in found.sentence
    assert "delta" not in found.sentence


def test_holm_by_hand() -> None:
    """Of .012, .016, .03 and .2: .012 * 4 = .048 and .016 * 3 = .048 hold, .03 * 2 = .06 does not."""
    p_values = dict(zip(MEASURES, (0.012, 0.2, 0.016, 0.03), strict=True))
    closer = {measure: Closer(0.1 if measure != "shapes" else -0.1, p) for measure, p in p_values.items()}
    said = in_words({"base": ({}, {}), "tuned": ({}, closer)}, subjects_differ=True)
    assert said.startswith(
        "tuned writes closer to the target than base by words (0.100, p = 0.012), but farther from it by "
        "shapes (0.100, p = 0.016); by punctuation and delta no difference is shown."
    )
