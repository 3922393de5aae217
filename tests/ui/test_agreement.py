"""Agreement over the fakes, driven by Streamlit's AppTest (no browser)."""

from __future__ import annotations

from uuid import uuid4

from streamlit.testing.v1 import AppTest

from dashboard.viewmodels.settings import MemberView
from dashboard.views.agreement_page import number
from tests import fakes
from tests.fakes.cases import START
from tests.ui import screen
from tests.ui.screen import press, texts


def opened(book: fakes.Book | None = None, **address: str) -> tuple[AppTest, fakes.FakeServices]:
    return screen.opened("agreement", book, **address)


class TestFigures:
    def test_of_cues(self) -> None:
        at, services = opened()
        view = services.agreement.view("")
        labels = {metric.label: metric.value for metric in at.metric}
        assert labels["To decide"] == str(view.open)
        assert labels["Krippendorff's alpha"] == number(view.overall[0].value)
        tables = [list(table.value.columns) for table in at.table]
        assert any("Alpha" in columns for columns in tables)
        assert any("Kappa" in columns for columns in tables)
        assert any("Consensus" in columns for columns in tables)

    def test_of_cases(self) -> None:
        at, _ = opened(on="case")
        assert "Class by class" in [each.value for each in at.subheader]

    def test_unsure_as_a_word(self) -> None:
        at, _ = opened()
        at.toggle(key="agreement-unsure").set_value(True).run()
        assert not at.exception
        assert any("Right on “unsure”" in table.value.columns for table in at.table)

    def test_nobody_shares_a_case(self) -> None:
        at, _ = opened(fakes.Book(cases=0))
        assert at.subheader[0].value == "Nobody shares a case yet"

    def test_a_hostile_name_is_escaped(self) -> None:
        at, _ = opened(fakes.Book(hostile=True))
        cells = [cell for table in at.table for cell in table.value.iloc[:, 0]]
        assert any("\\<img" in str(cell) for cell in cells)
        assert not any(str(cell).startswith("<img") for cell in cells)


class TestDisagreements:
    def test_decides_and_goes_on(self) -> None:
        at, services = opened(show="disagreements")
        first, second = services.agreement.disputes("", "")[:2]
        assert "Dr Diaz" in texts(at)
        at.text_input(key=f"ruling-why-{first.id}-0").set_value("at the edge")
        press(at, "rule-spurious")
        (ruling,) = [ruling for _, ruling in services.agreement.rulings[first.id]]
        assert (ruling.value, ruling.reason) == ("spurious", "at the edge")
        assert at.query_params["item"] == second.id
        assert first.id not in {row.id for row in services.agreement.disputes("", "")}

    def test_the_decided_ones_can_be_seen_and_taken_back(self) -> None:
        at, services = opened(show="disagreements", all="1")
        first = services.agreement.disputes("", "", with_decided=True)[0]
        at.query_params["item"] = first.id
        at.run()
        press(at, "rule-correct")
        at.query_params["item"] = first.id
        at.run()
        press(at, "rule-back")
        values = [ruling.value for _, ruling in services.agreement.rulings[first.id]]
        assert values == ["correct", "withdrawn"]

    def test_a_decision_over_an_unseen_one_is_refused_and_shown(self) -> None:
        at, services = opened(show="disagreements")
        first = services.agreement.disputes("", "")[0]
        services.agreement.adjudicate(
            id=str(uuid4()), project_id="", subject="cue", subject_id=first.id, reviewer_id="x",
            value="correct", based_on=0,
        )  # fmt: skip
        press(at, "rule-spurious")
        assert "somebody decided it meanwhile" in at.warning[0].value
        assert len(services.agreement.rulings[first.id]) == 1

    def test_narrowed_to_one_concept(self) -> None:
        at, services = opened(show="disagreements")
        group = services.agreement.disputes("", "")[0].group
        at.selectbox(key="agreement-about-None").set_value(group).run()
        assert not at.exception
        assert at.query_params["about"] == group
        wanted = services.agreement.disputes("", "", about=group)
        listed = {str(button.key).removeprefix("dispute-") for button in at.button}
        every = {row.id for row in services.agreement.disputes("", "")}
        assert listed & every == {row.id for row in wanted}

    def test_only_a_lead_decides(self) -> None:
        at, services = opened(show="disagreements")
        boss = services.review.sign_in("Boss")
        services.settings_of.roles[boss] = MemberView(boss, "Boss", "lead", "Boss", START, 1)
        at.run()
        assert not at.exception
        assert not any(str(button.key).startswith("rule-") for button in at.button)
        assert "Deciding needs the role lead" in texts(at)

    def test_an_unknown_one_is_a_sentence(self) -> None:
        at, _ = opened(show="disagreements", item="nothing")
        assert at.error[0].value.startswith("No disagreement")

    def test_a_case_is_decided_by_class(self) -> None:
        at, services = opened(show="disagreements", on="case")
        first = services.agreement.disputes("", "", "case")[0]
        press(at, "rule-melanoma")
        assert services.agreement.rulings[first.id][0][1].value == "melanoma"
