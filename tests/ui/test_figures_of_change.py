"""Plots and words of the screens of change: what they say, and that nothing in them is HTML."""

from __future__ import annotations

import pytest

from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.runs import CurveView
from dashboard.viewmodels.versions import LineageView
from dashboard.views import curves, judgement_figures, lineage
from dashboard.views.text import by_chance, chance, images_of, lasted, points
from tests.fakes.cases import HOSTILE, START, Book
from tests.fakes.judging import judgement
from tests.fakes.runs import BASE, RESULT
from tests.fakes.versions import FakeVersions


def curve(series: str, count: int, unit: str = "nats") -> CurveView:
    points = tuple((step, float(step)) for step in range(count))
    return CurveView(series, series, unit, "what it is", points)


class TestWords:
    @pytest.mark.parametrize(
        ("value", "words"), [(0.125, "+12.5"), (-0.01, "\u22121.0"), (0.0, "0.0"), (-1e-5, "0.0")]
    )
    def test_points_have_a_sign_unless_they_are_none(self, value: float, words: str) -> None:
        assert points(value) == words

    def test_chance_in_figures_and_in_words(self) -> None:
        assert (chance(0.0004), chance(0.031), chance(None)) == ("< 0.001", "0.031", "\u2013")
        assert by_chance(0.0004) == "hardly by chance (p\xa0<\xa00.001)"
        assert by_chance(0.031) == "unlikely by chance (p\xa0=\xa00.031)"
        assert by_chance(0.2) == "may be chance (p\xa0=\xa00.200)"
        assert by_chance(None) == ""

    def test_lengths_of_time(self) -> None:
        assert [lasted(t) for t in (42, 150, 7300)] == ["42 s", "2 min 30 s", "2 h 1 min"]

    def test_which_images(self) -> None:
        assert images_of("test") == "the test images"
        assert images_of("all held-out") == "all held-out images"

    def test_an_interval_and_a_change(self) -> None:
        assert judgement_figures.interval(Estimate(0.5, 0.41, 0.6)) == "41.0 to 60.0 %"
        assert judgement_figures.interval(Estimate(0.5)) == "\u2013"
        said = judgement_figures.change(Estimate(0.12, 0.08, 0.163)).replace("\xa0", " ")
        assert said == "+12.0 (+8.0 to +16.3)"
        assert judgement_figures.change(Estimate(None)) == "\u2013"


class TestCurves:
    def test_training_and_validation_of_one_figure_share_a_plot(self) -> None:
        found = (curve("train.loss", 3), curve("val.loss", 2), curve("val/accuracy", 2, "share"))
        names = [(name, len(group)) for name, group in curves.families(found)]
        assert names == [("loss", 2), ("accuracy", 1)]

    def test_a_curve_without_points_is_no_plot(self) -> None:
        assert curves.families((curve("train.loss", 0),)) == ()

    def test_long_curves_are_thinned_and_keep_their_ends(self) -> None:
        shown = curves.thinned(curve("train.loss", 10_000).points)
        assert (len(shown), shown[0], shown[-1]) == (400, (0, 0.0), (9999, 9999.0))

    def test_shares_are_drawn_in_per_cent(self) -> None:
        part = CurveView("val.accuracy", "Accuracy", "share", "", ((0, 0.5), (10, 0.61)))
        figure, words = curves.plot("accuracy", (part,))
        assert list(figure.data[0].y) == [50.0, 61.0]
        assert words == (
            "Curve of accuracy over the steps: Accuracy from 50.0 % to 61.0 % at step 10."
        )


class TestDifferences:
    def test_to_the_right_is_better_whatever_the_figure(self) -> None:
        split = judgement(Book(), BASE, RESULT).splits[0]
        figure, words = judgement_figures.differences(split.figures, split.split)
        drawn = {name: x for trace in figure.data for name, x in zip(trace.y, trace.x, strict=True)}
        assert drawn["Worst-group accuracy"] == pytest.approx(48.5)
        assert drawn["Share on rejected concepts"] == pytest.approx(33.8)  # it fell
        assert drawn["Accuracy"] == pytest.approx(-0.9)
        assert "Brier score" not in drawn  # it is no share
        assert words.startswith("Before and after on the test images: Accuracy no clear change")

    def test_what_cannot_be_said_has_a_mark_of_its_own(self) -> None:
        looks = judgement_figures.LOOKS
        assert len({mark for _, mark in looks.values()}) == len(looks)

    def test_a_hostile_group_is_text(self) -> None:
        split = judgement(Book(hostile=True), BASE, RESULT).splits[0]
        figure, _ = judgement_figures.parts(split.groups, "group", split.split)
        names = [name for trace in figure.data for name in trace.y]
        assert any(name.startswith("&lt;img") for name in names)
        assert not any("<img" in name for name in names)


class TestLineage:
    def test_boxes_and_arrows_for_all_there_is(self) -> None:
        versions = FakeVersions(Book())
        versions.add(RESULT)
        versions.add("cc" * 32, state="discarded")
        view = versions.lineage("")
        figure, words = lineage.graph(view)
        boxes = [shape for shape in figure.layout.shapes if shape.type == "rect"]
        around = [shape for shape in figure.layout.shapes if shape.type == "path"]
        arrows = [each for each in figure.layout.annotations if each.showarrow]
        assert len(boxes) == len(view.nodes)
        assert len(arrows) == len(view.edges)
        assert len(around) == 2  # a version and its run have the verdicts between them
        assert [box.line.width for box in boxes].count(3) == 1  # the active one
        assert all(line in words for line in view.text)

    def test_a_hostile_title_is_text(self) -> None:
        node = FakeVersions(Book()).lineage("").nodes[0]
        bad = type(node)(node.id, "data", HOSTILE, HOSTILE, "", START, 0, 0, "x")
        figure, _ = lineage.graph(LineageView((bad,), (), 1, 1, (), None))
        said = [each.text for each in figure.layout.annotations]
        assert all("<img" not in text for text in said)
        assert "<img" not in figure.data[0].text[0]
