"""Model versions over the fakes, driven by Streamlit's AppTest (no browser)."""

from __future__ import annotations

from uuid import uuid4

from streamlit.testing.v1 import AppTest

from tests import fakes
from tests.fakes.runs import BASE
from tests.ui.screen import app, opened, plain_texts, press, run

SECOND = "4be0c2d1" * 8


def with_two(
    *, bad: bool = False, book: fakes.Book | None = None, **address: str
) -> tuple[AppTest, fakes.FakeServices, str]:
    """The first version is active, a second one waits; its id."""
    at, services = app(book, screen="versions", **address)
    row = services.versions.add(SECOND, bad=bad)
    return run(at), services, row.id


def button(at: AppTest, label: str) -> AppTest:
    next(each for each in at.button if each.label == label).click()
    return run(at)


class TestOne:
    def test_the_active_one_is_shown_first_with_its_figures(self) -> None:
        at, _, _ = with_two()
        accuracy = at.metric[0]
        assert (accuracy.label, accuracy.value) == ("Accuracy", "95.0 %")
        assert "95 % interval 92.0 to 97.0 %" in plain_texts(at)
        assert (
            "When it was built: 94.0 % right of 849 held-out images that are not all in this "
            "project" in plain_texts(at)
        )
        assert any("is the active one" in each.value for each in at.success)
        assert all(metric.help for metric in at.metric)

    def test_another_is_one_click_away_and_waits_for_a_decision(self) -> None:
        at, _, second = with_two()
        press(at, f"version-{second}")
        assert at.query_params["version"] == SECOND
        assert "waits for your decision" in plain_texts(at)
        assert "from 18 verdicts" in plain_texts(at)

    def test_activate_then_go_back(self) -> None:
        at, services, second = with_two(version=SECOND)
        button(at, "Use this version")
        assert services.versions.view(second).row.state == "active"
        assert "From now on version 4be0c2d14b decides." in plain_texts(at)
        button(at, "Go back to it")
        assert services.versions.view(second).row.state == "candidate"
        kinds = [event.kind for event in services.versions.events("")]
        assert kinds == ["rollback", "activate"]
        assert services.versions.events("")[0].by == "Ada"

    def test_a_worse_one_needs_a_reason(self) -> None:
        at, services, _ = with_two(bad=True, version=SECOND)
        assert "fell by 5.2 points; 3.0 may be lost" in plain_texts(at)
        button(at, "Use this version")
        assert services.versions.events("") == ()
        at.text_input[0].set_value("worth it")
        button(at, "Use this version")
        assert services.versions.events("")[0].reason == "worth it"

    def test_who_may_not_decide_sees_why_and_cannot_press(self) -> None:
        at, services, _ = with_two(version=SECOND)
        services.versions.barred = "This needs the role lead in this project; yours is expert."
        run(at)
        verbs = {each.label: each for each in at.button}
        assert verbs["Use this version"].disabled
        assert verbs["Discard it"].disabled
        assert verbs["Use this version"].help == services.versions.barred
        assert services.versions.barred in plain_texts(at)
        assert not at.text_input  # nothing to write a reason for

    def test_who_may_not_decide_cannot_go_back(self) -> None:
        at, services, _ = with_two(version=SECOND)
        button(at, "Use this version")
        services.versions.barred = "This needs the role lead in this project; yours is expert."
        run(at)
        assert next(each for each in at.button if each.label == "Go back to it").disabled

    def test_one_that_was_in_use_says_until_when(self) -> None:
        at, _, _ = with_two(version=SECOND)
        button(at, "Use this version")
        button(at, "Go back to it")
        said = plain_texts(at)
        assert "Version 4be0c2d14b was in use until" in said
        assert "It can be used again" in said
        assert "waits for your decision" not in said

    def test_the_line_of_versions_reads_in_time(self) -> None:
        at, _, _ = with_two(version=SECOND)
        assert "9f3c1ab79f → 4be0c2d14b" in plain_texts(at)

    def test_discard(self) -> None:
        at, services, second = with_two(version=SECOND)
        button(at, "Discard it")
        assert services.versions.view(second).row.state == "discarded"
        assert any("was discarded" in each.value for each in at.warning)

    def test_an_act_on_a_screen_that_is_behind_is_refused(self) -> None:
        at, services, second = with_two(version=SECOND)
        third = services.versions.add("cc" * 32)
        services.versions.activate(id=str(uuid4()), version_id=third.id, reviewer_id="x")
        button(at, "Use this version")
        assert services.versions.view(second).row.state == "candidate"
        assert "another version became active meanwhile" in plain_texts(at)

    def test_an_unknown_one_shows_the_active_one(self) -> None:
        at, _, _ = with_two(version="nonsense")
        assert "Version 9f3c1ab79f" in plain_texts(at)


class TestCompare:
    def test_the_newest_beside_the_active_one(self) -> None:
        at, _, _ = with_two(part="Compare")
        before, after = at.selectbox
        assert (before.value, after.value) == (BASE, SECOND)
        assert any(m.label == "Worst-group accuracy" for m in at.metric)

    def test_a_reason_is_asked_for_only_before_the_decision(self) -> None:
        at, services, second = with_two(bad=True, part="Compare")
        asked = "To use this version all the same, write down why."
        assert asked in plain_texts(at)
        services.versions.activate(
            id=str(uuid4()), version_id=second, reviewer_id=services.review.sign_in("Ada"),
            reason="the ruler is gone",
        )  # fmt: skip
        run(at)
        assert asked not in plain_texts(at)
        assert "got worse by more than the project allows" in plain_texts(at)
        assert "Version 4be0c2d14b: Made active by Ada on" in plain_texts(at)
        assert "with the reason: “the ruler is gone”" in plain_texts(at)

    def test_any_two_and_in_the_address(self) -> None:
        at, services, _ = with_two(part="Compare")
        services.versions.add("cc" * 32)
        at.selectbox[0].set_value(SECOND)
        run(at)
        assert at.query_params["before"] == SECOND
        at.selectbox[1].set_value(BASE)
        run(at)
        assert at.query_params["after"] == BASE
        assert [box.value for box in at.selectbox] == [SECOND, BASE]
        assert at.get("plotly_chart")

    def test_a_version_with_itself_is_a_sentence(self) -> None:
        at, _, _ = with_two(part="Compare", before=SECOND, after=SECOND)
        assert "Choose two different versions" in plain_texts(at)

    def test_a_single_version_says_what_to_do(self) -> None:
        at, _ = opened("versions", part="Compare")
        assert "There is only one version" in plain_texts(at)


class TestLineageAndDecisions:
    def test_the_graph_says_the_same_in_words(self) -> None:
        at, services, _ = with_two(part="Lineage")
        (alt,) = (each.proto.alt for each in at.get("plotly_chart"))
        for line in services.versions.lineage("").text:
            assert line in alt
            assert line in plain_texts(at)

    def test_decisions_with_who_and_why(self) -> None:
        at, services, second = with_two(part="Decisions")
        assert "Nothing was decided" in plain_texts(at)
        services.versions.activate(
            id=str(uuid4()), version_id=second, reviewer_id=services.review.sign_in("Ada"),
            reason="the ruler is gone",
        )  # fmt: skip
        run(at)
        (decided,) = (table.value for table in at.table)
        assert list(decided["Did"]) == ["made active"]
        assert list(decided["Reason"]) == ["the ruler is gone"]
        assert list(decided["Active before"]) == ["9f3c1ab79f"]

    def test_the_part_is_kept_in_the_address(self) -> None:
        at, _, _ = with_two()
        at.segmented_control(key="versions-part-This version").set_value("Lineage")
        run(at)
        assert at.query_params["part"] == "Lineage"
