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
