"""The Settings screen over the fakes, driven by Streamlit's AppTest."""

from __future__ import annotations

from uuid import uuid4

from streamlit.testing.v1 import AppTest

from dashboard.screens.settings import page
from dashboard.views.settings_page import FIELDS, HIDDEN, ROLES
from tests import fakes
from tests.ui import screen
from tests.ui.screen import plain_texts as texts
from tests.ui.screen import run


def app() -> tuple[AppTest, fakes.FakeServices]:
    """The Settings screen with a seated reviewer."""
    return screen.app(fakes.Book(cases=3), "settings")


def save(at: AppTest) -> None:
    next(button for button in at.button if button.label == "Save the rules").click()
    run(at)


def make_lead(services: fakes.FakeServices, name: str) -> None:
    who = services.review.sign_in(name)
    services.settings_of.set_role(
        id=str(uuid4()), project_id="p", reviewer_id=who, role="lead", by_id=who, based_on=0
    )


class TestRules:
    def test_the_defaults_are_shown(self) -> None:
        at, _ = app()
        run(at)
        assert callable(page)
        assert "The defaults stand" in texts(at)
        assert at.radio(key="order-of-cases").value == "priority"
        assert "artefact" in at.text_area(key="reasons").value
        assert at.text_input(key="criterion-0").value == "Clarity"
        assert at.text_input(key="criterion-3").value == ""  # room for one more

    def test_saving_keeps_everything_that_was_set(self) -> None:
        at, services = app()
        run(at)
        at.checkbox(key="hide-labels").check()
        at.radio(key="order-of-cases").set_value("random")
        at.text_area(key="reasons").set_value("gel bubble\n\n artefact ")
        at.text_input(key="criterion-1").set_value("")
        at.text_input(key="criterion-3").set_value("Would I biopsy")
        at.number_input(key="control-share").set_value(25)
        at.number_input(key="weight-experts").set_value(4.0)
        assert at.number_input(key="tolerance").value == 3.0
        at.number_input(key="tolerance").set_value(2.5)
        at.text_input(key="cluster-column").set_value("patient")
        assert at.number_input(key="replan-words").value == 10
        at.number_input(key="replan-words").set_value(0)
        save(at)
        now = services.settings_of.now
        assert now.blind == {"labels"}
        assert now.order == "random"
        assert now.reasons == ("gel bubble", "artefact")
        assert [each.key for each in now.criteria] == ["clarity", "actionability", "would-i-biopsy"]
        assert (now.control_share, now.weights["experts"]) == (0.25, 4.0)
        assert (now.tolerance, now.cluster_column, now.replan_words) == (0.025, "patient", 0)
        assert "Saved as revision 1" in texts(at)
        assert "Revision 1, set by Ada" in texts(at)

    def test_a_refusal_is_a_sentence_and_keeps_what_was_typed(self) -> None:
        at, services = app()
        run(at)
        at.text_area(key="reasons").set_value("a\nA")
        save(at)
        assert "twice" in at.error[0].value
        assert at.text_area(key="reasons").value == "a\nA"
        assert not services.settings_of.revisions

    def test_a_lost_update_is_refused_and_shown(self) -> None:
        at, services = app()
        run(at)
        ada = services.review.sign_in("Ada")
        rules = services.settings_of
        at.number_input(key="plan-seed").set_value(8)
        rules.save(id=str(uuid4()), project_id="p", reviewer_id=ada, changes={"seed": 3},
                   based_on=0)  # fmt: skip
        rules.view = lambda _: rules_view(services, 0)  # type: ignore[method-assign]
        save(at)
        assert "someone else changed the rules" in texts(at)
        assert rules.now.seed == 3

    def test_criteria_that_somebody_rated_by_cannot_be_typed_over(self) -> None:
        at, services = app()
        services.settings_of.rated = True
        run(at)
        assert "Fixed: somebody has rated by them" in texts(at)
        assert not [box for box in at.text_input if (box.key or "").startswith("criterion")]
        save(at)
        assert "Saved as revision 1" in texts(at)

    def test_an_expert_reads_them_only(self) -> None:
        at, services = app()
        make_lead(services, "Bo")
        run(at)
        assert "Only a lead can change these" in texts(at)
        assert not [button for button in at.button if button.label == "Save the rules"]
        rules = at.table[0].value
        stands = dict(zip(rules["Rule"], rules["Stands"], strict=True))
        assert stands["The queue learns"] == "open cases are ordered anew after every 10 verdicts"


def rules_view(services: fakes.FakeServices, revision: int) -> object:
    """The view as it was before somebody else saved."""
    from dataclasses import replace

    return replace(type(services.settings_of).view(services.settings_of, "p"), revision=revision)


class TestMembers:
    def test_an_open_project_says_so_and_can_be_closed(self) -> None:
        at, services = app()
        services.review.sign_in("Bo")
        run(at)
        assert "Nobody is lead in this project" in texts(at)
        box = next(b for b in at.selectbox if b.label == "Role of Ada")
        assert box.value == "removed"
        box.set_value("lead")
        run(at)
        assert "Ada: lead" in texts(at)
        assert services.settings_of.role("p", services.review.sign_in("Bo")) == "expert"
        assert "Your role: **Lead**" in texts(at)

    def test_the_last_lead_cannot_go(self) -> None:
        at, services = app()
        make_lead(services, "Ada")
        run(at)
        next(b for b in at.selectbox if b.label == "Role of Ada").set_value("expert")
        run(at)
        assert "at least one lead" in texts(at)
        assert next(b for b in at.selectbox if b.label == "Role of Ada").value == "lead"

    def test_an_expert_sees_roles_as_text(self) -> None:
        at, services = app()
        make_lead(services, "Bo")
        run(at)
        assert not [box for box in at.selectbox if box.label.startswith("Role of")]
        assert "Your role: **Expert**" in texts(at)


def test_the_history_says_who_changed_what() -> None:
    at, services = app()
    ada = services.review.sign_in("Ada")
    run(at)
    assert "Nothing was changed yet" in texts(at)
    services.settings_of.save(
        id=str(uuid4()), project_id="p", reviewer_id=ada, changes={"seed": 3, "blind": ["model"]},
        based_on=0,
    )  # fmt: skip
    run(at)
    shown = at.table[-1].value
    assert shown["Who"].tolist() == ["Ada"]
    assert shown["What"].tolist() == ["what is hidden, seed"]
    assert set(HIDDEN) == {"model", "prediction", "labels", "peers"}
    assert {"expert", "annotator", "lead"} < set(ROLES)
    assert "criteria" in FIELDS
