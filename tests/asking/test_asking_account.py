"""The account stays small and adds up, whatever comes in."""

from __future__ import annotations

from asking_scene import question

from palate.asking import Account, Reply, Usage


def test_a_million_different_reasons_do_not_fill_the_memory() -> None:
    account = Account()
    for number in range(3000):
        account.add(Reply(question("a"), "failed", reason=f"reason {number}"))
    model = account.models["m"]
    assert len(model.reasons) == 1001
    told = account.as_dict()["models"]["m"]["reasons"]
    assert len(told) == 21
    assert sum(item["count"] for item in told) == 3000


def test_one_model_without_a_price_leaves_the_sum_unknown() -> None:
    account = Account(currency="EUR")
    account.add(Reply(question("a"), "answered", usage=Usage(1, 2), cost=0.5))
    assert (account.cost, account.in_words()) == (0.5, "cost 0.5 EUR")
    account.add(Reply(question("a", model="other"), "empty", reason="no text", is_new=False))
    assert (account.cost, account.in_words()) == (0.5, "1 without an answer, 1 from the store, cost 0.5 EUR")
    account.add(Reply(question("a", model="other"), "answered"))
    assert account.cost is None
    assert account.count("answered") == 2
    assert account.num_replies == 3
