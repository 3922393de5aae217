"""The Queue screen over the fakes, driven by Streamlit's AppTest."""

from __future__ import annotations

from uuid import uuid4

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.viewmodels.queue import PlanView, QueueFilter
from dashboard.views.queue_page import MARKS, STATUSES, reason_words
from tests import fakes
from tests.ui import screen
from tests.ui.screen import plain_texts as texts
from tests.ui.screen import run


def app(book: fakes.Book | None = None, **query: str) -> tuple[AppTest, fakes.FakeServices]:
    """The Queue screen with a seated reviewer."""
    return screen.app(book or fakes.Book(cases=12), "queue", **query)


def names(at: AppTest) -> list[str]:
    """Images listed, in order."""
    return [
        line.partition("  \n")[0].replace("\\", "")
        for line in (element.value for element in at.markdown)
        if line.startswith("phantom")
    ]


class TestList:
    def test_each_case_has_a_row_with_its_reason(self) -> None:
        at, _ = app()
        run(at)
        assert names(at) == [f"phantom_{n:04d}.png" for n in range(12)]
        said = texts(at)
        assert "the model is unsure" in said
        assert "random control" in said
        assert "0 of 1" in said
        assert "0 of 2" in said
        assert "Cases 1 to 12 of 12" in said

    def test_names_are_text_whatever_they_hold(self) -> None:
        at, services = app()
        services.queue.held[fakes.uid("case", 0)] = fakes.HOSTILE
        services.queue.assigned[fakes.uid("case", 1)] = {"[x](http://evil)"}
        run(at)
        raw = "\n".join(element.value for element in at.markdown)
        assert "<img" not in raw.replace("\\<img", "")
        assert "[x](" not in raw

    def test_states_are_words_not_colours(self) -> None:
        at, services = app()
        me = services.review.sign_in("Ada")
        case = services.review.case("p", fakes.uid("case", 0), me)
        services.review.give_verdict(
            id=str(uuid4()), cue_id=case.cues[0].id, reviewer_id=me, value="correct", based_on=0
        )
        services.queue.held[fakes.uid("case", 1)] = "Bo"
        for at_case, kind in ((2, "flag"), (3, "escalate"), (4, "skip")):
            services.queue.mark(
                id=str(uuid4()), case_id=fakes.uid("case", at_case), reviewer_id=me, kind=kind
            )
        said = texts(run(at))
        for words in ("your word is in", "open at Bo", "flagged", "escalated", "skipped by me"):
            assert words in said
        assert set(MARKS) == {"skip", "flag", "escalate"}

    def test_more_people_than_wanted_do_not_read_as_a_mistake(self) -> None:
        at, services = app()
        for name in ("Ada", "Bo", "Cy"):
            services.review.assess(
                id=str(uuid4()), case_id=fakes.uid("case", 0), agree=True, corrected_label=None,
                reviewer_id=services.review.sign_in(name), comment="", based_on=0,
            )  # fmt: skip
        assert "3 (1 wanted)" in texts(run(at))

    def test_pages_turn(self) -> None:
        at, _ = app(fakes.Book(cases=30))
        run(at)
        assert "Cases 1 to 20 of 30" in texts(at)
        at.query_params["page"] = "2"
        run(at)
        assert "Cases 21 to 30 of 30" in texts(at)
        assert names(at)[0] == "phantom_0020.png"

    def test_an_empty_project_says_what_to_do(self) -> None:
        at, _ = app(fakes.Book(cases=0))
        run(at)
        assert "insight ingest" in at.code[0].value


class TestFilters:
    @pytest.mark.parametrize(
        ("query", "count"),
        [({"search": "0003"}, 1), ({"reason": "shortcut"}, 2), ({"status": "held"}, 0)],
    )
    def test_the_address_holds_them(self, query: dict[str, str], count: int) -> None:
        at, _ = app(**query)
        run(at)
        assert len(names(at)) == count
        if not count:
            assert "No case matches" in texts(at)

    def test_choosing_one_narrows_the_list_from_its_first_page(self) -> None:
        at, _ = app(fakes.Book(cases=30), page="2")
        run(at)
        assert len(names(at)) == 10
        at.text_input(key="search").set_value("000")
        run(at)
        assert len(names(at)) == 10
        assert names(at)[0] == "phantom_0000.png"
        assert at.query_params["search"] in ("000", ["000"])

    def test_what_is_hidden_is_no_filter_and_no_column(self) -> None:
        at, services = app()
        services.settings_of.save(
            id=str(uuid4()), project_id="p", reviewer_id=services.review.sign_in("Ada"),
            changes={"blind": ["labels", "prediction"]}, based_on=0,
        )  # fmt: skip
        run(at)
        assert at.text_input(key="search").disabled
        assert at.selectbox(key="prediction").disabled
        assert at.selectbox(key="label").disabled
        said = texts(at)
        assert "hidden until your word is in" in said
        assert not names(at)
        assert "melanoma" not in said

    def test_every_status_has_words(self) -> None:
        assert set(STATUSES) == {
            "all", "open", "mine", "assigned", "held", "flagged", "escalated", "skipped", "done",
        }  # fmt: skip
        assert reason_words("not planned yet") == "not planned yet"
        assert QueueFilter(search="x").narrowed


class TestLead:
    def test_a_lead_plans_and_assigns(self) -> None:
        at, services = app()
        services.review.sign_in("Bo")
        run(at)
        at.button(key="queue-plan").click()
        run(at)
        assert services.queue.planned == 1
        assert at.success[0].value == "12 cases planned\\."
        at.selectbox(key="queue-person").set_value(services.review.sign_in("Bo"))
        at.number_input(key="queue-cases").set_value(3)
        at.button(key="queue-assign").click()
        run(at)
        assert "3 cases assigned" in at.success[0].value
        assert texts(at).count("for Bo") == 3

    def test_an_expert_sees_no_such_buttons(self) -> None:
        at, services = app()
        bo = services.review.sign_in("Bo")
        services.settings_of.set_role(
            id=str(uuid4()), project_id="p", reviewer_id=bo, role="lead", by_id=bo, based_on=0
        )
        run(at)
        assert not [button for button in at.button if button.key == "queue-plan"]

    def test_progress_is_told_for_me_and_the_team(self) -> None:
        at, services = app()
        me = services.review.sign_in("Ada")
        case = services.review.case("p", fakes.uid("case", 1), me)
        services.review.assess(
            id=str(uuid4()), case_id=case.id, reviewer_id=me, agree=True, corrected_label=None,
            comment="", based_on=0,
        )  # fmt: skip
        run(at)
        bars = [element.proto.text for element in at.get("progress")]
        assert bars == ["**You** 1 of 12 cases (8 %)", "**Team** 1 of 12 cases (8 %)"]
        assert "Cases per person: Ada 1" in texts(at)


def test_a_random_order_is_stated_instead_of_a_priority() -> None:
    at, services = app()
    services.settings_of.save(
        id=str(uuid4()), project_id="p", reviewer_id=services.review.sign_in("Ada"),
        changes={"order": "random", "seed": 5}, based_on=0,
    )  # fmt: skip
    run(at)
    assert "Random order." in texts(at)
    assert "(5)" in texts(at)
    assert PlanView(0, (), 0).notes == ()
