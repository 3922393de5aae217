"""Diagnose: errors and near misses at the desk, and under it why this one came about."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.screens import blind, desk
from dashboard.screens.context import REFUSALS, Sitting, shown_as_sentence
from dashboard.screens.going import MODE, bare
from dashboard.viewmodels import CaseView
from dashboard.viewmodels.modes import AlikeView, DiagnosisView, TroubleRow, TroubleView
from dashboard.views import chrome, diagnose_page

CASE = "case"
KIND = "trouble-kind"
PAIR = "trouble-pair"
TABLE = "trouble-table"
KINDS = {"Errors and near misses": None, "Errors": "error", "Near misses": "near miss"}
LISTED = 300


def page(sitting: Sitting) -> None:
    """The list behind a button, the desk on one of its cases, the diagnosis below."""
    settings = sitting.services.settings_of.of(sitting.project.id)
    margin = settings.near_miss_margin
    try:
        with st.spinner("Looking for errors and near misses ..."):
            view = sitting.services.diagnosing.trouble(
                sitting.project.id, margin=margin, said=blind.said(sitting)
            )
    except REFUSALS as error:
        chrome.problem(error)
        return
    if not view.labelled:
        _nothing_to_compare(view)
        return
    rows = _chosen(view)
    current = _current(rows)
    headline = _strip(view, rows, current)
    if current is None:
        chrome.empty("Nothing of this kind", "Choose another kind of case from the list above.")
        _back()
        return
    shown = desk.show(sitting, current, partial(_among, rows), mode="diagnose")
    if shown is None:
        return
    if {"prediction", "labels"} & shown.hidden:
        headline.info("Why shows once your own word on this case is in: this project is blind.")
        return
    with shown_as_sentence(), st.spinner("Asking why ..."):
        found = sitting.services.diagnosing.diagnose(shown.id, margin=margin)
        headline.markdown(diagnose_page.headline(found))
        _panel(sitting, found)


def _nothing_to_compare(view: TroubleView) -> None:
    if view.withheld:
        chrome.empty(
            "Nothing to diagnose yet",
            "This project hides labels or decisions until your word is in. Give your word on some "
            "cases first (mode Review): those that went wrong are then listed here.",
        )
        _back()
        return
    chrome.empty(
        "No labels to compare with",
        "Errors show where images have labels. Bring a table of labels in:",
        "insight ingest FOLDER --project NAME --labels FILE.csv",
    )
    _back()


def _back() -> None:
    """Without a case there is no desk, and so no switch of modes."""
    st.button("Back to the review", on_click=_to_review)


def _to_review() -> None:
    st.query_params.pop(MODE, None)


def _chosen(view: TroubleView) -> tuple[TroubleRow, ...]:
    """The rows of the kind and confusion that were picked."""
    wanted = KINDS.get(st.session_state.get(KIND, ""))
    pair = st.session_state.get(PAIR)
    return tuple(
        row
        for row in view.rows
        if (wanted is None or row.outcome == wanted)
        and (pair is None or (row.label, row.prediction) == tuple(pair))
    )


def _current(rows: Sequence[TroubleRow]) -> str | None:
    """The case that the address names (whatever it is), else the first of the list."""
    named = st.query_params.get(CASE)
    return named or (rows[0].case_id if rows else None)


def _strip(view: TroubleView, rows: tuple[TroubleRow, ...], current: str | None) -> DeltaGenerator:
    """The list behind a button; returns the place beside it, for what this case comes to."""
    ids = [row.case_id for row in rows]
    place = f"{ids.index(current) + 1} of {len(ids)}" if current in ids else f"{len(ids)} listed"
    left, right = st.columns([1, 3.4], vertical_alignment="center", gap="small")
    with left.popover(f"Errors and near misses · {place}", icon=":material/rule:", width="stretch"):
        _list(view, rows)
    return right.container()


def _list(view: TroubleView, rows: tuple[TroubleRow, ...]) -> None:
    st.markdown(diagnose_page.summary(view))
    left, right = st.columns(2)
    left.selectbox("Kind", list(KINDS), key=KIND, on_change=_from_the_start)
    pairs = [(label, decided) for label, decided, _ in view.confusions]
    right.selectbox(
        "Confusion", [None, *pairs], key=PAIR, on_change=_from_the_start,
        format_func=lambda pair: "all" if pair is None else f"{pair[0]} → {pair[1]}",
        help="Labelled as the first, decided as the second",
    )  # fmt: skip
    st.caption(diagnose_page.confusions(view))
    st.dataframe(
        diagnose_page.table_rows(rows[:LISTED]),
        column_config=diagnose_page.COLUMNS,
        hide_index=True,
        height=min(380, 44 + 35 * len(rows)),
        on_select=partial(_choose, rows[:LISTED]),
        selection_mode="single-row",
        key=TABLE,
        alt="Errors, the surest first, then near misses, the closest first; choose a row to open",
    )
    if len(rows) > LISTED:
        st.caption(f"The first {LISTED} of {len(rows)}.")


def _from_the_start() -> None:
    """Another kind of case: begin with the first of them."""
    st.query_params.pop(CASE, None)


def _choose(rows: Sequence[TroubleRow]) -> None:
    picked = st.session_state[TABLE]["selection"]["rows"]
    if picked and picked[0] < len(rows):
        st.query_params[CASE] = rows[picked[0]].case_id


def _among(rows: Sequence[TroubleRow], case: CaseView) -> CaseView:
    """The case with the list's neighbours, so that the desk's next key stays in the list."""
    ids = [row.case_id for row in rows]
    if case.id not in ids:
        return replace(case, previous_id=None, next_id=ids[0] if ids else None)
    at = ids.index(case.id)
    return replace(
        case,
        position=at + 1,
        total=len(ids),
        previous_id=ids[at - 1] if at else None,
        next_id=ids[at + 1] if at + 1 < len(ids) else None,
    )


def _panel(sitting: Sitting, view: DiagnosisView) -> None:
    """Under the desk: what pulled, what would have turned it, what went right instead."""
    with st.container(key="diagnosis"):
        left, right = st.columns(2, gap="medium")
        with left:
            diagnose_page.pulls(view)
        with right:
            diagnose_page.paths(view)
        _alike(sitting, view)


def _alike(sitting: Sitting, view: DiagnosisView) -> None:
    said = blind.said(sitting)
    shown = tuple(one for one in view.alike if said is None or one.case_id in said)
    diagnose_page.alike(
        replace(view, alike=shown),
        [bare(sitting, one.image_id) for one in shown],
        bare(sitting, view.image_id),
        _open,
    )


def _open(one: AlikeView) -> None:
    st.button("Open", key=f"alike-{one.case_id}", on_click=_go, args=(one.case_id,),
              help="Open this case here")  # fmt: skip


def _go(case_id: str) -> None:
    st.query_params[CASE] = case_id
