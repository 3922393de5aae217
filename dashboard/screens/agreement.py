"""Agreement: how far reviewers agree, and deciding where they do not.

The address says all (?show, ?on, ?item, ?about, ?all), so that a disagreement can be sent around.
"""

from collections import Counter
from functools import partial
from uuid import uuid4

import streamlit as st

from dashboard.screens.context import REFUSALS, Sitting
from dashboard.screens.queue import review_page
from dashboard.viewmodels.agreement import DisputeRow, DisputeView, Subject
from dashboard.views import agreement_page, case_picture, chrome
from dashboard.views.agreement_page import word
from dashboard.views.text import plural
from db.errors import StaleWrite

SHOW, ON, ITEM, ABOUT, ALL = "show", "on", "item", "about", "all"
SUBJECTS: dict[str, Subject] = {"Cues": "cue", "Cases": "case"}
PLACES = {"Figures": None, "Disagreements": "disagreements"}
KEYS = {"correct": "y", "spurious": "x", "unsure": "u"}
SAID = "agreement-said"
LISTED = 200  # disagreements in the list


def page(sitting: Sitting) -> None:
    """Figures, or the disagreements one by one."""
    if sitting.project.active_version is None:
        chrome.empty(
            "Nothing to agree on yet",
            "Agreement is measured on cues and cases that two people or more have judged. "
            "Discover the concepts first:",
            f'insight discover --project "{sitting.project.name}"',
        )
        return
    agreement_page.readable_keys()
    subject = _subject()
    if st.query_params.get(SHOW) == PLACES["Disagreements"]:
        _controls(sitting, subject, "Disagreements")
        _disagreements(sitting, subject)
    else:
        unsure = _controls(sitting, subject, "Figures")
        _figures(sitting, subject, unsure)


def _subject() -> Subject:
    return "case" if st.query_params.get(ON) == "case" else "cue"


def _controls(sitting: Sitting, subject: Subject, place: str) -> bool:
    """What is looked at; returns whether "unsure" counts as a word of its own."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.segmented_control(
            "Show", list(PLACES), default=place, required=True, key=f"agreement-show-{place}",
            label_visibility="collapsed", on_change=_change_place, args=(place,),
        )  # fmt: skip
        st.segmented_control(
            "Agreement on", list(SUBJECTS), required=True,
            default=next(name for name, each in SUBJECTS.items() if each == subject),
            key=f"agreement-on-{subject}", label_visibility="collapsed",
            on_change=_change_subject, args=(subject,),
            help="Cues: verdicts on the model's reasons. Cases: the class each person gives",
        )  # fmt: skip
        if place == "Figures" and subject == "cue":
            return st.toggle(
                "Count “unsure” as a word",
                key="agreement-unsure",
                help="Off: unsure is an abstention, as it is for runs",
            )
    return False


def _change_place(before: str) -> None:
    chosen = st.session_state.get(f"agreement-show-{before}")
    _go(**{SHOW: PLACES.get(chosen or before), ITEM: None, ABOUT: None})


def _change_subject(before: Subject) -> None:
    chosen = st.session_state.get(f"agreement-on-{before}")
    _go(**{ON: SUBJECTS.get(chosen or "", before), ITEM: None, ABOUT: None})


def _go(**changes: str | None) -> None:
    for key, value in changes.items():
        if value is None:
            st.query_params.pop(key, None)
        else:
            st.query_params[key] = value


def _figures(sitting: Sitting, subject: Subject, unsure: bool) -> None:
    with st.spinner("Comparing everybody's words ..."):
        view = sitting.services.agreement.view(sitting.project.id, subject, unsure=unsure)
    if not view.items:
        chrome.empty(
            "Nobody shares a case yet",
            "Agreement needs cues or cases that two people or more have judged. A lead can ask "
            "for a share of the cases to be judged twice: Settings, cases for two people.",
        )
        return
    agreement_page.headline(view)
    left, right = st.columns([1.25, 1], gap="large")
    with left:
        agreement_page.concepts(view)
        agreement_page.raters(view)
    with right:
        agreement_page.pairs(view)
        agreement_page.consensus(view.consensus, subject)
        st.subheader("The intervals", anchor=False)
        agreement_page.intervals(view)


def _disagreements(sitting: Sitting, subject: Subject) -> None:
    service, project_id, reviewer_id = (
        sitting.services.agreement, sitting.project.id, sitting.reviewer.id,
    )  # fmt: skip
    _say()
    everything = bool(st.query_params.get(ALL))
    about = st.query_params.get(ABOUT)
    listed = service.disputes(project_id, reviewer_id, subject, with_decided=everything)
    rows = tuple(row for row in listed if about in {None, row.group})
    may = service.may_decide(project_id, reviewer_id)
    left, right = st.columns([1, 2.6], gap="medium")
    chosen = st.query_params.get(ITEM) or (rows[0].id if rows else None)
    with left:
        _narrow(listed, about)
        _list(rows, chosen, everything, may)
    with right:
        if chosen is None:
            _none_left(everything, may)
            return
        try:
            view = service.dispute(
                project_id, reviewer_id, subject, chosen, about=about, with_decided=everything
            )
        except REFUSALS as error:
            chrome.problem(error, "Choose another from the list.")
            return
        _dispute(sitting, view, may)


def _say() -> None:
    """What the last press came to; good news moves nothing on the page."""
    if said := st.session_state.pop(SAID, None):
        good, text = said
        if good:
            st.toast(chrome.plain(text), icon=":material/check:")
        else:
            st.warning(chrome.plain(text))


def _narrow(listed: tuple[DisputeRow, ...], about: str | None) -> None:
    """Choose one concept (or predicted class) of those that people differ on."""
    names = {row.group: row.about for row in listed}
    if len(names) < 2 and about is None:
        return
    counts = Counter(row.group for row in listed)
    keys = [None, *sorted(names, key=lambda key: (-counts[key], names[key]))]
    if about is not None and about not in names:
        keys.append(about)

    def shown(key: str | None) -> str:
        return "all" if key is None else f"{names.get(key, key)} ({counts[key]})"

    st.selectbox(
        "On", keys, index=keys.index(about), format_func=shown, key=f"agreement-about-{about}",
        on_change=_change_about, args=(about,),
    )  # fmt: skip


def _change_about(before: str | None) -> None:
    _go(**{ABOUT: st.session_state.get(f"agreement-about-{before}"), ITEM: None})


def _none_left(everything: bool, may: bool) -> None:
    if everything or not may:
        chrome.empty(
            "No disagreement",
            "Nobody differs on what was judged by two people or more. You see what you judged "
            "yourself; a lead sees all.",
        )
    else:
        chrome.empty(
            "All decided",
            "No disagreement waits for a decision. “Also the decided ones” shows those before.",
        )


def _list(rows: tuple[DisputeRow, ...], chosen: str | None, everything: bool, may: bool) -> None:
    st.subheader(
        plural(len(rows), "disagreement"), anchor=False, help="The most evenly split first"
    )
    st.toggle(
        "Also the decided ones", value=everything, key=f"agreement-all-{everything}",
        on_change=_go, kwargs={ALL: None if everything else "1", ITEM: None},
    )  # fmt: skip
    if not may:
        st.caption("You see those that you judged yourself. Deciding needs the role lead.")
    with st.container(height=520, border=False):
        for place, row in enumerate(rows[:LISTED], start=1):
            st.button(
                chrome.plain(agreement_page.dispute_label(place, row)),
                key=f"dispute-{row.id}",
                width="stretch",
                type="primary" if row.id == chosen else "secondary",
                on_click=_go,
                kwargs={ITEM: row.id},
            )
        if len(rows) > LISTED:
            st.caption(f"and {len(rows) - LISTED} more: decide some, or narrow to one concept")


def _dispute(sitting: Sitting, view: DisputeView, may: bool) -> None:
    picture_at, words_at = st.columns([1.1, 1], gap="medium")
    with picture_at:
        agreement_page.dispute_heading(view)
        _picture(sitting, view)
        _steps(view)
    with words_at:
        st.subheader("What was said", anchor=False)
        agreement_page.words_of(view)
        agreement_page.leaning(view)
        if may:
            _decide(sitting, view)
        agreement_page.rulings(view)


def _picture(sitting: Sitting, view: DisputeView) -> None:
    try:
        content, _ = sitting.services.review.image_bytes(view.image_id, case_picture.SIDE)
    except REFUSALS as error:
        chrome.problem(error)
        return
    shown = view.grid is not None and st.toggle(
        "Show the cue", value=True, key="agreement-map", help="Tint and outline of the cue's map"
    )
    if shown and view.grid is not None:
        picture = case_picture.one_cue(content, view.grid, view.map_u8)
        alt = f"Image {view.image_name}; the cue {view.row.about} is tinted and outlined"
    else:
        picture, alt = case_picture.bare(content), f"Image {view.image_name}"
    st.image(picture, alt=alt, width="stretch")


def _steps(view: DisputeView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, key, target in (
            ("Previous", "p", view.previous_id), ("Next", "n", view.next_id),
        ):  # fmt: skip
            st.button(
                label, shortcut=key, disabled=target is None, key=f"dispute-{key}",
                on_click=_go, kwargs={ITEM: target},
            )  # fmt: skip
        st.caption(f"{view.position} of {view.total}", width="content")
        st.page_link(
            review_page(), label="Open the case", icon=":material/open_in_new:",
            query_params={"case": view.row.case_id}, help="Open it on the Review screen",
        )  # fmt: skip


def _decide(sitting: Sitting, view: DisputeView) -> None:
    st.subheader(
        "Decide", anchor=False, help="Kept beside the verdicts: nobody's word is changed by it"
    )
    st.text_input("Why (optional)", max_chars=400, key=f"ruling-why-{view.row.id}-{view.revision}")
    decided = view.row.decided
    with st.container(horizontal=True, gap="small"):
        for place, choice in enumerate(view.choices, start=1):
            shortcut = KEYS.get(choice) or (str(place) if place <= 9 else None)
            st.button(
                chrome.plain(word(choice).capitalize() if choice in KEYS else choice),
                shortcut=shortcut,
                key=f"rule-{choice}",
                type="primary" if choice == decided else "secondary",
                on_click=partial(_rule, sitting, view, choice, str(uuid4())),
            )
        if decided is not None:
            st.button(
                "Take it back", key="rule-back", icon=":material/undo:",
                on_click=partial(_rule, sitting, view, "withdrawn", str(uuid4())),
            )  # fmt: skip


def _rule(sitting: Sitting, view: DisputeView, value: str, event_id: str) -> None:
    why = st.session_state.get(f"ruling-why-{view.row.id}-{view.revision}", "")
    try:
        sitting.services.agreement.adjudicate(
            id=event_id,
            project_id=sitting.project.id,
            subject=view.subject,
            subject_id=view.row.id,
            reviewer_id=sitting.reviewer.id,
            value=value,
            reason=why,
            based_on=view.revision,
        )
    except StaleWrite:
        said = "Not decided: somebody decided it meanwhile. What stands now is shown."
        st.session_state[SAID] = (False, said)
        return
    except REFUSALS as error:
        st.session_state[SAID] = (False, chrome.ended(f"Not decided: {error}"))
        return
    if value == "withdrawn":
        st.session_state[SAID] = (True, f"Taken back: {view.row.about} waits for a decision.")
    else:
        st.session_state[SAID] = (True, f"Decided: {view.row.about} is {value}.")
        _go(**{ITEM: view.next_id})
