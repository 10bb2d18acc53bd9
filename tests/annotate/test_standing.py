"""Where the voting stands: figures worked out by hand, and the same ones whenever they are asked for."""

from __future__ import annotations

import json
import random

import pytest
from voted import Box, comparison, grid, items_of, some_items

from palate.annotate.settings import Settings
from palate.annotate.standing import MAX_LISTED, standing
from palate.records import content_id
from palate.statistics.win_rates import win_rate


def stand(box: Box, items, **more):
    return standing(box.ballots, items, Settings(), **more).as_dict()


def test_an_empty_store_says_nothing() -> None:
    found = stand(Box(), [])
    assert (found["num_items"], found["annotators"], found["contests"], found["ranking"]) == (0, [], [], None)
    assert found["agreement"]["alpha"]["value"] is None
    json.dumps(found, allow_nan=False)


def test_people_and_their_habits() -> None:
    """Eight showings of ann's: six items, two of them again. Left: of the five votes for a side, b where b
    stood left once (item 2), and a where a stood left once (0): 2 of 5. Held: 0 yes, 1 no."""
    items, box = some_items(7), Box()
    box.vote(items[0], "a", left="a", seconds=1.0)
    box.vote(items[1], "b", left="a", seconds=3.0)
    box.vote(items[2], "b", left="b", seconds=8.0)
    box.vote(items[3], "tie", left="a")
    box.vote(items[4], "both_bad", left="b")
    box.vote(items[5], "a", source="old.csv:3")
    box.vote(items[0], "a", left="b", repeat=1)
    box.vote(items[1], "a", left="b", repeat=1)
    box.skip(items[6])
    (ann,) = stand(box, items)["annotators"]
    counts = {name: ann[name] for name in ("num_votes", "num_repeats", "num_skipped", "num_imported")}
    assert counts == {"num_votes": 6, "num_repeats": 2, "num_skipped": 1, "num_imported": 1}
    shares = {
        name: (ann[name]["num"], ann[name]["num_of"]) for name in ("ties", "both_bad", "left", "consistent")
    }
    assert shares == {"ties": (1, 8), "both_bad": (1, 8), "left": (2, 5), "consistent": (1, 2)}
    assert ann["median_seconds"] == 3.0
    assert ann["left"]["value"] == 0.4
    low, high = ann["left"]["interval_95"]
    assert (round(low, 3), round(high, 3)) == (0.118, 0.769)  # Wilson's for 2 of 5


def _a_is_first(item) -> bool:
    """By the texts' hash: then agreement is of the labels as they are, and can be worked out by hand."""
    comparison = item.comparison
    sides = (comparison.completion_a, comparison.completion_b)
    a, b = (content_id(comparison.prompt, side) for side in sides)
    return a < b


def test_agreement_does_not_depend_on_which_side_is_called_a() -> None:
    """Thirty items, tuned always b: both prefer it, but for three items each. They agree on 80%; by "b" alone
    that would be what chance gives two people who say b nine times in ten (82%)."""
    items, box = some_items(30, ("base", "tuned")), Box()
    turned, other = items_of(*(comparison(f"p{n}", "other", "one") for n in range(30))), Box()
    for number, (item, back) in enumerate(zip(items, turned, strict=True)):
        for by, exceptions in (("ann", (0, 1, 2)), ("ben", (3, 4, 5))):
            choice = "a" if number in exceptions else "b"
            box.vote(item, choice, by=by)
            other.vote(back, "b" if choice == "a" else "a", by=by)
    first, second = stand(box, items)["agreement"], stand(other, turned)["agreement"]
    assert first == second
    assert all(one["value"] > 0.4 for one in (first["alpha"], first["fleiss"], first["pairs"][0]["kappa"]))


def test_agreement_by_hand() -> None:
    """Ten items, two people: both a on 4, both b on 3, ann a and ben b on 2, ann b and ben a on 1. They agree
    on 0.7. Cohen: ann says a 6 times, ben 5: by chance .6*.5 + .4*.5 = .5, kappa (.7 - .5) / .5 = .4.
    Alpha: 11 a and 9 b of 20 labels, 1 - 0.3 * 19 * 20 / (2 * 11 * 9) = 0.42424.
    Fleiss: a .55, b .45: by chance .505, (.7 - .505) / .495 = 0.39394."""
    items, box = [item for item in some_items(40) if _a_is_first(item)][:10], Box()
    for item, (ann, ben) in zip(items, ["aa"] * 4 + ["bb"] * 3 + ["ab"] * 2 + ["ba"], strict=True):
        box.vote(item, ann, by="ann")
        box.vote(item, ben, by="ben")
    found = stand(box, items)
    agreement = found["agreement"]
    assert agreement["pairs"][0]["kappa"]["value"] == pytest.approx(0.4)
    assert agreement["alpha"]["value"] == pytest.approx(1 - 0.3 * 19 * 20 / (2 * 11 * 9))
    assert agreement["fleiss"]["value"] == pytest.approx((0.7 - 0.505) / 0.495)
    assert (found["num_disagreements"], found["decided"]["level"], found["decided"]["one_side"]) == (3, 3, 7)


def test_intervals_know_which_items_are_of_one_prompt() -> None:
    """The same votes say less where the items are of two prompts than where each has its own."""

    def width(items) -> list[float]:
        box = Box()
        for number, item in enumerate(items):
            box.vote(item, "ab"[number % 2], by="ann")
            box.vote(item, "ab"[number % 2] if number < 20 else "ab"[number % 3 == 0], by="ben")
        agreement = stand(box, items)["agreement"]
        found = [agreement["pairs"][0]["kappa"], agreement["alpha"], agreement["fleiss"]]
        return [high - low for low, high in (one["interval_95"] for one in found)]

    shared = items_of(*(comparison(f"p{number // 20}", f"x{number}", "y") for number in range(40)))
    assert all(one > other for one, other in zip(width(shared), width(some_items(40)), strict=True))


def test_fleiss_needs_a_panel_of_one_size() -> None:
    items, box = some_items(4), Box()
    for number, item in enumerate(items):
        for person in range(2 + (number == 0)):
            box.vote(item, "a", by=f"person {person}")
    assert stand(box, items)["agreement"]["fleiss"] is None


def test_the_win_rate_is_that_of_the_second_model_whichever_side_it_stands_on() -> None:
    """tuned is b in the first item, so it is asked about; it wins as b, as a, ties, loses as a."""
    items = items_of(
        comparison("p0", "x", "y", ("base", "tuned")),
        comparison("p1", "x", "y", ("tuned", "base")),
        comparison("p2", "x", "y", ("base", "tuned")),
        comparison("p2", "x", "z", ("tuned", "base")),
        comparison("p3", "x", "z", ("tuned", "base")),
        comparison("p4", "x", "z", ("tuned", "tuned")),
        comparison("p5", "x", "z"),
        task="compare",
    )
    box = Box()
    for item, choice in zip(items, ("b", "a", "both_bad", "b", None, "a", "a"), strict=True):
        if choice is not None:
            box.vote(item, choice)
    (contest,) = stand(box, items)["contests"]
    expected = win_rate(["win", "win", "tie", "loss"], ["p0", "p1", "p2", "p2"])
    assert (contest["first"], contest["second"], contest["num_without_votes"]) == ("base", "tuned", 1)
    assert (contest["num_wins"], contest["num_losses"], contest["num_ties"]) == (2, 1, 1)
    assert contest["win_rate"] == 0.625
    assert contest["interval_95"] == expected.interval_95
    assert contest["sentence"].startswith("No difference is shown: tuned has a win rate of 62.5%")


def test_models_have_letters_until_they_are_revealed() -> None:
    items = [
        *some_items(3, ("secret-base", "secret-tuned")),
    ]
    box = Box()
    for item in items:
        box.vote(item, "b")
    hidden = json.dumps(stand(box, items, reveal=False))
    assert "secret" not in hidden
    (contest,) = stand(box, items, reveal=False)["contests"]
    assert {contest["first"], contest["second"]} == {"A", "B"}
    assert "secret-tuned" in json.dumps(stand(box, items))
    # The seed decides which is A, and A comes first: neither letter nor place says which model was always a.
    hidden_contests = [
        standing(box.ballots, items, Settings(seed=seed), reveal=False).contests[0] for seed in range(20)
    ]
    assert {(contest.first, contest.second) for contest in hidden_contests} == {("A", "B")}
    assert {contest.result.win_rate for contest in hidden_contests} == {0.0, 1.0}


def test_the_figures_of_models_do_not_depend_on_which_items_came_first() -> None:
    """Votes that are exported and imported elsewhere make items in the order of the votes."""
    items = items_of(
        comparison("p0", "x", "y", ("old", "new")),
        comparison("p1", "x", "y", ("new", "old")),
        comparison("p2", "x", "y", ("tuned", "base")),
        comparison("p3", "x", "y", ("base", "old")),
        comparison("p4", "x", "y", ("base", "tuned")),
    )
    box = Box()
    for item in items[:4]:
        box.vote(item, "b")
    found = [stand(box, order)["contests"] for order in (items[:4], items[3::-1])]
    assert found[0] == found[1]
    # base is never b where votes are; new is once b and once a.
    assert [(one["first"], one["second"]) for one in found[0]] == [
        ("base", "old"), ("new", "old"), ("tuned", "base"),
    ]  # fmt: skip
    with_unvoted = stand(box, items)["contests"]
    assert [(one["first"], one["second"], one["num_without_votes"]) for one in with_unvoted] == [
        ("base", "old", 0), ("new", "old", 0), ("tuned", "base", 1),
    ]  # fmt: skip


def test_three_models_are_ranked() -> None:
    items = items_of(
        *(
            comparison(f"p{number}", *pair, models=pair)
            for number in range(6)
            for pair in (("x", "y"), ("y", "z"), ("z", "x"))
        )
    )
    box = Box()
    for item in items:  # x over y over z
        better = min(item.comparison.generators)
        box.vote(item, "a" if item.comparison.generators[0] == better else "b")
    found = stand(box, items)
    assert [player["name"] for player in found["ranking"]["players"]] == ["x", "y", "z"]
    assert len(found["contests"]) == 3


def test_circles_and_the_best_of_all() -> None:
    """p0 goes round, in p1 c0 beats all, p2 has but two completions and is not among them."""
    items = [*grid(2, 3), *grid(3, 2)[2:]]
    by_name = {
        (c.prompt[0].content, c.completion_a[0].content, c.completion_b[0].content): item
        for item in items
        for c in [item.comparison]
    }
    box = Box()
    for key, choice in {
        ("p0", "c0", "c1"): "a", ("p0", "c1", "c2"): "a", ("p0", "c0", "c2"): "b",
        ("p1", "c0", "c1"): "a", ("p1", "c1", "c2"): "tie", ("p1", "c0", "c2"): "a", ("p2", "c0", "c1"): "a",
    }.items():  # fmt: skip
        box.vote(by_name[key], choice)
    circles = stand(box, items)["circles"]
    assert {name: circles[name] for name in ("num_prompts", "num_triads", "num_circular")} == {
        "num_prompts": 2, "num_triads": 1, "num_circular": 1
    }  # fmt: skip
    assert circles["num_prompts_with_best"] == 1


def test_the_latest_notes_come_first_and_those_of_undone_votes_never() -> None:
    items, box = some_items(3), Box()
    box.vote(items[0], note="first", by="ann")
    box.undo(box.vote(items[1], note="taken back", by="ann"))
    box.vote(items[2], note="second", by="ben")
    told = [(note["annotator"], note["number"], note["note"]) for note in stand(box, items)["notes"]]
    assert told == [("ben", 3, "second"), ("ann", 1, "first")]


def test_votes_on_items_that_are_not_there_are_counted_as_such() -> None:
    items, box = some_items(2), Box()
    box.vote(items[0])
    box.vote("gone")
    found = stand(box, items)
    assert (found["num_votes"], found["num_unknown"], found["annotators"][0]["num_votes"]) == (1, 1, 1)


def test_only_the_first_disagreements_are_listed_and_all_counted() -> None:
    items, box = some_items(MAX_LISTED + 5), Box()
    for item in items:
        box.vote(item, "a", by="ann")
        box.vote(item, "b", by="ben")
    found = stand(box, items)
    assert (found["num_disagreements"], len(found["disagreements"])) == (MAX_LISTED + 5, MAX_LISTED)
    assert found["disagreements"][0] == {
        "item": items[0].id, "number": 1, "votes": {"a": 1, "b": 1}, "level": True
    }  # fmt: skip


def test_ten_times_the_same_votes_give_the_same_bytes() -> None:
    coin = random.Random(1)
    items = items_of(
        *(
            comparison(
                f"p{number // 3}", f"x{number}", "y", coin.choice([("m", "n"), ("n", "o"), ("o", "m")])
            )
            for number in range(60)
        )
    )
    box = Box()
    for _ in range(200):
        box.vote(coin.choice(items), coin.choice(["a", "b", "tie"]), by=coin.choice(["ann", "ben", "cyd"]))
    assert len({json.dumps(stand(box, items)) for _ in range(10)}) == 1
