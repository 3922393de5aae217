"""Decisions over the fakes, driven by Streamlit's AppTest (no browser)."""

from __future__ import annotations

import re

from streamlit.testing.v1 import AppTest

from tests import fakes
from tests.ui.screen import app, opened, plain_texts, press, run


def write(at: AppTest, title: str = "Threshold of the alarm") -> None:
    at.text_input(key="decision-title").set_value(title)
    at.text_area(key="decision-choice").set_value("0.7")
    at.text_area(key="decision-why").set_value("fewest misses")
    press(at, "decision-keep")


class TestList:
    def test_what_was_decided_elsewhere_is_there_with_its_evidence(self) -> None:
        at, _ = opened("decisions")
        said = plain_texts(at)
        assert "made active instead of 1b2c3d4e" in said
        assert "it mends the ruler shortcut" in said
        assert "Versions screen" in said
        (link,) = at.get("page_link")
        assert link.proto.query_string == f"run={fakes.uid('run', 1)}"

    def test_filters_stand_in_the_address(self) -> None:
        at, _ = opened("decisions", subject="threshold")
        assert "No decision fits." in plain_texts(at)
        at.selectbox(key="decision-subject").set_value("version")
        run(at)
        assert at.query_params["subject"] == ["version"] or at.query_params["subject"] == "version"
        assert "1 decision, newest first." in plain_texts(at)

    def test_hostile_reasons_are_text(self) -> None:
        at, _ = opened("decisions", fakes.Book(hostile=True))
        assert not any(re.search(r"(?<!\\)<img", each.value) for each in at.markdown)


class TestWriting:
    def test_kept_with_evidence_and_the_form_is_empty_again(self) -> None:
        at, services = opened("decisions")
        offered = f"version:{fakes.uid('version', 0)}"
        at.multiselect(key="decision-evidence").set_value([offered, "criterion:kappa"])
        at.text_area(key="decision-others").set_value("0.5 or 0.9")
        write(at)
        row = services.decision_log.rows[-1]
        assert (row.title, row.choice, row.reason) == (
            "Threshold of the alarm", "0.7", "fewest misses"
        )  # fmt: skip
        assert [link.kind for link in row.evidence] == ["version", "criterion"]
        assert "Instead of: 0.5 or 0.9" in plain_texts(at).replace("**", "")
        assert at.text_input(key="decision-title").value == ""

    def test_superseded(self) -> None:
        at, services = opened("decisions")
        write(at)
        first = services.decision_log.rows[-1]
        press(at, f"supersede-{first.id}")
        assert at.text_input(key="decision-title").value == first.title
        write(at)
        found = {row.id: row for row in services.decision_log.rows}
        assert found[first.id].superseded_by == services.decision_log.rows[-1].id
        assert "superseded" in plain_texts(at)
        at.toggle(key="decision-standing").set_value(True)
        run(at)
        assert "2 decisions, newest first." in plain_texts(at)

    def test_nothing_said_is_nothing_kept(self) -> None:
        at, services = opened("decisions")
        before = len(services.decision_log.rows)
        press(at, "decision-keep")
        assert len(services.decision_log.rows) == before
        assert "Not stored: say what was chosen and why" in plain_texts(at)

    def test_experts_read(self) -> None:
        at, services = app(screen="decisions")
        services.settings_of.give("Ada", "expert")
        run(at)
        assert "written down by leads and annotators" in plain_texts(at)
        assert not at.text_area
