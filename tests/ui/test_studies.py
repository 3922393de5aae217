"""Case studies and training over the fakes, driven by Streamlit's AppTest (no browser)."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests import fakes
from tests.fakes.studies import FIRST
from tests.ui import screen
from tests.ui.screen import press, texts

COLLECTION = fakes.uid("study", FIRST)


def opened(**address: str) -> tuple[AppTest, fakes.FakeServices]:
    return screen.opened("studies", **address)


class TestCollections:
    def test_lists_and_opens_one(self) -> None:
        at, _ = opened()
        assert FIRST in texts(at)
        press(at, f"open-{COLLECTION}")
        assert at.query_params["collection"] == COLLECTION
        assert at.header[0].value == FIRST

    def test_makes_one(self) -> None:
        at, services = opened()
        at.text_input(key="collection-title").set_value("*Good* ones")
        at.button[-1].click().run()
        assert not at.exception
        titles = [view.title for view in services.studies.collections("")]
        assert titles == [FIRST, "*Good* ones"]
        assert "\\*Good\\* ones" in texts(at)

    def test_an_empty_title_is_a_sentence(self) -> None:
        at, _ = opened()
        at.button[-1].click().run()
        assert "the title is empty" in at.error[0].value

    def test_an_unknown_collection_is_a_sentence_and_a_way_out(self) -> None:
        at, _ = opened(collection="nothing")
        assert at.error[0].value.startswith("No collection")
        at.button[0].click().run()
        assert "collection" not in at.query_params


class TestPin:
    def test_what_was_said_is_hidden_at_first(self) -> None:
        at, services = opened(collection=COLLECTION)
        pin = services.studies.pins_of(COLLECTION)[0]
        press(at, f"pin-{pin.id}")
        assert at.query_params["pin"] == pin.id
        assert "Reference" not in at.table[0].value.columns
        assert "Dr Berg" not in texts(at)
        assert not at.info  # the teacher's note
        at.toggle(key=f"answers-{COLLECTION}").set_value(True).run()
        assert "Reference" in at.table[0].value.columns
        assert "Dr Berg" in texts(at)

    def test_steps_through_the_collection(self) -> None:
        at, services = opened(collection=COLLECTION)
        first, second, _third = services.studies.pins_of(COLLECTION)
        press(at, f"pin-{first.id}")
        press(at, "pin-step-n")
        assert at.query_params["pin"] == second.id
        press(at, "back-to-study")
        assert "pin" not in at.query_params

    def test_takes_a_case_out(self) -> None:
        at, services = opened(collection=COLLECTION)
        pin = services.studies.pins_of(COLLECTION)[0]
        press(at, f"pin-{pin.id}")
        press(at, f"unpin-{pin.id}")
        assert pin.id not in {each.id for each in services.studies.pins_of(COLLECTION)}
        assert "out of the collection" in at.success[0].value

    def test_one_cue_alone(self) -> None:
        at, services = opened(collection=COLLECTION)
        pin = services.studies.pins_of(COLLECTION)[0]
        press(at, f"pin-{pin.id}")
        cue = pin.cues[0]
        at.selectbox(key=f"look-{pin.id}").set_value(f"{cue.letter} {cue.name}").run()
        assert not at.exception
        assert at.selectbox(key=f"look-{pin.id}").value == f"{cue.letter} {cue.name}"


class TestTraining:
    def test_a_whole_attempt(self) -> None:
        at, services = opened(collection=COLLECTION, train="now")
        for _case in range(3):
            while any(button.key == "train-spurious" for button in at.button):
                press(at, "train-spurious")
            press(at, "train-class-1")
            press(at, "training-check")
            assert "Reference" in at.table[0].value.columns
            press(at, "training-next")
        assert at.header[0].value == "Attempt 1 is done"
        assert len(services.training.rows) == 3
        assert not services.book.verdicts  # nothing said here is a verdict
        asked = sum(len(row.answers["cues"]) for row in services.training.rows)
        assert asked == sum(len(pin.cues) for pin in services.studies.pins_of(COLLECTION))
        at.button[-1].click().run()
        assert at.query_params["train"] == "2"
        assert "attempt 2" in texts(at)

    def test_an_answer_can_be_changed(self) -> None:
        at, services = opened(collection=COLLECTION, train="1")
        press(at, "train-spurious")
        press(at, "train-at-0")
        press(at, "train-correct")
        while any(button.key == "train-unsure" for button in at.button):
            assert at.button(key="training-check").disabled
            press(at, "train-unsure")
        assert "1 question left" in texts(at)
        press(at, "train-class-1")
        press(at, "training-check")
        (row,) = services.training.rows
        assert list(row.answers["cues"].values())[:2] == ["correct", "unsure"]

    def test_what_is_not_answered_cannot_be_checked(self) -> None:
        at, _ = opened(collection=COLLECTION, train="now")
        assert at.button(key="training-check").disabled

    def test_the_question_does_not_show_the_answer(self) -> None:
        at, _ = opened(collection=COLLECTION, train="now")
        assert "Dr Berg" not in texts(at)
        assert "Reference" not in texts(at)

    def test_an_attempt_out_of_turn_is_a_sentence(self) -> None:
        at, _ = opened(collection=COLLECTION, train="5")
        assert "cannot be begun" in at.error[0].value

    def test_an_empty_collection_offers_no_training(self) -> None:
        at, services = opened()
        made = services.studies.create(
            id=fakes.uid("new"), project_id="", reviewer_id="", title="Empty"
        )
        at.query_params["collection"] = made.id
        at.run()
        assert not at.exception
        assert at.subheader[0].value == "No case pinned yet"
