"""Drift: are new images like those that the model knows, and if not, in which concepts?

The address names the check (?check), so that an alert can be sent around.
"""

from functools import partial
from uuid import uuid4

import streamlit as st

from dashboard.screens import blind, run_acts
from dashboard.screens.context import REFUSALS, Sitting, shown_as_sentence
from dashboard.screens.going import drawn
from dashboard.screens.queue import review_page
from dashboard.screens.telling import keep, tell
from dashboard.viewmodels.drift import (
    DriftConcept,
    DriftForm,
    DriftRow,
    DriftView,
    ImageSet,
    SetChoice,
    Within,
)
from dashboard.viewmodels.modes import ExamplePicture
from dashboard.views import chrome, drift_page, evidence_page

PLACE = "drift"
CHECK, NEW = "check", "new"
UNDER_WAY = frozenset({"queued", "running"})
ACROSS = 6
LISTED = 40


def page(sitting: Sitting) -> None:
    """The checks on the left; one of them, or the form for a new one, on the right."""
    if sitting.project.active_version is None:
        chrome.empty(
            "No model version yet",
            "A check compares new images with those that a model version learnt from. Discover "
            "the concepts first:",
            f'insight discover --project "{sitting.project.name}"',
        )
        return
    rows = sitting.services.drift.list(sitting.project.id)
    asked = st.query_params.get(CHECK)
    chosen = next((row for row in rows if row.run_id == asked), None)
    if chosen is None and asked != NEW and rows:
        chosen = rows[0]
    left, right = st.columns([1, 3.6], gap="medium")
    with left:
        _list(rows, chosen)
    with right:
        tell(PLACE)
        with shown_as_sentence():
            if chosen is None:
                _form(sitting)
            else:
                _check(sitting, chosen.run_id)


def _list(rows: tuple[DriftRow, ...], chosen: DriftRow | None) -> None:
    st.button(
        "New check", icon=":material/add:", width="stretch", key="drift-new",
        type="primary" if chosen is None else "secondary", on_click=_open, args=(NEW,),
    )  # fmt: skip
    if not rows:
        return
    st.subheader("Checks", anchor=False)
    for row in rows[:LISTED]:
        st.button(
            chrome.plain(drift_page.label(row)),
            icon=drift_page.icon(row),
            key=f"check-{row.run_id}",
            width="stretch",
            type="primary" if chosen is not None and row.run_id == chosen.run_id else "secondary",
            help=drift_page.about(row),
            on_click=_open,
            args=(row.run_id,),
        )


def _open(run_id: str) -> None:
    st.query_params[CHECK] = run_id


def _form(sitting: Sitting) -> None:
    form = sitting.services.drift.form(sitting.project.id)
    st.header("New check", anchor=False)
    st.markdown(
        "Compares how the concepts fire in new images with how they fire in the images that the "
        "model knows, concept by concept and all together."
    )
    usable = [each for each in form.choices if each.usable]
    if not usable:
        st.caption(chrome.plain(form.why_not or "There is nothing to tell new images by."))
        drift_page.unusable(form.choices)
        return
    left, right = st.columns([1.2, 1], gap="large")
    with left:
        new = _images(form, usable, "Which images are new?", "new")
        reference = None
        if st.toggle(
            "Compare with particular images", key="drift-particular",
            help="Off: with all other images that the model version learnt from",
        ):  # fmt: skip
            reference = _images(form, usable, "Which images are known?", "known")
        drift_page.unusable(form.choices)
    with right, st.container(border=True):
        _settings(sitting, form, new, reference)


def _images(form: DriftForm, usable: list[SetChoice], title: str, side: str) -> ImageSet | None:
    """One set of images, chosen by a split, a column or the day they came in."""
    proposed = form.new if side == "new" else None
    first = next((n for n, each in enumerate(usable) if proposed and _same(each, proposed)), 0)
    by_name = {each.label: each for each in usable}
    name = st.selectbox(title, list(by_name), first, key=f"drift-by-{side}",
                        help="What tells these images from the others")  # fmt: skip
    choice = by_name[name]
    values = [value for value, _ in choice.values]
    fitting = [v for v in (proposed.values if proposed and _same(choice, proposed) else ())
               if v in values]  # fmt: skip
    key, words = (
        f"drift-{side}-{choice.kind}-{choice.column}",
        partial(drift_page.choice_words, choice),
    )
    if choice.kind == "since":
        at = values.index(fitting[0]) if fitting else 0
        picked = [st.selectbox("From this day on", values, at, format_func=words, key=key,
                               help="Images that came in on that day or later")]  # fmt: skip
    else:
        picked = st.multiselect("Values", values, fitting, format_func=words, key=key,
                                help="Images with one of these values")  # fmt: skip
    return ImageSet(choice.kind, tuple(picked), choice.column) if picked else None


def _same(choice: SetChoice, chosen: ImageSet) -> bool:
    return (choice.kind, choice.column) == (chosen.kind, chosen.column)


def _settings(
    sitting: Sitting, form: DriftForm, new: ImageSet | None, reference: ImageSet | None
) -> None:
    lines = {value: (words, line) for value, words, line in form.within}
    within = st.radio(
        "Compare", list(lines), format_func=lambda each: lines[each][0],
        captions=[line for _, line in lines.values()], key="drift-within",
        help="Within a label: a difference in how many of each label there are is then no alert",
    )  # fmt: skip
    level = st.number_input(
        "Level",
        0.001,
        0.2,
        0.05,
        step=0.01,
        format="%g",
        key="drift-level",
        help="Chance of an alert where nothing differs, at most",
    )
    st.button(
        "Start the check", type="primary", width="stretch", icon=":material/play_arrow:",
        disabled=new is None or not form.ready,
        on_click=partial(_start, sitting, str(uuid4()), new, reference,
                         within, float(level)),
    )  # fmt: skip
    if not form.ready:
        st.caption(chrome.plain(form.why_not))
    elif new is None:
        st.caption("Choose at least one value on the left.")
    else:
        st.caption(f"Each side needs at least {form.least} images. It works in the background.")


def _start(
    sitting: Sitting, run_id: str, new: ImageSet | None, reference: ImageSet | None, within: Within,
    level: float,
) -> None:  # fmt: skip
    if new is None:
        return
    try:
        row = sitting.services.drift.start(
            id=run_id, project_id=sitting.project.id, reviewer_id=sitting.reviewer.id, new=new,
            reference=reference, within=within, level=level,
        )  # fmt: skip
    except REFUSALS as error:
        keep(PLACE, chrome.ended(f"The check did not start: {error}"), good=False)
    else:
        st.query_params[CHECK] = row.run_id


def _check(sitting: Sitting, run_id: str) -> None:
    with st.spinner("Reading the check ..."):
        view = sitting.services.drift.view(run_id)
    drift_page.heading(view)
    if view.state in UNDER_WAY:
        _watch(sitting, run_id)
        return
    if not view.done:
        drift_page.failed(view)
        st.button(
            "Start it again", icon=":material/restart_alt:",
            on_click=partial(run_acts.again, sitting, PLACE, run_id, "The check"),
        )  # fmt: skip
        return
    drift_page.answer(view)
    evidence_page.notices(view.notices)
    drift_page.headline(view)
    _concepts(sitting, view)
    _cases(sitting, view)
    drift_page.decisions(view)


@st.fragment(run_every=1)
def _watch(sitting: Sitting, run_id: str) -> None:
    view = sitting.services.drift.view(run_id, pictures=False)
    if view.state not in UNDER_WAY:
        st.rerun(scope="app")
    drift_page.bar(view)
    st.button(
        "Cancel the check", key=f"cancel-{run_id}", icon=":material/stop_circle:",
        on_click=partial(run_acts.cancel, sitting, PLACE, run_id, "The check"),
    )  # fmt: skip


def _concepts(sitting: Sitting, view: DriftView) -> None:
    st.subheader(
        "Concept by concept", anchor=False,
        help="Mann-Whitney test of each concept's activation, adjusted for the number of concepts",
    )  # fmt: skip
    drift_page.concepts(view.concepts)
    with_pictures = {row.concept_id: row for row in view.concepts if row.pictures}
    if not with_pictures:
        return
    chosen = st.selectbox(
        "Cases that show", list(with_pictures), key=f"drift-concept-{view.run_id}",
        format_func=lambda each: drift_page.concept_name(with_pictures[each]),
        help="The images in which the concept fires most",
    )  # fmt: skip
    _shown(sitting, with_pictures[chosen])


def _shown(sitting: Sitting, row: DriftConcept) -> None:
    st.markdown(drift_page.which(row))
    _pictures(sitting, row.pictures, ACROSS)


def _cases(sitting: Sitting, view: DriftView) -> None:
    if not view.cases:
        return
    st.subheader(
        "Most unlike what the model knows", anchor=False,
        help="New images whose concepts, taken together, lie farthest from the known images",
    )  # fmt: skip
    _pictures(sitting, view.cases, 2 * ACROSS)


def _pictures(sitting: Sitting, shown: tuple[ExamplePicture, ...], most: int) -> None:
    columns = st.columns(ACROSS, gap="small")
    said = blind.said(sitting)
    open_to_me = [one for one in shown if said is None or one.case_id in said]
    blind.withheld(len(shown) - len(open_to_me))
    for number, one in enumerate(open_to_me[:most]):
        with columns[number % ACROSS], st.container(gap="xxsmall"):
            drift_page.picture(one, drawn(sitting, one))
            st.page_link(
                review_page(), label="Open", icon=":material/open_in_new:",
                query_params={"case": one.case_id}, help="Open this case at the desk",
            )  # fmt: skip
