"""Home over the fakes, driven by Streamlit's AppTest (no browser)."""

from __future__ import annotations

import re

from streamlit.testing.v1 import AppTest

from db.records import new_id
from tests import fakes
from tests.ui.screen import app, opened, plain_texts, press, run


def links(at: AppTest) -> set[tuple[str, str]]:
    return {(each.proto.page, each.proto.query_string) for each in at.get("page_link")}


def queries(at: AppTest) -> set[str]:
    return {each.proto.query_string for each in at.get("page_link")}


def why(at: AppTest, key: str, text: str) -> None:
    found = [*at.text_area, *at.text_input]
    next(each for each in found if str(each.key).startswith(key)).set_value(text)


class TestFigures:
    def test_every_number_has_a_unit_and_says_what_it_is(self) -> None:
        at, _ = opened("home")
        metrics = {metric.label: metric.value for metric in at.metric}
        assert metrics["Coverage"] == "41.7 %"
        assert metrics["Words, 7 days"] == "147"
        assert metrics["Agreement, alpha"] == "0.55"
        assert metrics["Escalated"] == "1"
        assert all(metric.help for metric in at.metric)

    def test_every_chart_has_its_words(self) -> None:
        at, _ = opened("home")
        alts = [each.proto.alt for each in at.get("plotly_chart")]
        assert len(alts) == 4
        said = "\n".join(alts)
        assert "Ada 231 words" in said
        assert "Cases done over time: 100 of 240" in said
        assert "Krippendorff's alpha by week" in said
        assert "ruler in naevus 30 of 40" in said

    def test_every_chart_leads_to_its_cases(self) -> None:
        at, _ = opened("home")
        found = queries(at)
        for expected in (
            "status=escalated", "status=flagged", "label=naevus&status=open",
            "split=test&status=open", f"concept={fakes.uid('concept', 41)}", "reviewer=Ada",
            "show=disagreements", f"check={fakes.uid('drift', 0)}", f"case={fakes.uid('case', 2)}",
        ):  # fmt: skip
            assert expected in found, expected

    def test_a_version_made_active_says_what_is_kept(self) -> None:
        at, _ = opened("home")
        said = plain_texts(at)
        assert "Version ab12cd34ef is in use since" in said
        assert "64 verdicts on other versions are kept; in runs they go on counting" in said

    def test_by_week(self) -> None:
        at, _ = opened("home")
        at.segmented_control(key="home-by").set_value("By week")
        run(at)
        assert "Of the last 26 weeks" in plain_texts(at)

    def test_load(self) -> None:
        at, _ = opened("home")
        (table,) = [each.value for each in at.table if "Assigned" in each.value]
        assert list(table["Person"]) == ["Dr Before", "Dr Idle"]
        assert list(table["Between words"]) == ["12 s", "\\\u2013"] or "12 s" in str(table)

    def test_an_empty_project_says_so(self) -> None:
        at, services = app(screen="home")
        services.home.empty = True
        run(at)
        said = plain_texts(at)
        for expected in (
            "No model version yet", "No cue was judged by two people yet", "No run yet",
            "Nobody has called a cue spurious yet", "Nothing is exported by the clock",
            "No success criterion is set",
        ):  # fmt: skip
            assert expected in said

    def test_hostile_names_are_text(self) -> None:
        at, _ = opened("home", fakes.Book(hostile=True))
        assert not any(re.search(r"(?<!\\)<img", each.value) for each in at.markdown)

    def test_others_than_leads_are_told_where_to_go(self) -> None:
        at, services = app(screen="home")
        services.settings_of.give("Ada", "expert")
        run(at)
        assert "This screen is for leads" in plain_texts(at)
        assert not at.metric


class TestCriteria:
    def test_set_with_a_reason_and_answered(self) -> None:
        at, services = opened("home")
        at.selectbox(key="criterion-measure").set_value("coverage")
        run(at)
        at.number_input(key="criterion-threshold-coverage").set_value(50.0)
        why(at, "criterion-why-coverage", "as the protocol says")
        press(at, "criterion-set")
        (row,) = services.success.rows
        assert (row.measure, row.comparator, row.threshold) == ("coverage", ">=", 0.5)
        said = plain_texts(at)
        assert "1 passed, 0 failed, 0 cannot be said" in said
        assert "Coverage is 62.0 %, of 240 cases; at least 50.0 % is asked for." in said
        assert "because: as the protocol says" in said

    def test_without_a_reason_nothing_is_stored(self) -> None:
        at, services = opened("home")
        press(at, "criterion-set")
        assert services.success.rows == []
        assert "Not stored: say why" in plain_texts(at)

    def test_a_preset_sets_all_of_its_criteria(self) -> None:
        at, services = opened("home")
        why(at, "criterion-preset-why-review", "the usual ones")
        press(at, "criterion-preset-set")
        assert len(services.success.standing("")) == 5
        said = plain_texts(at)
        assert "1 passed, 1 failed, 3 cannot be said" in said
        assert "cannot be said: no cue was judged by two people yet" in said

    def test_withdrawn(self) -> None:
        at, services = app(screen="home")
        services.success.set(
            id=new_id(), project_id="", reviewer_id="", measure="kappa", comparator=">=",
            threshold=0.6, reason="as published", based_on=0,
        )  # fmt: skip
        run(at)
        why(at, "criterion-gone-why-kappa", "too few people")
        press(at, "criterion-withdraw")
        assert services.success.standing("") == ()
        assert "was withdrawn" in plain_texts(at)

    def test_a_lost_update_is_refused(self) -> None:
        at, services = opened("home")
        why(at, "criterion-why-kappa", "as published")
        services.success.set(
            id=new_id(), project_id="", reviewer_id="", measure="kappa", comparator=">=",
            threshold=0.7, reason="somebody else", based_on=0,
        )  # fmt: skip
        press(at, "criterion-set")
        assert [row.threshold for row in services.success.rows] == [0.7]
        assert "somebody changed this criterion meanwhile" in plain_texts(at)


class TestSchedules:
    def test_added_paused_resumed_made_and_removed(self) -> None:
        at, services = opened("home")
        at.selectbox(key="schedule-every").set_value("month")
        run(at)
        at.number_input(key="schedule-day").set_value(31)
        at.text_input(key="schedule-name").set_value("board")
        at.multiselect(key="schedule-formats").set_value(["pdf", "json"])
        press(at, "schedule-add")
        (row,) = services.schedules.rows
        assert (row.name, row.day, row.formats) == ("board", 31, ("pdf", "json"))
        assert "on day 31 of every month (or its last day) at 06:00 UTC" in plain_texts(at)
        press(at, f"schedule-now-{row.id}")
        assert services.schedules.started == [row.id]
        press(at, f"schedule-pause-{row.id}-1")
        assert not services.schedules.rows[0].active
        press(at, f"schedule-resume-{row.id}-2")
        assert services.schedules.rows[0].active
        press(at, f"schedule-remove-{row.id}-3")
        assert services.schedules.rows == []

    def test_a_zone_that_there_is_not(self) -> None:
        at, services = opened("home")
        at.text_input(key="schedule-tz").set_value("Mars/Base")
        press(at, "schedule-add")
        assert services.schedules.rows == []
        assert "no time zone 'Mars/Base'" in plain_texts(at)

    def test_a_failure_is_shown_with_its_reason(self) -> None:
        at, services = app(screen="home")
        services.schedules.past()
        run(at)
        assert "logo.png: is no picture" in plain_texts(at)
