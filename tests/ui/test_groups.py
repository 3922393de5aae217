"""Groups and words on columns over the fakes, driven by Streamlit's AppTest (no browser)."""

from __future__ import annotations

from uuid import uuid4

from streamlit.testing.v1 import AppTest

from dashboard.services.project_settings import parse
from tests import fakes
from tests.ui.screen import app, opened, plain_texts, press, run


def says(at: AppTest, value: str, revision: int = 0, column: str = "camera") -> AppTest:
    at.segmented_control(key=f"column-word-{column}-{revision}").set_value(value)
    return run(at)


def standing(services: fakes.FakeServices) -> list[tuple[str, str | None, str]]:
    reviewer = services.review.sign_in("Ada")
    given = services.columns.given.get(("camera", reviewer), [])
    return [(word.value, word.reason, word.comment) for word in given]


class TestFigures:
    def test_the_column_that_differs_most_is_shown_with_intervals(self) -> None:
        at, _ = opened("groups")
        said = plain_texts(at)
        assert "On phone 71.0 % are right, clearly fewer than elsewhere." in said
        assert "4 groups were compared; p-values are adjusted for that." in said
        labels = {metric.label: metric.value for metric in at.metric}
        assert labels["Accuracy"] == "92.0 %"
        assert labels["Highest \u2212 lowest"] == "25.2 points"
        assert all(metric.help for metric in at.metric)

    def test_the_table_and_the_plot_say_the_same(self) -> None:
        at, _ = opened("groups")
        rows = at.table[0].value
        assert rows["camera"][0] == "phone"
        assert rows["Cases"][3] == r"6 \(few\)"
        assert rows["Too sure by"][0] == "\\+17\\.0\xa0points"
        (alt,) = (each.proto.alt for each in at.get("plotly_chart"))
        assert "phone 71.0 % of 122, differs from the others" in alt
        assert "scanner 67.0 % of 6, few cases" in alt

    def test_another_column_is_one_click_away(self) -> None:
        at, _ = opened("groups")
        press(at, "column-group")
        assert at.query_params["column"] == "group"
        assert "Groups by Group" in plain_texts(at)

    def test_what_cannot_be_used_says_why(self) -> None:
        at, _ = opened("groups")
        assert "too many values (790)" in plain_texts(at)

    def test_wrong_decisions_are_one_click_away(self) -> None:
        at, _ = opened("groups")
        found = {link.proto.query_string for link in at.get("page_link")}
        assert found == {f"case={fakes.uid('case', n)}" for n in range(4)}
        at.selectbox(key="groups-wrong-camera").set_value("dermatoscope A")
        run(at)
        (link,) = at.get("page_link")
        assert link.proto.query_string == f"case={fakes.uid('case', 0)}"

    def test_a_blind_project_shows_no_case_before_my_word(self) -> None:
        at, services = app(screen="groups")
        services.settings_of.now = parse({"blind": ["labels"]})
        run(at)
        assert not at.get("page_link")
        assert "4 cases are not shown until your own word on each is in" in plain_texts(at)

    def test_another_version(self) -> None:
        at, services = app(screen="groups")
        row = services.versions.add("4be0c2d1" * 8)
        run(at)
        at.selectbox(key=f"groups-of-{fakes.uid('version', 0)}").set_value(row.id)
        run(at)
        assert at.query_params["of"] == row.id

    def test_without_columns_it_says_what_to_do(self) -> None:
        at, services = app(screen="groups")
        services.groups.none = True
        run(at)
        assert "No column to group by" in plain_texts(at)
        assert "insight ingest" in at.code[0].value

    def test_a_hostile_value_is_escaped(self) -> None:
        at, _ = opened("groups", fakes.Book(hostile=True))
        cells = list(at.table[0].value["camera"])
        assert str(cells[0]).startswith("\\<img")


class TestWords:
    def test_a_column_is_called_spurious_and_others_show_then(self) -> None:
        at, services = opened("groups")
        assert "Dr B" not in plain_texts(at)
        says(at, "spurious")
        assert standing(services) == [("spurious", None, "")]
        assert "spurious with probability 93 %" in plain_texts(at)
        assert "Dr B: \u2715 spurious" in plain_texts(at).replace("**", "")
        assert not at.get("html")  # the other's comment is text

    def test_a_reason_and_a_comment_are_a_further_revision(self) -> None:
        at, services = opened("groups")
        says(at, "spurious")
        reason = services.settings_of.now.reasons[0]
        at.selectbox(key="column-why-camera-1").set_value(reason)
        at.text_area(key="column-text-camera-1").set_value("phones blur")
        next(each for each in at.button if each.label == "Keep").click()
        run(at)
        assert standing(services) == [("spurious", None, ""), ("spurious", reason, "phones blur")]

    def test_a_word_is_taken_back_by_pressing_it_again(self) -> None:
        at, services = opened("groups")
        says(at, "spurious")
        at.segmented_control(key="column-word-camera-1").set_value(None)
        run(at)
        assert standing(services)[-1][0] == "withdrawn"

    def test_a_word_over_one_that_was_not_seen_is_refused_and_shown(self) -> None:
        at, services = opened("groups")
        services.columns.judge(
            id=str(uuid4()), project_id="", column="camera", value="correct", based_on=0,
            reviewer_id=services.review.sign_in("Ada"),
        )  # fmt: skip
        says(at, "spurious")
        assert standing(services) == [("correct", None, "")]
        assert "in another window" in plain_texts(at)
