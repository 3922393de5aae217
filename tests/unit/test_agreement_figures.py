"""From words to figures, by hand."""

from __future__ import annotations

import pytest

from dashboard.services.agreement_figures import (
    CUE_WORDS,
    Said,
    disputes,
    figures,
    kappa_with,
    table,
)
from dashboard.viewmodels.agreement import AgreementView

MARKS = {"c": "correct", "s": "spurious", "u": "unsure"}


def said(item: str, words: str, group: str = "ruler", case: str = "") -> list[Said]:
    """The words of Ada, Ben and Cleo on one item, a letter each; "-" for none."""
    people = ("Ada", "Ben", "Cleo")
    return [
        Said(item, case or f"case of {item}", group, who, MARKS[letter])
        for who, letter in zip(people, words, strict=False)
        if letter != "-"
    ]


ROWS = [
    *said("i1", "ccc"), *said("i2", "ccs"), *said("i3", "cs-"), *said("i4", "sss", "hair"),
    *said("i5", "ssu", "hair"), *said("i6", "c--", "hair"),
]  # fmt: skip


def view(
    decided: dict[str, str] | None = None, words: tuple[str, ...] = CUE_WORDS
) -> AgreementView:
    return figures(table(ROWS, "cue", words), decided or {}, {"ruler": "scale bar"})


class TestTable:
    def test_shared_items_only(self) -> None:
        found = table(ROWS, "cue", CUE_WORDS)
        assert found.items == ("i1", "i2", "i3", "i4", "i5")
        assert found.reviewers == ("Ada", "Ben", "Cleo")
        assert found.word_IR.tolist() == [
            [0, 0, 0], [0, 0, 1], [0, 1, -1], [1, 1, 1], [1, 1, -1],
        ]  # fmt: skip
        assert found.abstained_IR.sum() == 1
        assert found.disputed_I.tolist() == [False, True, True, False, False]

    def test_unsure_as_a_word(self) -> None:
        found = table(ROWS, "cue", (*CUE_WORDS, "unsure"))
        assert found.disputed_I.tolist() == [False, True, True, False, True]

    def test_nothing(self) -> None:
        empty = figures(table([], "case", ()), {}, {})
        assert (empty.items, empty.pairs, empty.concepts, empty.consensus) == (0, (), (), None)
        assert disputes(table([], "case", ()), {}, {}) == []


class TestFigures:
    def test_counts(self) -> None:
        found = view({"i2": "spurious"})
        assert (found.items, found.cases, found.reviewers) == (5, 5, 3)
        assert (found.disputed, found.open) == (2, 1)

    def test_concepts_most_disputed_first_by_name(self) -> None:
        ruler, hair = view().concepts
        assert (ruler.name, ruler.items, ruler.disputed, ruler.open) == ("scale bar", 3, 2, 2)
        assert (hair.name, hair.items, hair.disputed) == ("hair", 2, 0)
        # hair: only "spurious" was ever said there.
        assert hair.alpha.value is None
        assert hair.alpha.observed == 1.0
        assert "only one word" in hair.alpha.note

    def test_pairs(self) -> None:
        pairs = {(pair.first, pair.second): pair.cohen for pair in view().pairs}
        # Ada cccss, Ben ccsss: po = 4/5, pe = (3*2 + 2*3)/25
        assert pairs["Ada", "Ben"].value == pytest.approx((0.8 - 12 / 25) / (1 - 12 / 25))
        assert pairs["Ada", "Ben"].items == 5
        # Ada ccs, Cleo css: po = 2/3, pe = (2*1 + 1*2)/9
        assert pairs["Ada", "Cleo"].value == pytest.approx((2 / 3 - 4 / 9) / (1 - 4 / 9))

    def test_raters(self) -> None:
        ada, ben, cleo = view().raters
        assert (ada.words, ada.abstained, ada.with_majority) == (5, 0, 1.0)
        assert (cleo.words, cleo.abstained) == (3, 1)
        assert ben.with_majority == 1.0  # the tie on i3 is nobody's mistake
        assert cleo.with_majority == pytest.approx(2 / 3)
        assert [word for word, _, _ in ada.right] == list(CUE_WORDS)

    def test_majority_beside_consensus(self) -> None:
        found = view({"i3": "spurious", "elsewhere": "correct"}).consensus
        assert found is not None
        assert (found.majority, found.ties) == ((2, 2), 1)
        assert sum(found.consensus) + found.even == 5
        assert (found.anchored, found.settled) == (1, 1)

    def test_few_cases_are_warned_of(self) -> None:
        assert "fewer than 30 cases" in view().overall[0].note


class TestDisputes:
    def test_the_most_even_first(self) -> None:
        first, second = disputes(table(ROWS, "cue", CUE_WORDS), {"i2": "correct"}, {})
        assert (first.id, first.majority, first.decided) == ("i3", None, None)
        assert first.said == (("correct", 1), ("spurious", 1))
        assert (second.id, second.majority, second.decided) == ("i2", "correct", "correct")
        assert second.said == (("correct", 2), ("spurious", 1))
        assert second.probability is not None
        assert 0.5 < second.probability < 1


def test_kappa_with_a_reference() -> None:
    found = kappa_with(
        ["correct", "spurious", None, "correct"],
        ["correct", "correct", "correct", "spurious"],
        ["a", "a", "b", "b"],
    )
    # three pairs: po = 1/3; said 2 c 1 s, reference 2 c 1 s: pe = 5/9
    assert found.value == pytest.approx((1 / 3 - 5 / 9) / (1 - 5 / 9))
    assert (found.items, found.cases) == (3, 2)
