"""Review: one case at a time, with the desk component at its centre."""

from collections.abc import Iterable
from functools import partial

import streamlit as st

from dashboard.components.events import (
    CaseAssessed,
    CaseOpened,
    Event,
    UndoAsked,
    VerdictGiven,
    parse_events,
)
from dashboard.components.viewer import Ack, Picture, raw_events, viewer
from dashboard.components.viewer import Sitting as ViewerSitting
from dashboard.screens.context import REFUSALS, Sitting
from dashboard.viewmodels import CaseView
from dashboard.views import chrome
from db.errors import StaleWrite

KEY = "desk"
CASE = "case"


def page(sitting: Sitting) -> None:
    """Show the case that the address names, else the first without my word."""
    if sitting.project.cases == 0:
        no_cases(sitting)
        return
    try:
        with st.spinner("Reading the case ..."):  # the first explanation loads the model
            case = _case(sitting)
    except REFUSALS as error:
        chrome.problem(error)
        st.button("Go to the first open case", on_click=_open, args=(None,))
        return
    try:
        content, mime = sitting.services.review.image_bytes(case.image_id)
    except REFUSALS as error:
        _without_picture(case, error)
        return
    st.query_params[CASE] = case.id
    acks = {key: Ack(answer.ok, answer.message) for key, answer in sitting.state.answers.items()}
    viewer(
        case,
        Picture(content, mime),
        ViewerSitting(
            sitting.state.session,
            sitting.reviewer.id,
            sitting.project.id,
            sitting.project.classes,
        ),
        acks,
        key=KEY,
        on_events=partial(receive, sitting),
    )


def no_cases(sitting: Sitting) -> None:
    """Nothing to review yet: say what is missing."""
    name = sitting.project.name
    if sitting.project.active_version is None:
        chrome.empty(
            "No model version yet",
            "The images are in, but no concepts were discovered in them. Run this once; it "
            "learns the concepts, names them and fits the model:",
            f'insight discover --project "{name}"',
        )
    else:
        chrome.empty(
            "No cases yet",
            "This project has no images. Bring a folder of them in:",
            f'insight ingest FOLDER --project "{name}"',
        )


def receive(sitting: Sitting) -> None:
    """Handle what the browser sent, then go to the case it asked for, if any."""
    opened = handle(sitting, parse_events(raw_events(st.session_state.get(KEY))))
    if opened is not None:
        st.query_params[CASE] = opened


def handle(sitting: Sitting, events: Iterable[Event]) -> str | None:
    """Store each event once, in order, and note an answer to each; the case to open, if any.

    Free of Streamlit. The browser sends everything unanswered again each time, so most of what
    comes was seen before: that is answered already, or is the same id to the service.
    """
    opened = None
    for event in events:
        if isinstance(event, CaseOpened):
            opened = event.case_id
        elif not sitting.state.answered(event.id):
            _answer(sitting, event)
    return opened


def _answer(sitting: Sitting, event: VerdictGiven | CaseAssessed | UndoAsked) -> None:
    try:
        message = _store(sitting, event)
    except StaleWrite:
        sitting.state.answer(event.id, ok=False, message=_stale(event))
    except REFUSALS as error:
        sitting.state.answer(event.id, ok=False, message=f"Not saved: {error}.")
    else:
        sitting.state.answer(event.id, ok=True, message=message)


def _store(sitting: Sitting, event: Event) -> str:
    """Hand one event to the service; returns what to say once it is stored."""
    review, reviewer_id = sitting.services.review, sitting.reviewer.id
    match event:
        case VerdictGiven():
            review.give_verdict(
                id=event.id,
                cue_id=event.cue_id,
                reviewer_id=reviewer_id,
                value=event.value,
                scope=event.scope,
                reason=event.reason,
                comment=event.comment,
                based_on=event.based_on,
            )
            return f"Saved: {event.value}."
        case CaseAssessed():
            review.assess(
                id=event.id,
                case_id=event.case_id,
                reviewer_id=reviewer_id,
                agree=event.agree,
                corrected_label=event.corrected_label,
                comment=event.comment,
                based_on=event.based_on,
            )
            return "Saved: your word on the case."
        case UndoAsked():
            return _undo(sitting, event)
        case CaseOpened():
            return ""


def _undo(sitting: Sitting, event: UndoAsked) -> str:
    review = sitting.services.review
    row = review.undo(sitting.reviewer.id, sitting.project.id, event.id)
    if row is None:
        return "There is no verdict of yours left to undo."
    shown = review.case(sitting.project.id, event.case_id, sitting.reviewer.id)
    if not any(cue.mine and cue.mine.id == row.id for cue in shown.cues):
        return "Undone: your last verdict, which was on another case."
    return "Undone." if row.value == "withdrawn" else f"Undone: back to {row.value}."


def _stale(event: Event) -> str:
    what = "verdict" if isinstance(event, VerdictGiven) else "word on this case"
    return (
        f"Not saved: you changed this {what} elsewhere meanwhile, perhaps in another tab. "
        "What stands now is shown; give yours again if it still holds."
    )


def _case(sitting: Sitting) -> CaseView:
    asked = st.query_params.get(CASE)
    return sitting.services.review.case(sitting.project.id, asked, sitting.reviewer.id)


def _without_picture(case: CaseView, error: Exception) -> None:
    """A case whose image is gone cannot be judged, but must not bar the way to the others."""
    chrome.problem(error, "A case cannot be judged without its image.")
    with st.container(horizontal=True):
        for label, case_id in (("Previous case", case.previous_id), ("Next case", case.next_id)):
            st.button(label, disabled=case_id is None, on_click=_open, args=(case_id,))


def _open(case_id: str | None) -> None:
    """Go to a case; None leaves the choice to the service."""
    if case_id is None:
        st.query_params.pop(CASE, None)
    else:
        st.query_params[CASE] = case_id
