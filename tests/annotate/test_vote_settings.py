"""Settings that make no sense are refused by name; a store keeps the rest."""

from __future__ import annotations

import pytest

from palate.annotate.settings import Settings, read_settings, write_settings
from palate.errors import CallError


class Kept(dict):
    def setting(self, name):
        return self.get(name)

    def set_setting(self, name, value):
        self[name] = value


def test_a_store_keeps_them() -> None:
    store = Kept()
    assert read_settings(store) == Settings()
    settings = Settings("Which?", 7, "all", "least-certain", 0.2, 3)
    write_settings(store, settings)
    assert (read_settings(store), store["overlap"]) == (settings, "all")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("overlap", 0), ("overlap", True), ("overlap", "some"), ("overlap", 1.5), ("order", "sorted"),
        ("repeat_share", 1.01), ("repeat_share", -0.1), ("repeat_share", float("nan")), ("repeat_after", 0),
        ("seed", 0.5), ("seed", "0"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_named(name, value) -> None:
    with pytest.raises(CallError, match=f"{name} = ") as caught:
        Settings(**{name: value})
    assert caught.value.next


def test_an_order_nearly_right_is_suggested() -> None:
    with pytest.raises(CallError) as caught:
        Settings(order="least_certain")
    assert 'Did you mean "least-certain"?' in str(caught.value)
