"""Collections of pinned cases, one pinned case, and a newcomer's training, from plain data."""

from collections.abc import Mapping, Sequence

import streamlit as st

from dashboard.viewmodels.agreement import CoefficientView
from dashboard.viewmodels.studies import (
    AnsweredPinView,
    AttemptView,
    CollectionView,
    PinnedCueView,
    PinView,
)
from dashboard.views.agreement_page import interval, number, word
from dashboard.views.chrome import plain
from dashboard.views.tables import table
from dashboard.views.text import moment, plural, share, short, sure

KINDS = {"study": "Case study", "hypothesis": "Hypothesis"}
SOURCES = {
    "adjudicated": "decided where people differed",
    "majority": "what most people said",
    "one person": "what one person said",
}
KAPPA = (
    "Cohen's kappa of these answers with the references: 1 is perfect, 0 is what chance would "
    "give. The interval is drawn over cases"
)


def collection_facts(view: CollectionView) -> str:
    """Kind, size, who and when, as one line."""
    return (
        f"{KINDS[view.kind]} · {plural(view.pins, 'case')} · by {plain(view.by)}, "
        f"{plain(moment(view.at))}"
    )


def collection_heading(view: CollectionView) -> None:
    """Title, facts and what it is about."""
    st.header(plain(view.title), anchor=False)
    st.caption(collection_facts(view))
    if view.about:
        st.markdown(plain(view.about).replace("\n", "  \n"))


def pin_alt(pin: PinView, *, most: int | None = None) -> str:
    """What the picture of a pinned case shows, in words."""
    names = ", ".join(f"{cue.letter} {cue.name}" for cue in pin.cues[:most])
    return f"Image {pin.image_name} with its cues outlined: {names or 'none'}"


def pin_facts(pin: PinView, *, answers: bool) -> None:
    """What the model said of the case, who pinned it and when; with `answers` label and note."""
    parts = []
    if pin.prediction:
        parts.append(f"Model says {plain(pin.prediction)} ({plain(sure(pin.confidence))})")
    if pin.label and answers:
        parts.append(f"label {plain(pin.label)}")
    parts.append(f"pinned by {plain(pin.by)}, {plain(moment(pin.at))}")
    st.caption(
        " · ".join(parts),
        help=f"Kept as it was then: model {short(pin.version_hash)}, SHA-256 of the pin "
        f"{short(pin.frozen_hash)}",
    )
    if pin.hidden:
        st.caption("This project hides the rest until your own word on this case is in.")
    if pin.note and answers:
        st.info(plain(pin.note).replace("\n", "  \n"), icon=":material/push_pin:")


def cue_table(pin: PinView, *, answers: bool) -> None:
    """The cues with their figures, and with the answers if wanted."""
    columns: dict[str, list[object]] = {
        "": [cue.letter for cue in pin.cues],
        "Cue": [cue.name for cue in pin.cues],
    }
    if pin.prediction:
        columns["Effect, logit"] = [_signed(cue.causal_effect) for cue in pin.cues]
    if answers:
        columns["Reference"] = [word(cue.reference) if cue.reference else None for cue in pin.cues]
        columns["From"] = [SOURCES[cue.source] if cue.source else None for cue in pin.cues]
    table(columns, alt="Cues of the case" + (" with the right answers" if answers else ""))
    st.caption("Effect: by how much the score of the decision falls when the concept is taken out.")


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def said_of(cue: PinnedCueView) -> None:
    """What everybody had said of one cue when the case was pinned."""
    if not cue.words:
        st.caption("Nobody had judged this cue when the case was pinned.")
    for each in cue.words:
        reason = f" · {plain(each.reason)}" if each.reason else ""
        comment = f"  \n{plain(each.comment)}" if each.comment else ""
        st.markdown(f"**{plain(each.reviewer)}**: {plain(word(each.value))}{reason}{comment}")


def progress(position: int, total: int) -> None:
    """Where the newcomer is."""
    done = min(position - 1, total)
    st.progress(done / total if total else 0.0, text=f"Case {min(position, total)} of {total}")


def question(pin: PinView, cue: PinnedCueView | None, *, label_asked: bool) -> None:
    """What is asked now, in one sentence."""
    if cue is not None:
        model = f"The model says **{plain(pin.prediction)}**. " if pin.prediction else ""
        st.markdown(f"{model}Is **{plain(cue.letter)} {plain(cue.name)}** a right reason?")
    elif label_asked:
        st.markdown("And the case itself: **which class is it?**")
    else:
        st.markdown("All is answered. Change what you like, or check your answers.")


def feedback(found: AnsweredPinView) -> None:
    """What was said beside the reference, and the teacher's note."""
    st.subheader(
        f"{found.right} of {found.asked} right" if found.asked else "Nothing was asked here",
        anchor=False,
    )
    table(
        {
            "": [_mark(each.right) for each in found.answers],
            "Cue": [f"{each.letter} {each.name}" for each in found.answers],
            "You": [word(each.said) if each.said else None for each in found.answers],
            "Reference": [
                word(each.reference) if each.reference else None for each in found.answers
            ],
        },
        alt="Your answers beside the references",
    )
    if found.label_reference is not None:
        same = found.label_said == found.label_reference
        said = plain(found.label_said or "nothing")
        right = plain(found.label_reference)
        st.markdown(f"{_mark(same)}: for the class you said **{said}**, it is **{right}**.")
    st.caption("A dash under Reference: people differ there, so it was not asked.")
    if found.note:
        st.info(plain(found.note).replace("\n", "  \n"), icon=":material/push_pin:")


def _mark(right: bool | None) -> str:
    return "–" if right is None else "✓ right" if right else "✕ wrong"


def result(answered: Sequence[AnsweredPinView], kappa: CoefficientView | None) -> None:
    """The outcome of a finished attempt."""
    right = sum(each.right for each in answered)
    asked = sum(each.asked for each in answered)
    score, agreement, cases = st.columns(3)
    score.metric(
        "Right", share(right / asked if asked else None, 0),
        help="Share of the questions answered like the reference; unsure is not right",
    )  # fmt: skip
    score.caption(f"{right} of {plural(asked, 'question')}")
    value = kappa.value if kappa else None
    agreement.metric("Kappa with the reference", number(value), help=KAPPA)
    agreement.caption(f"95 % interval {interval(kappa.bootstrap if kappa else None)}")
    cases.metric("Cases", str(len(answered)), help="Cases of this collection that were answered")
    if kappa is not None and kappa.note:
        st.caption(f"Kappa: {kappa.note}.")
    table(
        {
            "Case": [each.image_name for each in answered],
            "Right": [f"{each.right} of {each.asked}" for each in answered],
            "Missed": [", ".join(_missed(each)) for each in answered],
        },
        alt="The attempt case by case",
    )


def _missed(found: AnsweredPinView) -> list[str]:
    cues = [each.name for each in found.answers if each.right is False]
    wrong = found.label_reference is not None and found.label_said != found.label_reference
    return [*cues, *(["class"] if wrong else [])]


def history(attempts: Sequence[AttemptView], *, people: bool = False) -> None:
    """Attempts, newest first."""
    if not attempts:
        return
    who = {"Reviewer": [each.reviewer for each in attempts]} if people else {}
    table(
        {
            **who,
            "Attempt": [each.number for each in attempts],
            "When": [moment(each.at) for each in attempts],
            "Cases": [f"{each.answered} of {each.cases}" for each in attempts],
            "Right": [
                share(each.right / each.asked if each.asked else None, 0) for each in attempts
            ],
        },
        alt="Attempts at this collection, newest first",
    )


def own_answers(pin: PinView, said: Mapping[str, str], current: str | None) -> list[str]:
    """The cues as labels of a list: letter, name, own answer; the current one is pointed at."""
    return [
        f"{'▸ ' if cue.id == current else ''}{cue.letter} {cue.name}: "
        f"{word(said[cue.id]) if cue.id in said else 'not judged'}"
        for cue in pin.cues
    ]
