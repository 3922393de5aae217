"""Drift checks over the fakes, driven by Streamlit's AppTest (no browser)."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.services.project_settings import parse
from tests import fakes
from tests.ui.screen import app, opened, plain_texts, press, run


def button(at: AppTest, label: str) -> AppTest:
    next(each for each in at.button if each.label == label).click()
    return run(at)


def alerted(
    book: fakes.Book | None = None, *, calm: bool = False
) -> tuple[AppTest, fakes.FakeServices]:
    """One check that has ended."""
    at, services = app(book, screen="drift")
    services.drift.past()
    services.drift.calm = calm
    return run(at), services


class TestStart:
    def test_what_is_proposed_can_be_started_at_once(self) -> None:
        at, services = opened("drift")
        assert at.multiselect(key="drift-new-split-").value == ["test"]
        button(at, "Start the check")
        (check,) = services.drift.checks
        assert (check.new, check.reference) == ("split test", "the images it learnt from")
        assert (check.within, check.level) == ("nothing", 0.05)
        assert at.query_params["check"] == check.id

    def test_any_column_against_any_other_images(self) -> None:
        at, services = opened("drift")
        at.selectbox(key="drift-by-new").set_value("camera")
        run(at)
        assert next(b for b in at.button if b.label == "Start the check").disabled
        assert "Choose at least one value" in plain_texts(at)
        at.multiselect(key="drift-new-column-camera").set_value(["phone"])
        at.toggle(key="drift-particular").set_value(True)
        run(at)
        at.multiselect(key="drift-known-split-").set_value(["train"])
        at.radio(key="drift-within").set_value("label")
        at.number_input(key="drift-level").set_value(0.01)
        run(at)
        button(at, "Start the check")
        (check,) = services.drift.checks
        assert (check.new, check.reference) == ("camera = phone", "split train")
        assert (check.within, check.level) == ("label", 0.01)

    def test_images_that_came_in_since_a_day(self) -> None:
        at, services = opened("drift")
        at.selectbox(key="drift-by-new").set_value("Ingested since")
        run(at)
        button(at, "Start the check")
        assert services.drift.checks[0].new == "ingested since 2026-05-04"

    def test_a_refusal_is_a_sentence(self) -> None:
        at, services = opened("drift")
        at.selectbox(key="drift-by-new").set_value("camera")
        run(at)
        at.multiselect(key="drift-new-column-camera").set_value(["scanner"])
        run(at)
        button(at, "Start the check")
        assert not services.drift.checks
        assert "at least 20 are needed" in plain_texts(at)

    def test_what_cannot_be_used_says_why(self) -> None:
        at, services = app(screen="drift")
        services.drift.bare = True
        run(at)
        assert "Bring more images in." in plain_texts(at)
        assert "too many values (790)" in plain_texts(at)


class TestResult:
    def test_a_check_is_watched_until_its_answer(self) -> None:
        at, services = opened("drift")
        button(at, "Start the check")
        run(at)
        for _ in range(3):
            run(at)
        assert services.drift.checks[0].state == "succeeded"
        assert any("The new images differ" in each.value for each in at.error)

    def test_an_alert_names_the_concepts_and_shows_cases(self) -> None:
        at, _ = alerted()
        assert any("ruler fires more, streaks fires less" in each.value for each in at.error)
        labels = {metric.label: metric.value for metric in at.metric}
        assert labels["Concepts that differ"] == "2"
        assert labels["Known images"] == "600"
        assert labels["Told apart"] == "0.87"
        assert all(metric.help for metric in at.metric)
        bodies = " ".join(str(each.proto.body) for each in at.get("html"))
        assert "▲ ruler, in melanoma" in bodies
        assert "+24.0 points" in bodies
        found = [link.proto.query_string for link in at.get("page_link")]
        assert found == [f"case={fakes.uid('case', n)}" for n in (*range(4), *range(4))]

    def test_another_concept_shows_its_own_cases(self) -> None:
        at, _ = alerted()
        box = at.selectbox(key=f"drift-concept-{fakes.uid('drift', 0)}")
        assert box.options[0] == "▲ ruler, in melanoma: more than before"
        assert box.options[1:] == ["▲ streaks: less than before"]
        box.set_value(fakes.uid("concept", "streaks"))
        run(at)
        assert "Known images in which it fires most" in plain_texts(at)

    def test_decisions_that_shifted(self) -> None:
        at, _ = alerted()
        shifts = at.table[0].value
        assert list(shifts["New"]) == ["44\\.0\xa0%", "47\\.0\xa0%"]
        assert "Melanoma is decided more often than before" in plain_texts(at)

    def test_no_difference_is_said_with_what_could_have_been_found(self) -> None:
        at, _ = alerted(calm=True)
        assert any("No difference beyond chance" in each.value for each in at.success)
        assert "in 59 % of the pairs or more" in plain_texts(at)

    def test_a_failed_one_says_why(self) -> None:
        at, services = alerted()
        services.drift.fail(fakes.uid("drift", 0))
        run(at)
        assert "The check failed. Too few images." in plain_texts(at)
        assert any(each.label == "Start it again" for each in at.button)

    def test_a_blind_project_shows_no_case_before_my_word(self) -> None:
        at, services = app(screen="drift")
        services.drift.past()
        services.settings_of.now = parse({"blind": ["labels"]})
        run(at)
        assert not at.get("page_link")
        assert "4 cases are not shown until your own word on each is in" in plain_texts(at)

    def test_a_hostile_name_is_escaped(self) -> None:
        at, _ = alerted(fakes.Book(hostile=True))
        bodies = " ".join(str(each.proto.body) for each in at.get("html"))
        assert "&lt;img" in bodies
        assert "<img" not in bodies

    @pytest.mark.parametrize("asked", ["new", "nonsense"])
    def test_the_address_names_the_check(self, asked: str) -> None:
        at, services = app(screen="drift", check=asked)
        services.drift.past()
        run(at)
        assert ("New check" in [each.value for each in at.header]) == (asked == "new")
        press(at, f"check-{fakes.uid('drift', 0)}")
        assert any("differ" in each.value for each in at.error)
