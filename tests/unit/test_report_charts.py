"""The charts of a report: their geometry by hand, their text alternatives, hostile labels."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from dashboard.services.report_charts import Bar, Pair, Point, bars, curve, pairs, reliability

HOSTILE = '<script>alert(1)</script>&"\x01\udcff'
SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)


def test_a_bar_is_as_long_as_its_share() -> None:
    # The axis runs from 190 to 530: a half is 170 units long, its whisker from .25 to .75.
    drawn = parsed(bars([Bar("ruler", 0.5, 0.25, 0.75, "5 of 10")], title="Spurious"))

    (rect,) = drawn.findall(f"{SVG}rect")
    assert (rect.get("x"), rect.get("width")) == ("190.0", "170.0")
    ends = [(line.get("x1"), line.get("x2")) for line in drawn.findall(f"{SVG}line")]
    assert ("275.0", "445.0") in ends
    assert drawn.get("aria-label") == "Spurious. ruler: 5 of 10."
    assert drawn.get("role") == "img"


def test_a_figure_that_cannot_be_said_has_no_bar() -> None:
    drawn = parsed(bars([Bar("ruler", None)], title="T"))

    assert drawn.findall(f"{SVG}rect") == []
    assert "not known" in (drawn.get("aria-label") or "")


def test_nothing_gives_no_chart() -> None:
    assert (bars([], title="T"), pairs([], title="T"), reliability([], title="T")) == ("", "", "")
    assert curve([], [], title="T") == ""


def test_before_and_after_differ_in_shape_and_not_in_colour_alone() -> None:
    row = Pair("Accuracy", Bar("", 0.25, 0.2, 0.3, "25 %"), Bar("", 1.0, 0.9, 1.0, "100 %"))

    drawn = parsed(pairs([row], title="Runs"))

    circles, squares = drawn.findall(f"{SVG}circle"), drawn.findall(f"{SVG}rect")
    assert [each.get("cx") for each in circles] == ["196.0", "275.0"]  # legend, then the figure
    assert [each.get("x") for each in squares] == ["271.5", "525.5"]
    assert "before 25 %, after 100 %" in (drawn.get("aria-label") or "")


def test_the_reliability_diagram_puts_what_is_right_on_the_diagonal() -> None:
    drawn = parsed(reliability([Point(0.5, 0.5, 0.4, 0.6, 10), Point(1, 1, n=40)], title="R"))

    places = [(c.get("cx"), c.get("cy")) for c in drawn.findall(f"{SVG}circle")]
    assert places == [("185.0", "135.0"), ("310.0", "10.0")]
    assert "stated 50 %, right 50 % of 10 cases" in (drawn.get("aria-label") or "")


def test_a_curve_names_each_point() -> None:
    drawn = parsed(
        curve([Point(0, 0.5), Point(1, 0.7, 0.6, 0.8)], ["2026-01", "2026-02"], title="A")
    )

    assert drawn.get("aria-label") == "A. 2026-01: 0.50; 2026-02: 0.70."
    assert len(drawn.findall(f"{SVG}circle")) == 2


def test_hostile_labels_stay_text() -> None:
    for chart in (
        bars([Bar(HOSTILE, 0.5, text=HOSTILE)], title=HOSTILE),
        pairs([Pair(HOSTILE, Bar("", 0.1), Bar("", 0.2))], title=HOSTILE),
        curve([Point(0, 0.5)], [HOSTILE], title=HOSTILE),
    ):
        drawn = parsed(chart)
        assert not [each for each in drawn.iter() if each.tag.endswith("script")]
        assert "<script>" in (drawn.get("aria-label") or "")
        assert chart.encode("utf-8")
