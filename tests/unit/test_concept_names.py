"""Concepts of one name, side by side: each keeps a label of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.viewmodels.concept_names import by_id, cut, numbered, told_apart
from dashboard.views.run_page import _learnt

FIRST, SECOND = "3fa2c15b" * 8, "77e0d2c4" * 8
WORDS = st.sampled_from(["ruler", "Ruler", "hair", "lesion"])


def test_shared_names_get_the_number_whatever_their_capitals() -> None:
    found = told_apart({1: "ruler", 2: "hair", 27: "Ruler"})
    assert found == {1: "ruler · no. 1", 2: "hair", 27: "Ruler · no. 27"}


@given(st.dictionaries(st.integers(0, 99), WORDS, max_size=12))
def test_no_two_labels_are_alike(names: dict[int, str]) -> None:
    found = told_apart(names)
    assert len({label.casefold() for label in found.values()}) == len(names)
    assert all(label.startswith(names[n]) for n, label in found.items())


def test_numbers_of_two_dictionaries_do_not_meet() -> None:
    found = by_id(
        [("a", 1, FIRST, "ruler"), ("b", 1, SECOND, "ruler"), ("c", 2, SECOND, "ruler"),
         ("d", 1, FIRST, "hair"), ("a", 1, FIRST, "ruler")]
    )  # fmt: skip
    assert found == {
        "a": "ruler · no. 1 of 3fa2c1", "b": "ruler · no. 1 of 77e0d2", "c": "ruler · no. 2",
        "d": "hair",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("hair", "hair"), ("x" * 12, "x" * 12), ("x" * 13, "x" * 11 + "…"),
        (numbered("seborrhoeic keratosis", 29), "seborrhoeic… · no. 29"),
        (numbered("ruler", 29), "ruler · no. 29"),
    ],
)  # fmt: skip
def test_a_cut_keeps_the_number(name: str, shown: str) -> None:
    assert cut(name, 12) == shown


def test_learnt_cues_of_one_name_say_their_concepts() -> None:
    cues = [
        {"name": "ruler", "concepts": [1, 27, 29]}, {"name": "colour sticker", "concepts": [14]},
        {"name": "Ruler", "concepts": [1]}, {"name": "ruler"},
    ]  # fmt: skip
    assert _learnt(cues) == [
        "ruler · no. 1, 27, 29", "colour sticker", "Ruler · no. 1", "ruler",
    ]  # fmt: skip
