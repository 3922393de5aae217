"""The Trace screen over the fakes, driven by Streamlit's AppTest (no browser)."""

from __future__ import annotations

import plotly.io
from streamlit.testing.v1 import AppTest

from dashboard.viewmodels.trace import TraceNode, TracePlace, TraceView
from dashboard.views import trace_page
from tests import fakes
from tests.fakes.cases import GRID
from tests.fakes.trace import MADE
from tests.ui.screen import app, opened, plain_texts, press, run


class TestPlace:
    def test_it_opens_on_the_queues_case_and_traces_its_middle(self) -> None:
        at, services = opened("trace")
        middle = (GRID // 2 + 0.5) / GRID
        viewer = services.review.sign_in("Ada")
        assert services.trace.asked == [(f"pixel {middle:.3f} {middle:.3f}", viewer)]
        said = plain_texts(at)
        for part in ("phantom_0000.png", "Encoder demo", "Cue A:", "Decision: naevus"):
            assert part in said
        assert f"Row {GRID // 2 + 1}, column {GRID // 2 + 1}" in said

    def test_it_goes_on_with_the_case_that_was_last_on_the_desk(self) -> None:
        at, _ = app(screen="trace")
        at.session_state["insight.last_case"] = fakes.uid("case", 3)
        run(at)
        assert "phantom_0003.png" in plain_texts(at)

    def test_the_address_names_case_patch_and_cue(self) -> None:
        at, services = opened(
            "trace", case=fakes.uid("case", 1), row="1", column=str(GRID), cue="B"
        )
        place = (GRID - 0.5) / GRID
        assert services.trace.asked[0][0] == f"pixel {place:.3f} {0.5 / GRID:.3f} B"
        assert "Cue B:" in plain_texts(at)
        assert "Cue A:" not in plain_texts(at)

    def test_nonsense_in_the_address_is_the_middle(self) -> None:
        _, services = opened("trace", row="-3", column="99999999")
        middle = (GRID // 2 + 0.5) / GRID
        assert services.trace.asked[0][0] == f"pixel {middle:.3f} {middle:.3f}"

    def test_row_and_column_by_keyboard(self) -> None:
        at, services = opened("trace")
        at.number_input[0].set_value(2)
        run(at)
        at.number_input[1].set_value(3)
        run(at)
        assert (at.query_params["row"], at.query_params["column"]) == ("2", "3")
        assert services.trace.asked[-1][0].startswith(f"pixel {2.5 / GRID:.3f} {1.5 / GRID:.3f}")
        assert all(each.help for each in at.number_input)

    def test_one_cue_alone(self) -> None:
        at, services = opened("trace")
        box = at.selectbox[0]
        box.set_value(box.options[2])
        run(at)
        assert at.query_params["cue"] == "B"
        assert services.trace.asked[-1][0].endswith(" B")
        at.selectbox[0].set_value(at.selectbox[0].options[0])
        run(at)
        assert "cue" not in at.query_params

    def test_a_closed_case_is_a_sentence(self) -> None:
        at, services = app(screen="trace", case=fakes.uid("case", 2))
        services.trace.shut = frozenset({fakes.uid("case", 2)})
        run(at)
        assert "This project is blind." in at.info[0].value.replace("\\", "")
        assert "phantom_0002" not in plain_texts(at)
        assert services.trace.asked == []

    def test_a_lost_picture_hides_nothing_else(self) -> None:
        at, _ = opened("trace", fakes.Book(lost=frozenset({fakes.uid("image", 0)})))
        assert "the file is gone" in at.error[0].value
        assert "Cue A:" in plain_texts(at)

    def test_an_empty_project_says_what_to_do(self) -> None:
        at, _ = opened("trace", fakes.Book(cases=0))
        assert "Nothing to trace yet" in plain_texts(at)

    def test_an_unknown_case_is_a_sentence(self) -> None:
        at, _ = opened("trace", case=fakes.uid("case", 77))
        assert at.error[0].value.startswith("No case")


class TestFind:
    def test_a_hash_is_searched_for_and_can_be_sent_around(self) -> None:
        at, services = opened("trace")
        at.text_input[0].set_value(MADE[:10])
        run(at)
        assert at.query_params["find"] == MADE[:10]
        assert services.trace.asked[-1][0] == MADE[:10]
        assert "What this word did alone is not known" in plain_texts(at)
        press_back(at)
        assert "find" not in at.query_params

    def test_cards_lead_on(self) -> None:
        at, services = opened("trace", find=MADE)
        press(at, "trace-0")
        assert at.query_params["find"] == MADE
        keys = [button.key for button in at.button if (button.key or "").startswith("trace-2-0")]
        assert keys == [
            "trace-2-0",
            "trace-2-0-0",
        ]  # the image, and the word within the snapshot's content
        at.button(key="trace-2-0-0").click()
        run(at)
        assert at.query_params["find"] == fakes.uid("said", "ruler")
        assert services.trace.asked[-1][0] == fakes.uid("said", "ruler")

    def test_several_are_offered(self) -> None:
        at, _ = opened("trace", find="abcd")
        assert "fits 2 things" in plain_texts(at)
        labels = [button.label.replace("\\", "") for button in at.button]
        assert any("image abcdabcdabcdabcd (phantom_0001.png, project demo)" in x for x in labels)
        press(at, f"trace-match-image-{'abcd' * 16}")
        assert at.query_params["find"] == "abcd" * 16

    def test_what_is_not_there_is_a_sentence(self) -> None:
        at, _ = opened("trace", find="ffff0000")
        assert at.error[0].value.startswith("No version or snapshot or image")

    def test_a_hostile_name_stays_text(self) -> None:
        at, _ = opened("trace", fakes.Book(hostile=True), find=MADE)
        raw = "\n".join(each.value for each in at.markdown)
        assert "<b>ruler" not in raw
        assert ":red[" not in raw
        assert "<b>ruler</b> :red[x]" in plain_texts(at)


class TestPicture:
    def test_a_point_per_patch_and_a_frame(self) -> None:
        place = TracePlace("c", "i", "a.png", 40, 20, 2, 4, (), ())
        drawn = trace_page.figure(place, b"bytes", (1, 2))
        points = drawn.data[0]
        assert points.ids == ("0,0", "0,1", "0,2", "0,3", "1,0", "1,1", "1,2", "1,3")
        assert (points.x[0], points.y[0], points.x[-1], points.y[-1]) == (5.0, 5.0, 35.0, 15.0)
        (frame,) = drawn.layout.shapes
        assert (frame.x0, frame.x1, frame.y0, frame.y1) == (20.0, 30.0, 10.0, 20.0)
        assert drawn.layout.images[0].source.startswith("data:image/jpeg;base64,")
        assert "a.png" not in plotly.io.to_json(drawn)

    def test_cards_without_anything_below_have_no_expander(self) -> None:
        at = AppTest.from_function(_alone)
        at.run()
        assert not at.exception
        assert not at.expander
        assert "Alone" in at.markdown[1].value


def _alone() -> None:
    from dashboard.viewmodels.trace import TraceNode, TraceView
    from dashboard.views import trace_page

    view = TraceView("x", "one", (TraceNode("place", "Alone"),))
    trace_page.answer(view, lambda key: None, lambda case: None)


def press_back(at: AppTest) -> None:
    next(button for button in at.button if button.label == "Back to the picture").click()
    run(at)


def test_every_kind_of_card_has_its_mark() -> None:
    from typing import get_args

    from dashboard.viewmodels.trace import NodeKind

    assert set(trace_page.ICONS) == set(get_args(NodeKind))
    assert trace_page.ASKABLE.isdisjoint(trace_page.AT_THE_DESK)
    assert TraceView("a", "b", (TraceNode("run", "r"),)).nodes[0].more == 0
