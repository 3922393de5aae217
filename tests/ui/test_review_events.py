"""What happens to the events that the browser sends: stored once, answered, never guessed."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from dashboard.components.events import (
    CaseAssessed,
    CaseOpened,
    UndoAsked,
    VerdictGiven,
    parse_events,
)
from dashboard.screens.context import Sitting
from dashboard.screens.review import handle
from dashboard.state import DeskState, Reviewer
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
    assert handle(sitting, [event]) is None
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
    assert "no verdict of yours" in sitting.state.answers[undo.id].message


def test_an_assessment_is_stored(sitting: Sitting) -> None:
    event = CaseAssessed(str(uuid4()), CASE, False, "melanoma", "streaks", 0)
    handle(sitting, [event])
    case = sitting.services.review.case("", CASE, sitting.reviewer.id)
    assert case.assessment is not None
    assert (case.assessment.agree, case.assessment.corrected_label) == (False, "melanoma")


def test_the_last_case_asked_for_is_opened_after_the_verdicts(sitting: Sitting) -> None:
    event = verdict(sitting)
    other = fakes.uid("case", 1)
    assert handle(sitting, [event, CaseOpened(CASE), CaseOpened(other)]) == other
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
        {"value": ["spurious"]}, {"scope": "galaxy"}, {"reason": "because"}, {"based_on": -1},
        {"based_on": True}, {"based_on": "0"}, {"comment": 3},
    ],
)  # fmt: skip
def test_malformed_events_are_dropped(change: dict[str, object]) -> None:
    assert parse_events([{**GOOD, **change}]) == ()


@pytest.mark.parametrize("raw", [None, "x", 3, {"events": []}, [None, 3, "x", []]])
def test_what_is_no_list_of_events_is_nothing(raw: object) -> None:
    assert parse_events(raw) == ()


def test_long_comments_are_cut() -> None:
    (event,) = parse_events([{**GOOD, "comment": "x" * 9000}])
    assert isinstance(event, VerdictGiven)
    assert len(event.comment) == 2000
