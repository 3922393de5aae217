"""What happens to the events that the browser sends: stored once, answered, never guessed."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from dashboard.components.events import (
    CaseAssessed,
    CaseOpened,
    Drawn,
    Erased,
    Marked,
    ModeChosen,
    Noted,
    Pinned,
    UndoAsked,
    VerdictGiven,
    parse_events,
)
from dashboard.components.picture import drawings_part
from dashboard.screens.context import Sitting
from dashboard.screens.desk import Wish, going_to, handle
from dashboard.services.project_settings import parse
from dashboard.state import DeskState, Reviewer
from dashboard.viewmodels import CaseView
from tests import fakes

CASE = fakes.uid("case", 0)


@pytest.fixture
def sitting() -> Sitting:
    services: Any = fakes.services()
    reviewer = Reviewer(services.review.sign_in("Ada"), "Ada")
    return Sitting(services, DeskState({}), reviewer, services.projects.list()[0])


def cue(sitting: Sitting, at: int = 0) -> Any:
    case = sitting.services.review.case("", CASE, sitting.reviewer.id)
    return case.cues[at]


def verdict(sitting: Sitting, value: Any = "spurious", based_on: int = 0) -> VerdictGiven:
    return VerdictGiven(str(uuid4()), cue(sitting).id, CASE, value, "here", None, "", based_on)


def test_a_verdict_is_stored_and_answered(sitting: Sitting) -> None:
    event = verdict(sitting)
    assert handle(sitting, [event]) == Wish()
    assert cue(sitting).mine.value == "spurious"
    assert sitting.state.answers[event.id].ok


def test_sending_again_changes_nothing_in_this_session_or_the_next(sitting: Sitting) -> None:
    event = verdict(sitting)
    handle(sitting, [event, event])
    restarted = Sitting(sitting.services, DeskState({}), sitting.reviewer, sitting.project)
    handle(restarted, [event])
    assert len(sitting.services.book.verdicts) == 1  # type: ignore[attr-defined]
    assert restarted.state.answers[event.id].ok


def test_two_quick_verdicts_on_one_cue_both_count(sitting: Sitting) -> None:
    handle(sitting, [verdict(sitting), verdict(sitting, "correct", based_on=1)])
    assert (cue(sitting).mine.value, cue(sitting).mine.revision) == ("correct", 2)


def test_a_verdict_over_an_unseen_one_is_refused_in_words(sitting: Sitting) -> None:
    handle(sitting, [verdict(sitting)])
    late = verdict(sitting, "correct", based_on=0)
    handle(sitting, [late])
    answer = sitting.state.answers[late.id]
    assert not answer.ok
    assert "another tab" in answer.message
    assert cue(sitting).mine.value == "spurious"


def test_undo_here_says_so(sitting: Sitting) -> None:
    undo = UndoAsked(str(uuid4()), CASE)
    handle(sitting, [verdict(sitting), undo])
    assert cue(sitting).mine.value == "withdrawn"
    assert sitting.state.answers[undo.id].message == "Undone."


def test_undo_of_a_verdict_on_another_case_says_so(sitting: Sitting) -> None:
    undo = UndoAsked(str(uuid4()), fakes.uid("case", 1))
    handle(sitting, [verdict(sitting), undo])
    assert "another case" in sitting.state.answers[undo.id].message


def test_undo_of_nothing_says_so(sitting: Sitting) -> None:
    undo = UndoAsked(str(uuid4()), CASE)
    handle(sitting, [undo])
    assert "nothing of yours" in sitting.state.answers[undo.id].message


def test_an_assessment_is_stored(sitting: Sitting) -> None:
    event = CaseAssessed(str(uuid4()), CASE, False, "melanoma", "streaks", 0)
    handle(sitting, [event])
    case = sitting.services.review.case("", CASE, sitting.reviewer.id)
    assert case.assessment is not None
    assert (case.assessment.agree, case.assessment.corrected_label) == (False, "melanoma")


def test_ratings_come_with_the_word_on_the_case(sitting: Sitting) -> None:
    event = CaseAssessed(str(uuid4()), CASE, True, None, "", 0, {"clarity": 4})
    handle(sitting, [event])
    case = sitting.services.review.case("", CASE, sitting.reviewer.id)
    assert case.assessment is not None
    assert case.assessment.ratings == (("clarity", 4),)


BOX = ((0.1, 0.2), (0.4, 0.5))


def drawing(sitting: Sitting) -> Drawn:
    return Drawn(str(uuid4()), CASE, cue(sitting).id, "wrong-part", "box", BOX, "hair")


def test_a_drawing_is_kept_and_erased_and_undone(sitting: Sitting) -> None:
    drawn = drawing(sitting)
    handle(sitting, [drawn, drawn])
    (stands,) = shown(sitting).drawings
    assert (stands.points, stands.kind, stands.note) == (BOX, "wrong-part", "hair")
    handle(sitting, [Erased(str(uuid4()), CASE, drawn.id)])
    assert shown(sitting).drawings == ()
    undo = UndoAsked(str(uuid4()), CASE)
    handle(sitting, [undo])
    assert [each.id for each in shown(sitting).drawings] == [drawn.id]
    assert sitting.state.answers[undo.id].message == "Undone: your drawing."


def test_a_place_that_must_not_count_is_kept_without_a_cue(sitting: Sitting) -> None:
    (drawn,) = parse_events(
        [{**DRAWING, "case_id": CASE, "drawing": "spurious", "note": "a ruler"}]
    )
    handle(sitting, [drawn])
    (stands,) = shown(sitting).drawings
    assert (stands.kind, stands.cue_id, stands.note) == ("spurious", None, "a ruler")
    (part,) = drawings_part(shown(sitting))
    assert (part["kind"], part["letter"]) == ("spurious", "")
    handle(sitting, [UndoAsked(str(uuid4()), CASE)])
    assert shown(sitting).drawings == ()


def test_undo_goes_back_through_words_of_every_kind(sitting: Sitting) -> None:
    word = CaseAssessed(str(uuid4()), CASE, True, None, "", 0)
    handle(sitting, [verdict(sitting), word, drawing(sitting)])
    for _ in range(3):
        handle(sitting, [UndoAsked(str(uuid4()), CASE)])
    case = shown(sitting)
    assert (case.drawings, case.assessment) == ((), None)
    assert cue(sitting).mine.value == "withdrawn"


def test_a_note_is_kept_with_what_was_set(sitting: Sitting) -> None:
    event = Noted(str(uuid4()), CASE, "what-if", "no ruler", {"changes": [{"to": 0.0}]})
    handle(sitting, [event, event])
    (note,) = shown(sitting).notes
    assert (note.kind, note.text, note.payload) == (
        "what-if", "no ruler", {"changes": [{"to": 0.0}]},
    )  # fmt: skip


def test_an_empty_note_is_refused_in_words(sitting: Sitting) -> None:
    event = Noted(str(uuid4()), CASE, "note", " ", {})
    handle(sitting, [event])
    assert sitting.state.answers[event.id].message == "Not saved: the note is empty."


@pytest.mark.parametrize(("kind", "marks"), [("skip", ("skip",)), ("flag", ("flag",))])
def test_a_mark_reaches_the_queue(sitting: Sitting, kind: Any, marks: tuple[str, ...]) -> None:
    handle(sitting, [Marked(str(uuid4()), CASE, kind, "blurred")])
    place = shown(sitting).place
    assert place is not None
    assert place.marks == marks


def test_a_case_is_kept_in_a_study(sitting: Sitting) -> None:
    event = Pinned(str(uuid4()), CASE, None, "Rulers", "see the edge")
    handle(sitting, [event])
    listed = sitting.services.studies.collections(sitting.project.id, kind="study")
    assert "Rulers" in [each.title for each in listed]
    assert sitting.state.answers[event.id].ok


def test_next_goes_past_a_case_that_somebody_else_took(sitting: Sitting) -> None:
    taken, free = fakes.uid("case", 1), fakes.uid("case", 0)
    sitting.services.queue.held[taken] = "Dr Bright"  # type: ignore[attr-defined]
    assert going_to(sitting, CaseOpened(taken, "next")) == free
    assert going_to(sitting, CaseOpened(taken, "direct")) == taken


def test_a_blind_word_is_a_label_and_shows_the_answer(sitting: Sitting) -> None:
    rules: Any = sitting.services.settings_of
    rules.now = parse({"blind": ["prediction", "model"]})
    assert shown(sitting).prediction == ""
    agree = CaseAssessed(str(uuid4()), CASE, True, None, "", 0)
    handle(sitting, [agree])
    assert "hidden" in sitting.state.answers[agree.id].message
    handle(sitting, [CaseAssessed(str(uuid4()), CASE, None, "naevus", "", 0)])
    assert shown(sitting).prediction == "naevus"


def shown(sitting: Sitting) -> CaseView:
    return sitting.services.review.case("", CASE, sitting.reviewer.id)


def test_the_last_case_asked_for_is_opened_after_the_verdicts(sitting: Sitting) -> None:
    event = verdict(sitting)
    other = fakes.uid("case", 1)
    wish = handle(sitting, [event, CaseOpened(CASE), CaseOpened(other, "next")])
    assert wish == Wish(CaseOpened(other, "next"))
    assert sitting.state.answers[event.id].ok


def test_answers_do_not_grow_without_end() -> None:
    state = DeskState({})
    for number in range(450):
        state.answer(str(number), ok=True)
    assert len(state.answers) == 200
    assert state.answered("449")


GOOD = {
    "kind": "verdict", "id": str(uuid4()), "cue_id": str(uuid4()), "case_id": str(uuid4()),
    "value": "spurious", "scope": "class", "reason": "artefact", "comment": "x", "based_on": 2,
}  # fmt: skip


def test_good_events_are_parsed() -> None:
    (event,) = parse_events([GOOD])
    assert isinstance(event, VerdictGiven)
    assert (event.value, event.scope, event.reason, event.based_on) == (
        "spurious", "class", "artefact", 2,
    )  # fmt: skip
    assert len(event.comment) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "drop tables"}, {"id": "1"}, {"id": 7}, {"cue_id": None}, {"value": "maybe"},
        {"value": ["spurious"]}, {"scope": "galaxy"}, {"reason": ""}, {"reason": "x" * 300},
        {"based_on": -1},
        {"based_on": True}, {"based_on": "0"}, {"comment": 3},
    ],
)  # fmt: skip
def test_malformed_events_are_dropped(change: dict[str, object]) -> None:
    assert parse_events([{**GOOD, **change}]) == ()


ID = {"id": str(uuid4()), "case_id": str(uuid4())}
DRAWING = {
    **ID, "kind": "draw", "cue_id": None, "drawing": "missed", "shape": "box",
    "points": [[0, 0.5], [1, 0.75]], "note": "",
}  # fmt: skip
WORD = {
    **ID, "kind": "assess", "agree": None, "corrected_label": "naevus", "based_on": 0,
    "ratings": {"clarity": 5},
}  # fmt: skip


@pytest.mark.parametrize(
    "item",
    [
        DRAWING,
        {**DRAWING, "drawing": "spurious"},
        WORD,
        {**ID, "kind": "undo"},
        {**ID, "kind": "erase", "drawing_id": str(uuid4())},
        {**ID, "kind": "note", "note": "what-if", "text": "x", "payload": {"changes": []}},
        {**ID, "kind": "mark", "mark": "escalate", "reason": "?"},
        {**ID, "kind": "pin", "collection_id": None, "title": "Rulers", "note": ""},
        {**ID, "kind": "open", "how": "previous"},
        {"kind": "mode", "mode": "diagnose"},
    ],
)
def test_every_kind_of_event_is_understood(item: dict[str, object]) -> None:
    (event,) = parse_events([item])
    assert getattr(event, "id", ID["id"]) == ID["id"]


def test_a_mode_that_there_is_not_is_no_event() -> None:
    assert parse_events([{"kind": "mode", "mode": "drop"}]) == ()
    assert parse_events([{"kind": "mode", "mode": "validate"}]) == (ModeChosen("validate"),)


@pytest.mark.parametrize(
    "change",
    [
        {"points": [[0, 0]]}, {"points": [[0, 0], [2, 1]]}, {"points": [[0, 0], [float("nan"), 1]]},
        {"points": [[0, 0], [True, 1]]}, {"points": [[0, 0], ["1", 1]]}, {"points": "all"},
        {"shape": "lasso"}, {"shape": "blob"}, {"drawing": "there"}, {"points": [[0, 0, 0]] * 2},
        {"shape": "lasso", "points": [[0, 0]] * 2001}, {"cue_id": "a"},
    ],
)  # fmt: skip
def test_impossible_drawings_are_dropped(change: dict[str, object]) -> None:
    assert parse_events([{**DRAWING, **change}]) == ()


@pytest.mark.parametrize(
    "ratings", [[], {"clarity": 6}, {"clarity": 0}, {"clarity": True}, {"clarity": "5"}, {3: 3}]
)
def test_impossible_ratings_are_dropped(ratings: object) -> None:
    assert parse_events([{**WORD, "ratings": ratings}]) == ()


def test_a_note_cannot_carry_a_heap() -> None:
    note = {**ID, "kind": "note", "note": "note", "text": "x"}
    assert parse_events([{**note, "payload": {"x": "y" * 30_000}}]) == ()
    assert parse_events([{**note, "payload": ["x"]}]) == ()


@pytest.mark.parametrize("raw", [None, "x", 3, {"events": []}, [None, 3, "x", []]])
def test_what_is_no_list_of_events_is_nothing(raw: object) -> None:
    assert parse_events(raw) == ()


def test_long_comments_are_cut() -> None:
    (event,) = parse_events([{**GOOD, "comment": "x" * 9000}])
    assert isinstance(event, VerdictGiven)
    assert len(event.comment) == 2000
