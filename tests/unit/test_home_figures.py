"""Plots of the home screen, against counts made by hand."""

from __future__ import annotations

from datetime import date

from dashboard.viewmodels.concept_names import numbered
from dashboard.viewmodels.home import SpuriousCell
from dashboard.views import home_figures

MELANOMA, NAEVUS = "melanoma", "naevus"


def cells(*names: str) -> tuple[SpuriousCell, ...]:
    """Three concepts: 2 of 2 and 1 of 4; 0 of 1; 3 of 3."""
    return (
        SpuriousCell("a", names[0], MELANOMA, 2, 2), SpuriousCell("a", names[0], NAEVUS, 1, 4),
        SpuriousCell("b", names[1], NAEVUS, 0, 1), SpuriousCell("c", names[2], MELANOMA, 3, 3),
    )  # fmt: skip


class TestSpurious:
    def test_concepts_of_one_name_keep_their_own_counts(self) -> None:
        figure, words = home_figures.spurious(cells("ruler", "ruler", "ruler"))
        (heat,) = figure.data
        assert list(heat.x) == [MELANOMA, NAEVUS]
        assert [list(row) for row in heat.z] == [[100, 25], [None, 0], [100, None]]
        assert [list(row) for row in heat.text] == [
            ["2 of 2", "1 of 4"], ["", "0 of 1"], ["3 of 3", ""],
        ]  # fmt: skip
        assert list(heat.y) == [0, 1, 2]
        assert list(figure.layout.yaxis.ticktext) == ["ruler"] * 3
        assert words.count("ruler in ") == 4

    def test_long_names_that_differ_by_number_stay_apart(self) -> None:
        long = "marking that the nurse drew beside it"
        names = [numbered(long, n) for n in (1, 27, 29)]
        figure, _ = home_figures.spurious(cells(*names))
        ticks = figure.layout.yaxis.ticktext
        cut = "marking that the nurse drew…"
        assert list(ticks) == [f"{cut} · no. {n}" for n in (1, 27, 29)]
        assert [row[0] for row in figure.data[0].customdata] == list(ticks)

    def test_nothing_said(self) -> None:
        figure, words = home_figures.spurious(())
        assert list(figure.data[0].z) == []
        assert words.endswith("none.")


def test_days_are_written_as_everywhere() -> None:
    rows = ((date(2026, 11, 2), 4), (date(2026, 11, 20), 10))
    _, words = home_figures.covered(rows, 40)
    assert words == "Cases done over time: 10 of 40 (25.0 %) by 20 Nov 2026, begun on 02 Nov 2026."
