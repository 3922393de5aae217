"""Whether new images differ from the known ones, and in which concepts, from plain data."""

from collections.abc import Sequence

import streamlit as st

from dashboard.viewmodels.drift import (
    DecisionShift,
    DriftConcept,
    DriftRow,
    DriftView,
    SetChoice,
)
from dashboard.viewmodels.modes import ExamplePicture
from dashboard.views import bars
from dashboard.views.chrome import plain, sentence
from dashboard.views.tables import table
from dashboard.views.text import STATES, by_chance, chance, firm, moment, plural, share

ICONS = {
    "queued": ":material/schedule:", "running": ":material/sync:",
    "failed": ":material/error:", "cancelled": ":material/cancel:",
    "interrupted": ":material/pause_circle:",
}  # fmt: skip
ALERT, CALM = ":material/notification_important:", ":material/check_circle:"
LISTED = 20  # concepts in the table
WITHIN = {
    "nothing": "all together", "label": "within each label",
    "prediction": "within each decided class",
}  # fmt: skip


def icon(row: DriftRow) -> str:
    """How a check ended, as an icon."""
    if row.state == "succeeded":
        return ALERT if row.alert else CALM
    return ICONS[row.state]


def label(row: DriftRow) -> str:
    """One check as a line of a list."""
    said = {True: "alert", False: "no alert", None: STATES[row.state]}[row.alert]
    return f"{row.at.astimezone():%d %b, %H:%M} · {said}"


def about(row: DriftRow) -> str:
    """What was compared, for the line's help (markdown)."""
    return plain(f"{row.new} against {row.reference}. {row.sentence}".strip())


def heading(view: DriftView) -> None:
    """What is compared with what."""
    st.header(f"{plain(_first_up(view.new))} against {plain(view.reference)}", anchor=False)
    who = f" by {plain(view.by)}" if view.by else ""
    st.caption(
        f"{STATES[view.state].capitalize()}. Asked for{who}, {moment(view.at)}; version "
        f"{view.version[:10]}; compared {WITHIN[view.within]}."
    )


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]


def bar(view: DriftView) -> None:
    """How far the check is."""
    if view.state == "queued":
        st.progress(0.0, text="Waiting for the worker (0 %)")
    else:
        done = min(max(view.progress, 0.0), 1.0)
        st.progress(done, text=f"{plain(view.stage or 'Working')} ({100 * done:.0f} %)")


def failed(view: DriftView) -> None:
    """Why there are no figures."""
    if view.state == "failed":
        st.error(plain(f"The check failed. {sentence(view.message)}"))
    else:
        st.warning(plain(f"The check was {STATES[view.state]} before it was done."))


def answer(view: DriftView) -> None:
    """The alert, or that there is none, and what to do next."""
    show, mark = (st.error, ALERT) if view.alert else (st.success, CALM)
    show(f"**{plain(view.sentence)}** {plain(view.advice)}", icon=mark)


def headline(view: DriftView) -> None:
    """The figures that matter, in one line."""
    new, known, whole, apart, found = st.columns(5)
    new.metric("New images", f"{view.n_new:,}", help="Images that were checked")
    new.caption(f"counted per {plain(view.units)}" if view.units else "each counts by itself")
    known.metric("Known images", f"{view.n_reference:,}", help="Images they were compared with")
    whole.metric(
        "By chance", firm(chance(view.p)),
        help="How often a difference this large would come by chance alone (p, both tests "
        "together). An alert is given below the level",
    )  # fmt: skip
    whole.caption(f"alert below {view.level:g}")
    apart.metric(
        "Told apart", f"{view.told_apart:.2f}",
        help="How well a classifier tells new from known images by all concepts together (AUC, on "
        "images it did not learn from): 0.5 is not at all, 1 is always",
    )  # fmt: skip
    apart.caption(plain(by_chance(view.whole_p)))
    found.metric(
        "Concepts that differ", f"{view.alerts}",
        help="Concepts whose difference is beyond chance, though many were tested "
        "(Benjamini and Hochberg 1995)",
    )  # fmt: skip
    found.caption(f"of {view.tested} tested")
    st.caption(
        "A check of this size finds, four times out of five, a concept that fires stronger in a "
        f"new image than in a known one in {share(0.5 + view.detectable, 0)} of the pairs or more "
        f"(50 % is no difference). Energy distance of all concepts together: {view.energy:.3f} "
        f"(0 is no difference; {firm(f'p = {chance(view.energy_p)}')})."
    )


def concepts(rows: Sequence[DriftConcept]) -> None:
    """Each concept with how it fires now and before."""
    if not rows:
        st.caption("No concept fires often enough to be compared.")
        return
    bars.diverging(
        [
            bars.Bar(
                f"{'▲ ' if row.alert else ''}{row.name}{_where(row)}",
                100 * (row.superiority - 0.5),
                (
                    share(row.reference_fires, 0), share(row.new_fires, 0), chance(row.q),
                    share(row.weight, 0),
                ),
            )
            for row in rows[:LISTED]
        ],
        caption="Concepts, the clearest difference first; ▲ is an alert",
        columns=("Concept", "Fires: known", "Fires: new", "q", "Decides", "Less or more than known",
                 "Difference"),
        unit="points", digits=1,
    )  # fmt: skip
    st.caption(
        "Fires: share of the images in which the concept is there. q: p-value adjusted for the "
        "number of concepts. Decides: largest share of a class's decisions that rests on it. "
        "Difference: by how many points a new image shows more of it than a known one in over (+) "
        "or under (−) half of all pairs."
    )


def concept_name(row: DriftConcept) -> str:
    """One concept in a list to choose from."""
    mark = "▲ " if row.alert else ""
    return f"{mark}{row.name}{_where(row)}: {row.direction} than before"


def _where(row: DriftConcept) -> str:
    return f", in {row.where}" if row.where else ""


def which(row: DriftConcept) -> str:
    """What the pictures of a concept show (markdown)."""
    cases = "New images" if row.direction == "more" else "Known images"
    return f"{plain(row.sentence)} {cases} in which it fires most:"


def decisions(view: DriftView) -> None:
    """How the decisions are spread over the classes, before and now."""
    if not view.decisions:
        return
    st.subheader(
        "Decisions", anchor=False, help="Share of the images that are decided for each class"
    )
    _shifts(view.decisions)
    if view.decisions_sentence:
        st.caption(plain(view.decisions_sentence))


def _shifts(rows: Sequence[DecisionShift]) -> None:
    table(
        {
            "Class": [row.class_name for row in rows],
            "Known": [firm(share(row.reference)) for row in rows],
            "New": [firm(share(row.new)) for row in rows],
        },
        alt="Share of the images decided for each class, known and new",
    )


def picture(one: ExamplePicture, content: bytes) -> None:
    """One case with the concept over it."""
    st.image(
        content, width="stretch", caption=plain(one.label or one.prediction),
        alt=f"{one.image_name}, {one.label or 'no label'}, decided {one.prediction}",
    )  # fmt: skip


def choice_words(each: SetChoice, value: str) -> str:
    """A value of a way to say which images are new, with how many there are."""
    count = dict(each.values).get(value, 0)
    return f"{value} ({plural(count, 'image')})"


def unusable(choices: Sequence[SetChoice]) -> None:
    """Ways to choose that cannot be used here, and why."""
    lacking = [each for each in choices if not each.usable and each.why_not]
    if lacking:
        with st.expander(f"Not usable ({len(lacking)})"):
            st.caption(
                "  \n".join(f"**{plain(each.label)}**: {plain(each.why_not)}" for each in lacking)
            )
