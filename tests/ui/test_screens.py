"""Each screen over the fakes, driven by Streamlit's AppTest (no browser)."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from streamlit.testing.v1 import AppTest

from tests import fakes
from tests.ui.screen import TIMEOUT, app, texts


class TestReview:
    def test_shows_the_first_case_and_names_it_in_the_address(self) -> None:
        at, _ = app()
        at.run()
        assert not at.exception
        assert at.query_params["case"] == fakes.uid("case", 0)

    def test_opens_the_case_that_the_address_names(self) -> None:
        at, _ = app()
        at.query_params["case"] = fakes.uid("case", 3)
        at.run()
        assert not at.exception
        assert at.query_params["case"] == fakes.uid("case", 3)

    def test_an_unknown_case_is_a_sentence_and_a_way_out(self) -> None:
        at, _ = app()
        at.query_params["case"] = str(uuid4())
        at.run()
        assert not at.exception
        assert at.error[0].value.startswith("No case")
        at.button[0].click().run()
        assert at.query_params["case"] == fakes.uid("case", 0)

    def test_a_project_without_cases_says_what_to_do(self) -> None:
        at, _ = app(fakes.Book(cases=0))
        at.run()
        assert not at.exception
        assert "insight ingest" in at.code[0].value

    def test_a_lost_image_does_not_bar_the_way(self) -> None:
        at, _ = app(fakes.Book(lost=frozenset({fakes.uid("image", 0)})))
        at.run()
        assert not at.exception
        assert "the file is gone" in at.error[0].value
        next(b for b in at.button if b.label == "Next case").click().run()
        assert not at.exception
        assert not at.error
        assert at.query_params["case"] == fakes.uid("case", 1)


class TestRuns:
    def verdict(self, services: fakes.FakeServices) -> None:
        reviewer = services.review.sign_in("Ada")
        services.review.give_verdict(
            id=str(uuid4()), cue_id=fakes.uid("cue", 0, "ruler"), reviewer_id=reviewer,
            value="spurious", based_on=0,
        )  # fmt: skip

    def test_without_spurious_verdicts_a_run_cannot_start(self) -> None:
        at, _ = app(screen="runs")
        at.run()
        assert not at.exception
        assert at.button[0].disabled
        assert "No runs yet" in texts(at)

    def test_start_watch_compare_activate(self) -> None:
        at, services = app(screen="runs")
        self.verdict(services)
        at.run()
        at.number_input(key="run-seed").set_value(7)
        at.button[0].click().run()
        assert not at.exception
        (run_id,) = services.book.runs
        assert services.book.runs[run_id].seed == 7
        while services.book.runs[run_id].state != "succeeded":
            at.run()
        at.run()
        assert not at.exception
        assert "waits for your decision" in texts(at)
        change = [cell.replace("\\", "") for cell in at.table[0].value["Change"]]
        assert change[0] == "\u22121.0 points worse"
        assert change[1] == "+49.0 points better"
        assert change[3] == "\u221234.0 points better"
        weighed = at.table[-1].value
        assert list(weighed["With"]) == ["ruler", "none of them"]
        assert list(weighed["Share of the weight"]) == [r"55\.0 %", r"45\.0 %"]
        next(b for b in at.button if b.label == "Use this version").click().run()
        assert "is the active one" in at.success[0].value

    def test_a_failed_run_says_why_and_can_start_again(self) -> None:
        at, services = app(screen="runs")
        self.verdict(services)
        run = services.runs.start_reweight(id=str(uuid4()), project_id="", reviewer_id=None, seed=0)
        services.runs._set(run.id, state="failed", message="too few verdicts on the ruler")
        at.run()
        assert not at.exception
        assert "too few verdicts on the ruler" in at.error[0].value
        next(b for b in at.button if b.label == "Start it again").click()
        at.run()
        assert services.book.runs[run.id].state in {"queued", "running"}

    @pytest.mark.parametrize("state", ["interrupted", "cancelled"])
    def test_a_stopped_run_can_start_again(self, state: str) -> None:
        at, services = app(screen="runs")
        run = services.runs.start_reweight(id=str(uuid4()), project_id="", reviewer_id=None, seed=0)
        services.runs._set(run.id, state=state)
        at.run()
        assert not at.exception
        assert state in at.warning[0].value
        assert any(b.label == "Start it again" for b in at.button)


class TestReport:
    def test_summary_and_empty_sections(self) -> None:
        at, _ = app(screen="report")
        at.run()
        assert not at.exception
        assert at.metric[0].value == "0 of 6"
        assert "No verdicts yet" in texts(at)

    def test_every_metric_says_what_it_is(self) -> None:
        at, _ = app(screen="report")
        at.run()
        assert all(metric.help for metric in at.metric)


class TestWholeApp:
    @pytest.fixture
    def whole(self, monkeypatch: pytest.MonkeyPatch) -> AppTest:
        monkeypatch.setenv("FAKE_PROJECTS", "demo,tiles")
        path = Path(__file__).with_name("fake_app.py")
        return AppTest.from_file(str(path), default_timeout=TIMEOUT)

    def test_asks_for_a_name_then_shows_the_desk_with_the_notice(self, whole: AppTest) -> None:
        whole.run()
        assert not whole.exception
        assert whole.title[0].value == "Insight Review"
        whole.text_input[0].set_value("  Ada ")
        whole.button[0].click().run()
        assert not whole.exception
        assert "synthetic phantom, not for clinical use" in texts(whole).replace("\\", "")

    def test_an_empty_name_is_refused_in_words(self, whole: AppTest) -> None:
        whole.run()
        whole.text_input[0].set_value("   ")
        whole.button[0].click().run()
        assert not whole.exception
        assert "name" in whole.error[0].value

    def test_the_project_can_be_changed(self, whole: AppTest) -> None:
        whole.run()
        whole.text_input[0].set_value("Ada")
        whole.button[0].click().run()
        whole.button(key=f"project-{fakes.uid('project', 'tiles')}").click().run()
        assert not whole.exception
        assert whole.session_state["insight.project"] == fakes.uid("project", "tiles")
