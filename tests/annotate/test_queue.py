"""Who is shown what next: wanted votes are asked for once, nobody twice, and repeats come unannounced."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from voted import Box, some_items

from palate.annotate.ballots import Ballots
from palate.annotate.events import Item
from palate.annotate.queue import Leases, Queue, Shown, next_items, side_on_left
from palate.annotate.settings import Settings

NO_REPEATS = Settings(repeat_share=0)


def numbers(shown: list[Shown]) -> list[int]:
    return [one.item.number for one in shown]


def vote_through(
    items: list[Item], settings: Settings, box: Box, by: str, limit: int = 10_000
) -> list[Shown]:
    """One after another until nothing is shown; what was, in order."""
    queue = Queue(items, settings)
    seen: list[Shown] = []
    while len(seen) < limit and (shown := queue.next_items(box.ballots, by, 1)):
        seen += shown
        box.vote(shown[0].item, by=by, repeat=shown[0].repeat)
    return seen


def test_items_come_in_their_order_and_each_once() -> None:
    items, box = some_items(5), Box()
    assert numbers(next_items(box.ballots, items, "ann", NO_REPEATS, 3)) == [1, 2, 3]
    box.vote(items[1])
    assert numbers(next_items(box.ballots, items, "ann", NO_REPEATS, 9)) == [1, 3, 4, 5]


def test_what_a_page_holds_is_not_shown_again() -> None:
    items = some_items(5)
    shown = Queue(items, NO_REPEATS).next_items(
        Ballots(), "ann", 2, held=[(items[0].id, 0), (items[2].id, 0)]
    )
    assert numbers(shown) == [2, 4]


def test_with_one_vote_wanted_two_people_share_the_items() -> None:
    items, box = some_items(6), Box()
    queue = Queue(items, NO_REPEATS)
    assert numbers(queue.next_items(box.ballots, "ann", 2)) == [1, 2]
    assert numbers(queue.next_items(box.ballots, "ben", 2)) == [3, 4]
    box.vote(items[4], by="cyd")
    assert numbers(queue.next_items(box.ballots, "ben", 9, held=[(items[2].id, 0), (items[3].id, 0)])) == [6]
    # Nothing is free for a third, who is not finished for that: somebody may leave without voting.
    assert queue.next_items(box.ballots, "dan", 2) == []
    assert not queue.progress(box.ballots, "dan").finished


def test_a_lease_ends_with_time_with_a_skip_and_with_the_last_vote_that_was_wanted() -> None:
    items, box = some_items(2), Box()
    queue = Queue(items, NO_REPEATS, Leases(seconds=60))
    assert numbers(queue.next_items(box.ballots, "ann", 2, now=0)) == [1, 2]
    assert queue.next_items(box.ballots, "ben", 2, now=59.9) == []
    box.skip(items[1], by="ann")
    assert numbers(queue.next_items(box.ballots, "ben", 1, now=59.9)) == [2]
    assert numbers(queue.next_items(box.ballots, "ben", 2, held=[(items[1].id, 0)], now=60)) == [1]
    box.vote(items[0], by="ann")
    assert numbers(queue.next_items(box.ballots, "ben", 2, now=61)) == [2]


def test_asking_with_what_is_held_holds_it_longer() -> None:
    items = some_items(1)
    queue = Queue(items, NO_REPEATS, Leases(seconds=60))
    queue.next_items(Ballots(), "ann", 1, now=0)
    queue.next_items(Ballots(), "ann", 1, held=[(items[0].id, 0)], now=50)
    assert queue.next_items(Ballots(), "ben", 1, now=100) == []
    assert numbers(queue.next_items(Ballots(), "ben", 1, now=110)) == [1]


@pytest.mark.parametrize("overlap", [1, 2, 3])
def test_each_item_gets_as_many_votes_as_are_wanted(overlap: int) -> None:
    items, box = some_items(7), Box()
    settings = Settings(overlap=overlap, repeat_share=0, order="random")
    queue = Queue(items, settings)
    people = ["ann", "ben", "cyd", "dan"]
    while any(shown := [(by, one) for by in people for one in queue.next_items(box.ballots, by, 1)]):
        for by, one in shown:
            box.vote(one.item, by=by)
    assert {len(box.ballots.voters(item.id)) for item in items} == {overlap}
    assert all(queue.progress(box.ballots, by).finished for by in people)


def test_all_means_everybody_votes_on_everything() -> None:
    items, box = some_items(4), Box()
    settings = Settings(overlap="all", repeat_share=0)
    queue = Queue(items, settings)
    assert [numbers(queue.next_items(box.ballots, by, 9)) for by in ("ann", "ben")] == [[1, 2, 3, 4]] * 2


def test_what_has_a_last_word_needs_no_more_votes() -> None:
    items, box = some_items(2), Box()
    box.adjudicate(items[0], "a", by="ben")
    assert numbers(next_items(box.ballots, items, "ann", Settings(overlap="all"), 9)) == [2]


def test_what_was_skipped_comes_when_all_else_is_done() -> None:
    items, box = some_items(3), Box()
    box.skip(items[0])
    assert numbers(vote_through(items, NO_REPEATS, box, "ann")) == [2, 3, 1]


def test_an_undone_vote_is_asked_for_again() -> None:
    items, box = some_items(2), Box()
    vote = box.vote(items[0])
    box.undo(vote)
    assert numbers(next_items(box.ballots, items, "ann", NO_REPEATS, 9)) == [1, 2]


def test_random_orders_differ_between_people_and_seeds_and_stay() -> None:
    items = some_items(30)

    def order(by: str, seed: int) -> list[int]:
        settings = Settings(seed=seed, order="random", overlap="all", repeat_share=0)
        return numbers(next_items(Ballots(), items, by, settings, 30))

    orders = [order("ann", 0), order("ben", 0), order("ann", 1), list(range(1, 31))]
    assert len({tuple(each) for each in orders}) == 4
    assert all(sorted(each) == list(range(1, 31)) for each in orders)
    assert order("ann", 0) == orders[0]


@hypothesis_settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 15), st.sampled_from([0.0, 0.05, 0.5, 1.0]), st.integers(0, 5))
def test_repeats_come_once_after_enough_others_and_progress_counts_them(
    num_items: int, after: int, share: float, seed: int
) -> None:
    items, box = some_items(num_items), Box()
    settings = Settings(repeat_share=share, repeat_after=after, seed=seed)
    told = Queue(items, settings).progress(box.ballots, "ann").total
    seen = vote_through(items, settings, box, "ann")
    places = {(one.item.number, one.repeat): place for place, one in enumerate(seen)}
    assert len(places) == len(seen)  # no showing twice
    assert {number for number, repeat in places if repeat == 0} == set(range(1, num_items + 1))
    for (number, repeat), place in places.items():
        if repeat:
            assert place - places[number, 0] > after
    assert share or not any(repeat for _, repeat in places)
    progress = Queue(items, settings).progress(box.ballots, "ann")
    assert (progress.done, progress.left, progress.finished) == (len(seen), 0, True)
    assert len(seen) <= told <= len(seen) + after


def test_about_the_share_that_was_asked_for_comes_twice() -> None:
    """Of 1,000 items, 5%: 50, with a standard deviation of 7."""
    items, box = some_items(1000), Box()
    seen = vote_through(items, Settings(repeat_share=0.05), box, "ann")
    assert 29 <= sum(one.repeat for one in seen) <= 71


def test_progress_tells_beforehand_how_many_there_will_be() -> None:
    items, box = some_items(40), Box()
    settings = Settings(repeat_share=0.2, repeat_after=5)
    told = Queue(items, settings).progress(box.ballots, "ann").total
    assert told == len(vote_through(items, settings, box, "ann")) > 40
    # With fewer than five others after it, an item cannot come again.
    assert (
        Queue(items[:5], Settings(repeat_share=1, repeat_after=5)).progress(Box().ballots, "ann").total == 5
    )


def plainly_counted(items: list[Item], settings: Settings, box: Box, by: str) -> tuple[int, int]:
    """Done and left, by going through all items: what the queue keeps up to date as votes come and go."""
    ballots, queue = box.ballots, Queue(items, settings)
    votes = ballots.of_annotator(by)
    wanted = float("inf") if settings.overlap == "all" else settings.overlap
    still = [
        id
        for id in queue._plan(by).order
        if (id, 0) not in votes and len(ballots.voters(id)) < wanted and not ballots.adjudication(id)
    ]
    twice = queue._plan(by).repeated
    cast = [vote.number for vote in votes.values()]
    others = [
        sum(number > votes[id, 0].number for number in cast) + len(still)
        for id in twice
        if (id, 0) in votes and (id, 1) not in votes
    ]
    others += [len(still) - place for place, id in enumerate(still, 1) if id in twice]
    num_repeats = 0
    for num in sorted(others, reverse=True):
        num_repeats += num + num_repeats >= settings.repeat_after
    return len(votes), len(still) + num_repeats


@hypothesis_settings(deadline=None)
@given(st.data())
def test_what_is_kept_of_who_is_how_far_is_what_a_plain_count_says(data: st.DataObject) -> None:
    num_items = data.draw(st.integers(1, 12))
    settings = Settings(
        order=data.draw(st.sampled_from(["given", "random", "least-certain"])),
        overlap=data.draw(st.sampled_from([1, 2, "all"])),
        repeat_share=data.draw(st.sampled_from([0, 0.3, 1])),
        repeat_after=data.draw(st.integers(1, 5)),
    )
    items, box, people = some_items(num_items), Box(), ["ann", "ben", "cyd"]
    num_known = data.draw(st.integers(1, num_items))
    queue, done = Queue(items[:num_known], settings), []
    for _ in range(data.draw(st.integers(0, 25))):
        what = data.draw(
            st.sampled_from(["vote", "vote", "vote", "again", "skip", "undo", "adjudicate", "add"])
        )
        item, by = data.draw(st.sampled_from(items[:num_known])), data.draw(st.sampled_from(people))
        if what == "add":
            num_known = num_items
            queue.add(items)
        elif what == "undo":
            if done:
                box.undo(done.pop(data.draw(st.integers(0, len(done) - 1))))
        elif what == "skip":
            done.append(box.skip(item, by=by))
        elif what == "adjudicate":
            done.append(box.adjudicate(item, "a", by=by))
        else:
            done.append(box.vote(item, by=by, repeat=int(what == "again")))
        for name in data.draw(st.lists(st.sampled_from(people), unique=True)):
            told = queue.progress(box.ballots, name)
            assert (told.done, told.left) == plainly_counted(items[:num_known], settings, box, name)
    for name in people:
        told = queue.progress(box.ballots, name)
        assert (told.done, told.left) == plainly_counted(items[:num_known], settings, box, name)
    other = Box()  # a queue may be asked of other votes
    assert queue.progress(other.ballots, "ann").done == 0
    assert (
        queue.progress(other.ballots, "ann").left
        == plainly_counted(items[:num_known], settings, other, "ann")[1]
    )


def test_a_queue_takes_more_items() -> None:
    items = some_items(4)
    queue = Queue(items[:2], NO_REPEATS)
    queue.next_items(Ballots(), "ann", 1)
    queue.add(items)
    assert (queue.num_items, numbers(queue.next_items(Ballots(), "ann", 9))) == (4, [1, 2, 3, 4])
    assert (queue.item(items[3].id), queue.item("none")) == (items[3], None)


def test_sides_are_balanced_and_decided_by_who_sees_what_when() -> None:
    """10,000 coins: 5,000 with a standard deviation of 50. Each of the four decides by itself."""
    names = [f"item {number}" for number in range(10_000)]

    def sides(seed: int = 0, by: str = "ann", repeat: int = 0) -> list[str]:
        return [side_on_left(seed, by, name, repeat) for name in names]

    first = sides()
    assert sides() == first
    assert abs(Counter(first)["a"] - 5000) < 200
    for other in (sides(seed=1), sides(by="ben"), sides(repeat=1)):
        assert abs(sum(one == two for one, two in zip(first, other, strict=True)) - 5000) < 200


def test_the_side_shown_is_the_side_that_is_worked_out() -> None:
    items = some_items(20)
    shown = next_items(Ballots(), items, "ann", Settings(seed=3), 20)
    assert [one.left for one in shown] == [side_on_left(3, "ann", one.item.id, 0) for one in shown]
    assert {one.left for one in shown} == {"a", "b"}


def test_pace_is_the_usual_time_between_votes() -> None:
    """Votes at 0, 2, 4, 6 seconds and after lunch: a median of 2 seconds is 30 a minute."""
    items, box = some_items(6), Box()
    times = ["12:00:00", "12:00:02", "12:00:04", "12:00:06", "13:00:00"]
    for item, time in zip(items, times, strict=False):
        box.vote(item, created_at=f"2026-01-01T{time}+00:00")
    assert Queue(items, NO_REPEATS).progress(box.ballots, "ann").per_minute == 30
    assert Queue(items, NO_REPEATS).progress(box.ballots, "ben").per_minute is None


def test_imported_votes_have_no_pace() -> None:
    items, box = some_items(6), Box()
    for item in items:
        box.vote(item, created_at="2026-01-01T12:00:00+00:00", source="old.csv:1")
    assert Queue(items, NO_REPEATS).progress(box.ballots, "ann").per_minute is None
