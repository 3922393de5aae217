"""Discover: what the model relies on and nobody has a word for; hypothesise and collect cases."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID, uuid4, uuid5

import streamlit as st

from dashboard.screens import blind
from dashboard.screens.context import REFUSALS, Sitting
from dashboard.screens.going import act, drawn, to_case
from dashboard.screens.telling import tell
from dashboard.viewmodels.modes import CandidateRow, CandidateView, ExamplePicture
from dashboard.views import chrome, discover_page
from dashboard.views.text import plural

CONCEPT = "concept"
TABLE = "discover-table"
PLACE = "discover"
ACROSS = 4  # pictures beside each other


def page(sitting: Sitting) -> None:
    """Candidates on the left, the chosen one on the right."""
    try:
        with st.spinner("Looking for what has no word ..."):
            view = sitting.services.discovering.candidates(sitting.project.id)
    except REFUSALS as error:
        chrome.problem(error)
        return
    if not view.rows:
        _nothing(view.labelled, view.concepts)
        return
    left, right = st.columns([1, 1.5], gap="medium")
    with left:
        st.markdown(discover_page.about(view))
        st.dataframe(
            discover_page.table_rows(view.rows),
            column_config=discover_page.COLUMNS,
            hide_index=True,
            height=min(520, 44 + 35 * len(view.rows)),
            on_select=partial(_choose, view.rows),
            selection_mode="single-row",
            key=TABLE,
            alt="Concepts without a trusted word, strongest first; choose a row to open it",
        )
    ids = [row.concept_id for row in view.rows]
    wanted = st.query_params.get(CONCEPT, "")
    chosen = _read(sitting, wanted if wanted in ids else ids[0])
    if chosen is None:
        return
    with left:
        _hypotheses(sitting, chosen)
    with right:
        _candidate(sitting, chosen)


def _nothing(labelled: int, concepts: int) -> None:
    if not concepts:
        chrome.empty(
            "No codes yet",
            "The worker computes them with discovery or a run. Start it, and come back:",
            "insight worker",
        )
    elif not labelled:
        chrome.empty(
            "No labels to tell apart",
            "What a concept tells shows where images have labels. Bring a table of labels in:",
            "insight ingest FOLDER --project NAME --labels FILE.csv",
        )
    else:
        chrome.empty(
            "Everything has a word",
            "Every concept that fires often enough has a name that the vocabulary knows.",
        )


def _choose(rows: Sequence[CandidateRow]) -> None:
    picked = st.session_state[TABLE]["selection"]["rows"]
    if picked and picked[0] < len(rows):
        st.query_params[CONCEPT] = rows[picked[0]].concept_id


def _read(sitting: Sitting, concept_id: str) -> CandidateView | None:
    try:
        with st.spinner("Looking for its strongest cases ..."):
            return sitting.services.discovering.candidate(
                sitting.project.id, concept_id, said=blind.said(sitting)
            )
    except REFUSALS as error:
        chrome.problem(error, "Choose another from the list.")
        return None


def _candidate(sitting: Sitting, view: CandidateView) -> None:
    discover_page.heading(view)
    tell(PLACE)
    picked = _pictures(
        sitting, view, "inside", f"Strongest in {chrome.plain(view.row.class_name)}",
        "Images of the class in which it fires most. Tick those to collect", view.inside,
    )  # fmt: skip
    picked += _pictures(
        sitting, view, "outside", "Strongest in other classes",
        "What speaks against a simple story: images of other classes in which it fires most",
        view.outside,
    )  # fmt: skip
    _collect(sitting, view, picked)


def _pictures(
    sitting: Sitting, view: CandidateView, where: str, title: str, help_: str,
    shown: Sequence[ExamplePicture],
) -> list[str]:  # fmt: skip
    """Pictures with a tick each; the ids of the cases that are ticked."""
    shown = shown[: 2 * ACROSS] if where == "inside" else shown[:ACROSS]
    images = [drawn(sitting, one) for one in shown]
    picked = []
    for one, place in discover_page.examples(title, help_, shown, images, ACROSS):
        with place, st.container(horizontal=True, vertical_alignment="center", gap="small"):
            key = f"pick-{view.row.concept_id}-{one.case_id}"
            if st.checkbox("Collect", key=key):
                picked.append(one.case_id)
            st.button(
                "Open", key=f"open-{where}-{one.case_id}", type="tertiary", on_click=to_case,
                args=(one.case_id,), help="Open this case at the desk",
            )  # fmt: skip
    return picked


def _collect(sitting: Sitting, view: CandidateView, picked: Sequence[str]) -> None:
    name_at, button_at = st.columns([2.2, 1], vertical_alignment="bottom")
    title = name_at.text_input(
        "Collection", f"Hypothesis: {view.row.name}", max_chars=120,
        key=f"collection-{view.row.concept_id}",
        help="Where the ticked cases go, with their explanation as it stands. You find it under "
        "Case studies",
    )  # fmt: skip
    button_at.button(
        f"Collect {plural(len(picked), 'case')}" if picked else "Collect ticked cases",
        key="collect", disabled=not picked,
        on_click=_pin, args=(sitting, view, title, tuple(picked), str(uuid4())), width="stretch",
    )  # fmt: skip


def _pin(
    sitting: Sitting, view: CandidateView, title: str, picked: Sequence[str], press: str
) -> None:
    fresh = [case_id for case_id in picked if case_id not in _collected(sitting, title)]
    there = len(picked) - len(fresh)

    def pin() -> None:
        for case_id in fresh:
            sitting.services.studies.pin(
                id=_id(press, case_id), collection_id=None, title=title, case_id=case_id,
                reviewer_id=sitting.reviewer.id, note="", kind="hypothesis",
            )  # fmt: skip
        for case_id in picked:
            st.session_state[f"pick-{view.row.concept_id}-{case_id}"] = False

    more = f"; {plural(there, 'case was', 'cases were')} there already" if there else ""
    done = f"{plural(len(fresh), 'case')} collected in “{title}”{more}."
    act(PLACE, pin, done=done, stale="Not collected.")


def _collected(sitting: Sitting, title: str) -> frozenset[str]:
    """Cases that are in the collection of that title already."""
    studies = sitting.services.studies
    found = studies.collections(sitting.project.id, kind="hypothesis")
    same = [one.id for one in found if one.title == " ".join(title.split())]
    return frozenset(
        pin.case_id for id in same for pin in studies.study(sitting.project.id, id).pins
    )


def _id(press: str, case_id: str) -> str:
    """The same press on the same case has the same id, so that a repeat is harmless."""
    return str(uuid5(UUID(press), case_id))


def _hypotheses(sitting: Sitting, view: CandidateView) -> None:
    st.subheader(
        "What might it be?", anchor=False,
        help="A hypothesis is kept with your name on the concept; a name goes on its own page",
    )  # fmt: skip
    discover_page.words(view)
    discover_page.hypotheses(view)
    key = f"hypothesis-{view.row.concept_id}-{len(view.notes)}"
    with st.form(f"form-{key}", border=False):
        st.text_area(
            "Your hypothesis", max_chars=2000, height=80, key=key,
            placeholder="What the pictures have in common, and how one could test it",
        )  # fmt: skip
        st.form_submit_button(
            "Keep the hypothesis",
            on_click=partial(_write, sitting, view.row.concept_id, key, str(uuid4())),
        )


def _write(sitting: Sitting, concept_id: str, key: str, event_id: str) -> None:
    act(
        PLACE,
        lambda: sitting.services.notes.write(
            id=event_id, project_id=sitting.project.id, reviewer_id=sitting.reviewer.id,
            kind="hypothesis", text=st.session_state[key], concept_id=concept_id,
        ),
        done="Your hypothesis is kept.",
        stale="Not kept.",
    )  # fmt: skip
