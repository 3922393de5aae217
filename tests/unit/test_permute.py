"""Each reviewer's own order: a bijection with a cheap inverse, the same for the same key."""

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.services.permute import Permutation, for_reviewer


@given(n=st.integers(1, 700), key=st.text(max_size=8))
def test_it_is_a_bijection_and_place_undoes_at(n: int, key: str) -> None:
    order = Permutation(n, key)
    items = [order.at(place) for place in range(n)]
    assert sorted(items) == list(range(n))
    assert [order.place(item) for item in items] == list(range(n))


@given(n=st.integers(1, 2**40), data=st.data())
def test_long_queues_need_no_list(n: int, data: st.DataObject) -> None:
    order = Permutation(n, "seed/reviewer")
    place = data.draw(st.integers(0, n - 1))
    assert 0 <= order.at(place) < n
    assert order.place(order.at(place)) == place


def test_the_key_decides() -> None:
    def listed(seed: int, who: str) -> list[int]:
        order = for_reviewer(200, seed, who)
        return [order.at(place) for place in range(200)]

    assert listed(1, "ada") == listed(1, "ada")
    assert len({tuple(listed(seed, who)) for seed in (1, 2) for who in ("ada", "bo")}) == 4
    assert listed(1, "ada") != list(range(200))


def test_no_case_is_favoured() -> None:
    """Mean place of each item over many reviewers is the middle, within five standard errors."""
    n, people = 40, 600
    orders = [Permutation(n, f"0/{who}") for who in range(people)]
    error = ((n * n - 1) / 12 / people) ** 0.5
    for item in range(n):
        mean = statistics.fmean(order.place(item) for order in orders)
        assert abs(mean - (n - 1) / 2) < 5 * error


def test_neighbours_are_not_kept_together() -> None:
    order = Permutation(1000, "x")
    places = [order.place(item) for item in range(1000)]
    gaps = [abs(a - b) for a, b in itertools.pairwise(places)]
    assert 280 < statistics.fmean(gaps) < 390  # 333 by chance


def test_bounds() -> None:
    assert Permutation(1, "k").at(0) == 0
    with pytest.raises(ValueError, match="range"):
        Permutation(-1, "k")
    for bad in (-1, 3):
        with pytest.raises(IndexError):
            Permutation(3, "k").at(bad)
        with pytest.raises(IndexError):
            Permutation(3, "k").place(bad)
    with pytest.raises(IndexError):
        Permutation(0, "k").at(0)
