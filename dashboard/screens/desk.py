"""The desk: one case at a time in the component, and what the browser says about it."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import streamlit as st

from dashboard.components.events import (
    CaseAssessed,
    CaseOpened,
    Drawn,
    Erased,
    Event,
    Marked,
    Mode,
    ModeChosen,
    Noted,
    Pinned,
    Said,
    UndoAsked,
    VerdictGiven,
    parse_events,
)
from dashboard.components.viewer import Ack, Study, raw_events, viewer
from dashboard.components.viewer import Sitting as ViewerSitting
from dashboard.screens import links
from dashboard.screens.context import REFUSALS, Sitting
from dashboard.viewmodels import CaseView
from dashboard.views import chrome
from db.errors import StaleWrite

KEY = "desk"
CASE, MODE = "case", "mode"
RENEW_S = 60.0  # a lease is renewed at most this often: each renewal is a write


@dataclass(frozen=True)
class Wish:
    """Where the browser wants to go."""

    opened: CaseOpened | None = None
    mode: Mode | None = None


def show(
    sitting: Sitting,
    case_id: str | None,
    adjust: Callable[[CaseView], CaseView] | None = None,
    *,
    mode: Mode = "review",
) -> CaseView | None:
    """Put a case on the desk; None where it, or its image, cannot be shown.

    Args:
        case_id: which one; None leaves the choice to the queue.
        adjust: changes the case before it is shown, to give it other neighbours.
    """
    case = _read(sitting, case_id)
    if case is None:
        return None
    case = adjust(case) if adjust else case
    try:
        picture = links.picture(sitting, case)
    except REFUSALS as error:
        _without_picture(case, error)
        return None
    st.query_params[CASE] = sitting.state.last_case = case.id
    acks = {key: Ack(answer.ok, answer.message) for key, answer in sitting.state.answers.items()}
    viewer(
        links.layered(sitting, case),
        picture,
        _seat(sitting, mode),
        acks,
        key=KEY,
        on_events=partial(receive, sitting),
    )
    return case


def _read(sitting: Sitting, case_id: str | None) -> CaseView | None:
    """The case, kept for this reviewer while it is open."""
    try:
        with st.spinner("Reading the case ..."):  # the first explanation loads the model
            case = sitting.services.review.case(sitting.project.id, case_id, sitting.reviewer.id)
        _keep(sitting, case.id)
    except REFUSALS as error:
        chrome.problem(error)
        st.button("Go to the first open case", on_click=_open, args=(None,))
        return None
    return case


def _seat(sitting: Sitting, mode: Mode) -> ViewerSitting:
    listed = sitting.services.studies.collections(sitting.project.id, kind="study")
    return ViewerSitting(
        sitting.state.session,
        sitting.reviewer.id,
        sitting.project.id,
        sitting.project.classes,
        mode,
        tuple(Study(each.id, each.title) for each in listed),
    )


def _keep(sitting: Sitting, case_id: str) -> None:
    """Take or renew the lease on a case, so that nobody else is sent to it meanwhile."""
    now = time.monotonic()
    if sitting.state.leased(case_id, since=now - RENEW_S):
        return
    sitting.services.queue.claim(case_id, sitting.reviewer.id)
    sitting.state.lease(case_id, at=now)


def receive(sitting: Sitting) -> None:
    """Handle what the browser sent, then go to the case or the mode it asked for, if any."""
    wish = handle(sitting, parse_events(raw_events(st.session_state.get(KEY))))
    if wish.mode is not None:
        st.query_params[MODE] = wish.mode
    if wish.opened is not None:
        st.query_params[CASE] = going_to(sitting, wish.opened)


def going_to(sitting: Sitting, wish: CaseOpened) -> str:
    """The case to show: the one asked for, or a free one after it if somebody was quicker."""
    if wish.how != "next":
        return wish.case_id
    try:
        claim = sitting.services.queue.claim(wish.case_id, sitting.reviewer.id, or_next=True)
    except REFUSALS:
        return wish.case_id  # showing it says what is wrong
    sitting.state.lease(claim.case_id, at=time.monotonic())
    return claim.case_id


def handle(sitting: Sitting, events: Iterable[Event]) -> Wish:
    """Store each event once, in order, and note an answer to each; where to go next, if anywhere.

    Free of Streamlit. The browser sends everything unanswered again each time, so most of what
    comes was seen before: that is answered already, or is the same id to the service.
    """
    wish = Wish()
    for event in events:
        match event:
            case CaseOpened():
                wish = Wish(event, wish.mode)
            case ModeChosen():
                wish = Wish(wish.opened, event.mode)
            case _ if not sitting.state.answered(event.id):
                _answer(sitting, event)
    return wish


def _answer(sitting: Sitting, event: Said) -> None:
    try:
        message = _store(sitting, event)
    except StaleWrite:
        sitting.state.answer(event.id, ok=False, message=_stale(event))
    except REFUSALS as error:
        sitting.state.answer(event.id, ok=False, message=chrome.ended(f"Not saved: {error}"))
    else:
        sitting.state.answer(event.id, ok=True, message=message)


def _store(sitting: Sitting, event: Said) -> str:
    """Hand one event to its service; returns what to say once it is stored."""
    match event:
        case VerdictGiven() | CaseAssessed() | UndoAsked():
            return _judge(sitting, event)
        case Drawn() | Erased() | Noted():
            return _remark(sitting, event)
        case Marked() | Pinned():
            return _set_aside(sitting, event)


def _judge(sitting: Sitting, event: VerdictGiven | CaseAssessed | UndoAsked) -> str:
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
                ratings=event.ratings,
                based_on=event.based_on,
            )
            return "Saved: your word on the case."
        case UndoAsked():
            return _undo(sitting, event)


def _remark(sitting: Sitting, event: Drawn | Erased | Noted) -> str:
    review, reviewer_id = sitting.services.review, sitting.reviewer.id
    match event:
        case Drawn():
            review.draw(
                id=event.id,
                case_id=event.case_id,
                reviewer_id=reviewer_id,
                cue_id=event.cue_id,
                kind=event.kind,
                shape=event.shape,
                points=event.points,
                note=event.note,
            )
            return "Saved: your drawing."
        case Erased():
            review.erase(id=event.id, drawing_id=event.drawing_id, reviewer_id=reviewer_id)
            return "Drawing taken away."
        case Noted():
            review.note(
                id=event.id,
                case_id=event.case_id,
                reviewer_id=reviewer_id,
                kind=event.kind,
                text=event.text,
                payload=dict(event.payload),
            )
            return "Saved: your note."


_MARKED = {
    "skip": "Skipped: it is still open to others.",
    "flag": "Flagged.",
    "escalate": "Escalated: it goes to the project's lead.",
    "resolve": "Settled: no longer flagged or escalated.",
}


def _set_aside(sitting: Sitting, event: Marked | Pinned) -> str:
    reviewer_id = sitting.reviewer.id
    match event:
        case Marked():
            sitting.services.queue.mark(
                id=event.id,
                case_id=event.case_id,
                reviewer_id=reviewer_id,
                kind=event.kind,
                reason=event.reason,
            )
            return _MARKED[event.kind]
        case Pinned():
            sitting.services.studies.pin(
                id=event.id,
                collection_id=event.collection_id,
                title=event.title,
                case_id=event.case_id,
                reviewer_id=reviewer_id,
                note=event.note,
            )
            return "Kept in the case study."


_WHAT = {"assessment": "your word on the case", "drawing": "your drawing", "verdict": "a verdict"}


def _undo(sitting: Sitting, event: UndoAsked) -> str:
    undone = sitting.services.review.undo(sitting.reviewer.id, sitting.project.id, event.id)
    if undone is None:
        return "There is nothing of yours left to undo."
    if undone.case_id != event.case_id:
        return f"Undone: {_WHAT[undone.kind]}, which was on another case."
    if undone.kind != "verdict":
        return f"Undone: {_WHAT[undone.kind]}."
    return "Undone." if undone.value == "withdrawn" else f"Undone: back to {undone.value}."


def _stale(event: Said) -> str:
    what = "verdict" if isinstance(event, VerdictGiven) else "word on this case"
    return (
        f"Not saved: you changed this {what} elsewhere meanwhile, perhaps in another tab. "
        "What stands now is shown; give yours again if it still holds."
    )


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
