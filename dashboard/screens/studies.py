"""Studies: collections of pinned cases, and one case of a collection.

The address says where one is: ?collection, ?pin, ?train (an attempt, see training.py).
"""

from collections.abc import Sequence
from functools import partial
from typing import cast
from uuid import uuid4

import streamlit as st

from dashboard.screens import tracing, training
from dashboard.screens.context import REFUSALS, Sitting
from dashboard.screens.queue import review_page
from dashboard.screens.study_links import COLLECTION, PIN, SAID, TRAIN, go, picture_of, say
from dashboard.viewmodels.studies import (
    CollectionKind,
    CollectionView,
    PinnedCueView,
    PinView,
    StudyView,
)
from dashboard.views import case_picture, chrome, studies_page
from dashboard.views.text import plural

COLUMNS = 4
THUMBNAIL = 320  # pixels
OUTLINED = 3  # cues on a thumbnail


def page(sitting: Sitting) -> None:
    """All collections, one of them, one of its cases, or training with it."""
    say()
    chosen = st.query_params.get(COLLECTION)
    if chosen is None:
        _collections(sitting)
        return
    try:
        study = sitting.services.studies.study(sitting.project.id, chosen, sitting.reviewer.id)
    except REFUSALS as error:
        chrome.problem(error, "It may belong to another project.")
        st.button("All collections", icon=":material/arrow_back:", on_click=_leave)
        return
    attempt = st.query_params.get(TRAIN)
    if attempt is not None:
        training.page(sitting, study, attempt)
        return
    pin = next((each for each in study.pins if each.id == st.query_params.get(PIN)), None)
    if pin is None:
        _study(sitting, study)
    else:
        _pin(sitting, study, pin)


def _leave() -> None:
    go(**{COLLECTION: None, PIN: None, TRAIN: None})


def _collections(sitting: Sitting) -> None:
    st.header("Case studies", anchor=False)
    st.caption(
        "Cases worth keeping, frozen with their explanation, verdicts and a note: to teach "
        "newcomers, or to gather evidence. Pin a case on the Review screen (key K)."
    )
    found = sitting.services.studies.collections(sitting.project.id)
    left, right = st.columns([2.4, 1], gap="large")
    with right:
        _new(sitting)
    with left:
        if not found:
            chrome.empty(
                "No collection yet",
                "Make one here, or open a case on the Review screen and pin it (key K): the pin "
                "asks for the collection.",
            )
        for collection in found:
            _card(collection)


def _card(collection: CollectionView) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container(gap="xxsmall"):
            st.subheader(chrome.plain(collection.title), anchor=False)
            st.caption(studies_page.collection_facts(collection))
            if collection.about:
                st.markdown(chrome.plain(collection.about))
        st.button(
            "Open", key=f"open-{collection.id}", on_click=go, width="content",
            help=f"Open the collection {collection.title}", kwargs={COLLECTION: collection.id},
        )  # fmt: skip


def _new(sitting: Sitting) -> None:
    with st.form("new-collection", clear_on_submit=True):
        st.subheader("New collection", anchor=False)
        st.text_input("Title", max_chars=120, key="collection-title")
        st.text_area("About (optional)", max_chars=2000, height=90, key="collection-about")
        st.radio(
            "For", list(studies_page.KINDS), format_func=lambda kind: studies_page.KINDS[kind],
            horizontal=True, key="collection-kind",
            help="A case study teaches newcomers; a hypothesis gathers cases that speak for or "
            "against an idea",
        )  # fmt: skip
        st.form_submit_button(
            "Make it", type="primary", on_click=partial(_make, sitting, str(uuid4()))
        )


def _make(sitting: Sitting, event_id: str) -> None:
    try:
        made = sitting.services.studies.create(
            id=event_id,
            project_id=sitting.project.id,
            reviewer_id=sitting.reviewer.id,
            title=st.session_state.get("collection-title", ""),
            about=st.session_state.get("collection-about", ""),
            kind=cast("CollectionKind", st.session_state.get("collection-kind", "study")),
        )
    except REFUSALS as error:
        st.session_state[SAID] = (False, chrome.ended(f"Not made: {error}"))
    else:
        st.session_state[SAID] = (True, f"The collection {made.title} is made; pin cases to it.")


def _study(sitting: Sitting, study: StudyView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All collections", icon=":material/arrow_back:", on_click=_leave)
        if study.pins and study.collection.kind == "study":
            st.button(
                "Train with these cases",
                icon=":material/school:",
                type="primary",
                on_click=go,
                kwargs={TRAIN: "now"},
                help="Judge them without the answers; your answers stay apart from the verdicts",
            )
    studies_page.collection_heading(study.collection)
    if not study.pins:
        chrome.empty(
            "No case pinned yet",
            "Open a case on the Review screen and pin it (key K), with a line on what it teaches.",
        )
    answers = bool(study.pins) and _open_answers(study)
    _gallery(sitting, study.pins, answers=answers)
    _attempts(sitting, study.collection.id)


def _open_answers(study: StudyView) -> bool:
    """Whether notes and answers are shown; at first only to whom they spoil nothing."""
    return st.toggle(
        "Show notes and answers",
        value=study.open,
        key=f"answers-{study.collection.id}",
        help="Hidden at first from whoever has not trained with these cases yet",
    )


def _gallery(sitting: Sitting, pins: Sequence[PinView], *, answers: bool) -> None:
    for start in range(0, len(pins), COLUMNS):
        row = enumerate(pins[start : start + COLUMNS], start=start + 1)
        for column, (place, pin) in zip(st.columns(COLUMNS, gap="small"), row, strict=False):
            with column, st.container(border=True, gap="xsmall"):
                st.image(
                    picture_of(sitting, pin, side=THUMBNAIL, most=OUTLINED),
                    alt=studies_page.pin_alt(pin, most=OUTLINED), width="stretch",
                )  # fmt: skip
                if answers:
                    first = pin.note.split("\n", 1)[0]
                    st.markdown(chrome.plain(first[:90]) or ":gray[no note]")
                st.button(
                    f"Open case {place}", key=f"pin-{pin.id}", on_click=go, kwargs={PIN: pin.id},
                    width="stretch", help=f"Open the case {pin.image_name}",
                )  # fmt: skip


def _attempts(sitting: Sitting, collection_id: str) -> None:
    """Own attempts; a lead sees everybody's."""
    service = sitting.services.training
    everybody = service.everybody(sitting.project.id, collection_id)
    lead = sitting.services.settings_of.role(sitting.project.id, sitting.reviewer.id) == "lead"
    shown = [each for each in everybody if lead or each.reviewer == sitting.reviewer.name]
    if not shown:
        return
    st.subheader("Training so far", anchor=False, help="Newest first; a lead sees everybody's")
    studies_page.history(shown, people=lead)


def _pin(sitting: Sitting, study: StudyView, pin: PinView) -> None:
    _steps(study, pin)
    picture_at, words_at = st.columns(2, gap="medium")
    with words_at:
        st.subheader(chrome.plain(pin.image_name), anchor=False)
        answers = _open_answers(study)
        studies_page.pin_facts(pin, answers=answers)
        cue = _cue_choice(pin)
        studies_page.cue_table(pin, answers=answers)
        if answers:
            _said(pin, cue)
    with picture_at:
        st.image(
            picture_of(sitting, pin, cue),
            alt=studies_page.pin_alt(pin) if cue is None else f"{pin.image_name}: {cue.name}",
            width=case_picture.SIDE,
        )
        if pin.narrative:
            st.markdown(chrome.plain(pin.narrative))
        _acts(sitting, pin)


def _steps(study: StudyView, pin: PinView) -> None:
    ids = [each.id for each in study.pins]
    at = ids.index(pin.id)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            chrome.plain(study.collection.title), icon=":material/arrow_back:",
            on_click=go, kwargs={PIN: None}, key="back-to-study",
        )  # fmt: skip
        for label, key, place in (("Previous", "p", at - 1), ("Next", "n", at + 1)):
            inside = 0 <= place < len(ids)
            st.button(
                label, shortcut=key, disabled=not inside, key=f"pin-step-{key}",
                on_click=go, kwargs={PIN: ids[place] if inside else None},
            )  # fmt: skip
        st.caption(f"{at + 1} of {plural(len(ids), 'case')}", width="content")


def _cue_choice(pin: PinView) -> PinnedCueView | None:
    by_label = {f"{cue.letter} {cue.name}": cue for cue in pin.cues}
    if not by_label:
        return None
    chosen = st.selectbox(
        "Look at", ["all cues", *by_label], key=f"look-{pin.id}",
        help="All cues in outline, or one of them tinted",
    )  # fmt: skip
    return by_label.get(chosen)


def _said(pin: PinView, cue: PinnedCueView | None) -> None:
    for each in pin.cues if cue is None else (cue,):
        if each.words:
            st.markdown(f"**{chrome.plain(each.letter)} {chrome.plain(each.name)}**")
            studies_page.said_of(each)
    if pin.reference_label:
        st.markdown(f"True class: **{chrome.plain(pin.reference_label)}**")


def _acts(sitting: Sitting, pin: PinView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(
            review_page(), label="Open the case", icon=":material/open_in_new:",
            query_params={"case": pin.case_id}, help="Open it on the Review screen",
        )  # fmt: skip
        tracing.link(case=pin.case_id)
        with st.popover("Take it out", icon=":material/delete:"):
            st.markdown("The case leaves this collection. What was said of it stays.")
            st.button(
                "Take this case out",
                key=f"unpin-{pin.id}",
                on_click=partial(_unpin, sitting, pin, str(uuid4())),
            )


def _unpin(sitting: Sitting, pin: PinView, event_id: str) -> None:
    try:
        sitting.services.studies.unpin(
            id=event_id, project_id=sitting.project.id, pin_id=pin.id,
            reviewer_id=sitting.reviewer.id,
        )  # fmt: skip
    except REFUSALS as error:
        st.session_state[SAID] = (False, chrome.ended(f"Not taken out: {error}"))
    else:
        st.session_state[SAID] = (True, "The case is out of the collection.")
        go(**{PIN: None})
