"""Columns as groups: what can be used, how numbers are cut, what is put together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.services.group_columns import MOST, OTHERS, column_row, grouped


def test_what_can_be_used() -> None:
    site = column_row("site", ["A", "B", "A", None, "B"])
    assert (site.kind, site.values, site.cases, site.missing, site.usable) == (
        "words",
        2,
        4,
        1,
        True,
    )
    same = column_row("site", ["A", "A"])
    assert not same.usable
    assert "same value, A" in same.why_not
    assert "no image" in column_row("site", [None, None]).why_not
    assert "of its own" in column_row("file", [f"x{n}" for n in range(20)]).why_not
    assert column_row("age", [str(n) for n in range(20)]).kind == "numbers"
    assert column_row("exposure", ["1", "2", "3", "1", "2", "3"]).kind == "words"
    assert column_row("label", ["a", "b", "a", "b"]).label == "Label"
    assert column_row("x", ["nan", *[str(n) for n in range(20)]]).kind == "words"


def test_quarters_by_hand() -> None:
    groups, order = grouped("numbers", [str(n) for n in range(1, 13)])
    assert order == ("1 to 3", "above 3 to 6", "above 6 to 9", "above 9 to 12")
    assert groups == [name for name in order for _ in range(3)]


def test_equal_numbers_stay_together() -> None:
    values = ["0"] * 8 + [str(n) for n in range(1, 9)]
    groups, order = grouped("numbers", values)
    assert len(set(groups[:8])) == 1
    assert len(order) == 3
    assert set(groups) == set(order)


def test_rare_words_are_put_together() -> None:
    values = [f"w{k:02d}" for k in range(30) for _ in range(30 - k)]
    groups, order = grouped("words", values)
    assert len(order) == MOST
    assert order[-1] == OTHERS
    assert "w00" in order
    assert groups[0] == "w00"
    assert groups[-1] == OTHERS


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_every_number_lands_in_the_quarter_that_holds_it(numbers: list[float]) -> None:
    groups, order = grouped("numbers", [repr(x) for x in numbers])
    assert set(groups) <= set(order)
    assert 1 <= len(order) <= 4
    # Larger numbers never come in an earlier quarter.
    place = [order.index(g) for g in groups]
    by_size = [place[k] for k in np.argsort(numbers, kind="stable")]
    assert by_size == sorted(by_size)
    for x, y in zip(numbers, numbers, strict=True):
        assert groups[numbers.index(x)] == groups[numbers.index(y)]


@pytest.mark.parametrize("kind", ["words", "numbers"])
def test_one_value_is_one_group(kind: str) -> None:
    groups, order = grouped(kind, ["7", "7"])  # type: ignore[arg-type]
    assert len(set(groups)) == len(order) == 1
