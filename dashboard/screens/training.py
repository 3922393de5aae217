"""Training: judge pinned cases without their answers, see how it went, try again."""

from functools import partial
from typing import Any
from uuid import uuid4

import streamlit as st

from dashboard.screens.context import REFUSALS, Sitting
from dashboard.screens.study_links import SAID, TRAIN, go, picture_of
from dashboard.viewmodels.studies import PinnedCueView, PinView, StudyView, TrainingView
from dashboard.views import case_picture, chrome, studies_page
from dashboard.views.agreement_page import readable_keys, word
from dashboard.views.text import plural

KEYS = {"correct": "y", "spurious": "x", "unsure": "u"}
ANSWERS, AT, LABEL, SHOWN = "training-answers", "training-at", "training-label", "training-shown"


def page(sitting: Sitting, study: StudyView, attempt: str) -> None:
    """The next question, how the last one went, or the result."""
    readable_keys()
    number = int(attempt) if attempt.isascii() and attempt.isdigit() else None
    try:
        view = sitting.services.training.view(
            sitting.project.id, study.collection.id, sitting.reviewer.id, number
        )
    except REFUSALS as error:
        chrome.problem(error)
        st.button("Back to the collection", on_click=go, kwargs={TRAIN: None})
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            chrome.plain(study.collection.title), icon=":material/arrow_back:", on_click=_stop,
            key="training-back", help="Your answers so far are kept; you can go on later",
        )  # fmt: skip
        st.caption(
            f"Training, attempt {view.attempt}. Nothing you say here becomes a verdict.",
            width="content",
        )
    if view.last is not None and st.session_state.get(SHOWN) == view.last.pin_id:
        _feedback(sitting, study, view)
    elif view.question is not None:
        _question(sitting, view, view.question)
    else:
        _result(view)


def _stop() -> None:
    st.session_state.pop(SHOWN, None)
    go(**{TRAIN: None})


def _given(pin: PinView, attempt: int) -> dict[str, Any]:
    """The answers to this case so far; kept in the session until they are handed in."""
    key = f"{attempt}/{pin.id}"
    kept = st.session_state.get(ANSWERS)
    if not isinstance(kept, dict) or kept.get("key") != key:
        kept = st.session_state[ANSWERS] = {"key": key, "cues": {}, "label": None, "at": 0}
    return kept


def _question(sitting: Sitting, view: TrainingView, pin: PinView) -> None:
    given = _given(pin, view.attempt)
    cue = pin.cues[given["at"]] if given["at"] < len(pin.cues) else None
    studies_page.progress(view.position, view.total)
    picture_at, ask_at = st.columns(2, gap="medium")
    with picture_at:
        alone = st.toggle("All cues", key="training-all", help="Outlines of all cues at once")
        shown = None if alone else cue
        st.image(
            picture_of(sitting, pin, shown),
            alt=f"Case {view.position}: " + (shown.name if shown else "all cues outlined"),
            width=case_picture.SIDE,
        )
    with ask_at:
        studies_page.question(pin, cue, label_asked=given["label"] is None)
        if cue is not None:
            _judge(pin, cue, view.attempt)
        else:
            _classes(view, pin)
        _list(pin, given)
        left = len(pin.cues) - len(given["cues"]) + (given["label"] is None)
        if left:
            st.caption(f"{plural(left, 'question')} left; unsure is an answer too.")
        st.button(
            "Check my answers",
            type="primary" if cue is None else "secondary",
            shortcut="Enter",
            key="training-check",
            disabled=bool(left),
            on_click=partial(_hand_in, sitting, view, pin, str(uuid4())),
        )


def _judge(pin: PinView, cue: PinnedCueView, attempt: int) -> None:
    with st.container(horizontal=True, gap="small"):
        for value, key in KEYS.items():
            st.button(
                word(value).capitalize(),
                shortcut=key,
                key=f"train-{value}",
                on_click=_say,
                args=(pin, attempt, cue.id, value),
            )


def _say(pin: PinView, attempt: int, cue_id: str, value: str) -> None:
    """Keep an answer and go on to the next cue without one."""
    given = _given(pin, attempt)
    given["cues"] = {**given["cues"], cue_id: value}
    ids = [cue.id for cue in pin.cues]
    after = ids.index(cue_id) + 1
    order = [*range(after, len(ids)), *range(after)]
    given["at"] = next((k for k in order if ids[k] not in given["cues"]), len(ids))


def _classes(view: TrainingView, pin: PinView) -> None:
    given = _given(pin, view.attempt)
    with st.container(horizontal=True, gap="small"):
        for place, name in enumerate(view.classes, start=1):
            st.button(
                chrome.plain(name),
                shortcut=str(place) if place <= 9 else None,
                key=f"train-class-{place}",
                type="primary" if given["label"] == name else "secondary",
                on_click=_label,
                args=(pin, view.attempt, name),
            )


def _label(pin: PinView, attempt: int, name: str) -> None:
    _given(pin, attempt)["label"] = name


def _list(pin: PinView, given: dict[str, Any]) -> None:
    st.caption("Your answers so far; press one to change it.")
    current = pin.cues[given["at"]].id if given["at"] < len(pin.cues) else None
    labels = studies_page.own_answers(pin, given["cues"], current)
    with st.container(gap="xxsmall"):
        for place, text in enumerate(labels):
            st.button(
                chrome.plain(text), key=f"train-at-{place}", type="tertiary",
                on_click=_point, args=(pin, given["key"], place),
            )  # fmt: skip


def _point(pin: PinView, key: str, place: int) -> None:
    kept = st.session_state.get(ANSWERS)
    if isinstance(kept, dict) and kept.get("key") == key:
        kept["at"] = place


def _hand_in(sitting: Sitting, view: TrainingView, pin: PinView, event_id: str) -> None:
    given = _given(pin, view.attempt)
    try:
        sitting.services.training.answer(
            id=event_id,
            project_id=sitting.project.id,
            collection_id=view.collection.id,
            pin_id=pin.id,
            attempt=view.attempt,
            reviewer_id=sitting.reviewer.id,
            answers=given["cues"],
            label=given["label"],
        )
    except REFUSALS as error:
        st.session_state[SAID] = (False, chrome.ended(f"Not kept: {error}"))
    else:
        st.session_state[SHOWN] = pin.id
        go(**{TRAIN: str(view.attempt)})


def _feedback(sitting: Sitting, study: StudyView, view: TrainingView) -> None:
    last = view.last
    assert last is not None
    pin = next((each for each in study.pins if each.id == last.pin_id), None)
    picture_at, words_at = st.columns(2, gap="medium")
    with words_at:
        studies_page.feedback(last)
        done = view.question is None
        st.button(
            "See the result" if done else "Next case",
            type="primary",
            shortcut="n",
            key="training-next",
            on_click=_next,
        )
        if pin is not None:
            with st.expander("What reviewers said"):
                for cue in pin.cues:
                    if cue.words:
                        st.markdown(f"**{chrome.plain(cue.letter)} {chrome.plain(cue.name)}**")
                        studies_page.said_of(cue)
    with picture_at:
        if pin is not None:
            st.image(
                picture_of(sitting, pin), alt=studies_page.pin_alt(pin), width=case_picture.SIDE
            )


def _next() -> None:
    st.session_state.pop(SHOWN, None)


def _result(view: TrainingView) -> None:
    st.header(f"Attempt {view.attempt} is done", anchor=False)
    studies_page.result(view.answered, view.kappa)
    latest = view.history[0] if view.history else None
    if latest is not None and latest.number == view.attempt and latest.finished:
        st.button(
            "Train again", icon=":material/replay:", type="primary", on_click=go,
            kwargs={TRAIN: str(view.attempt + 1)},
            help="The same cases in another order; every attempt is kept",
        )  # fmt: skip
    st.subheader("Your attempts", anchor=False)
    studies_page.history(view.history)
