"""Concepts: find one, see where it fires, give it a better name."""

from functools import partial
from typing import Literal
from uuid import uuid4

import streamlit as st

from dashboard.screens.context import REFUSALS, Sitting, shown_as_sentence
from dashboard.viewmodels import ConceptRow, ConceptView, ExampleView
from dashboard.views import chrome, concept_page, pictures
from db.errors import StaleWrite

Order = Literal["spurious", "frequency", "level", "name", "margin"]
CONCEPT = "concept"
LIMIT = 200
RELATIVES = 8  # shown of each kind
TABLE = "concept-table"
ORDERS: dict[str, Order] = {
    "most often called spurious": "spurious",
    "in most images": "frequency",
    "most general first": "level",
    "by name": "name",
    "least sure of the name": "margin",
}


def page(sitting: Sitting) -> None:
    """The list on the left, the chosen concept on the right."""
    if sitting.project.active_version is None:
        chrome.empty(
            "No concepts yet",
            "Concepts are discovered in the project's images. Run this once:",
            f'insight discover --project "{sitting.project.name}"',
        )
        return
    left, right = st.columns([1.15, 1.6], gap="medium")
    with left:
        rows = _list(sitting)
    chosen = st.query_params.get(CONCEPT) or (rows[0].id if rows else None)
    with right, st.container(height="content"):
        if chosen is None:
            chrome.empty("Nothing found", "No concept has this in its name. Clear the search.")
            return
        _concept(sitting, chosen)


def _list(sitting: Sitting) -> tuple[ConceptRow, ...]:
    find_at, order_at = st.columns(2)
    search = find_at.text_input(
        "Find a concept", placeholder="part of a name", key="concept-search"
    )
    order = order_at.selectbox("Order", list(ORDERS), key="concept-order")
    rows = sitting.services.concepts.list(
        sitting.project.id, search, order=ORDERS[order], min_frequency=1e-9, limit=LIMIT
    )
    st.dataframe(
        concept_page.table_rows(rows),
        column_config=concept_page.COLUMNS,
        hide_index=True,
        height=560,
        on_select=partial(_choose, rows),
        selection_mode="single-row",
        key=TABLE,
        alt="Concepts of the project; choose a row to open it",
    )
    many = f"The first {LIMIT} concepts" if len(rows) == LIMIT else f"{len(rows)} concepts"
    st.caption(f"{many} that fire in at least one image. Choose a row to open it.")
    return rows


def _choose(rows: tuple[ConceptRow, ...]) -> None:
    picked = st.session_state[TABLE]["selection"]["rows"]
    if picked and picked[0] < len(rows):
        st.query_params[CONCEPT] = rows[picked[0]].id


def _concept(sitting: Sitting, concept_id: str) -> None:
    try:
        with st.spinner("Looking for the strongest examples ..."):
            view = sitting.services.concepts.view(concept_id)
    except REFUSALS as error:
        chrome.problem(error, "Choose another from the list.")
        return
    concept_page.heading(view)
    _rename(sitting, view)
    maps = st.toggle("Show where it fires", value=True, key="concept-maps")
    concept_page.examples(view, _pictures(sitting, view, maps))
    left, right = st.columns(2, gap="medium")
    with left:
        concept_page.weights(view)
        _relatives(view)
    with right:
        concept_page.history(view.history)


def _pictures(sitting: Sitting, view: ConceptView, maps: bool) -> list[bytes]:
    return [_picture(sitting, example, maps) for example in view.examples]


def _picture(sitting: Sitting, example: ExampleView, maps: bool) -> bytes:
    try:
        content, _ = sitting.services.review.image_bytes(example.image_id, pictures.SIDE)
    except REFUSALS:
        return pictures.missing()  # one lost file must not hide the other examples
    if maps:
        return pictures.overlay(content, example.grid, example.map_u8)
    return pictures.thumbnail(content)


def _relatives(view: ConceptView) -> None:
    st.subheader("Relatives", anchor=False)
    if not view.parents and not view.children:
        st.caption("No relations to other concepts were found.")
    for words, relatives in (("Parents", view.parents), ("Children", view.children)):
        if not relatives:
            continue
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(words, width=60)
            for concept_id, name, kind in relatives[:RELATIVES]:
                st.button(
                    f"{chrome.plain(name)} ({kind})",
                    key=f"{words}-{concept_id}-{kind}",
                    on_click=partial(_open, concept_id),
                )
            if len(relatives) > RELATIVES:
                st.caption(f"and {len(relatives) - RELATIVES} more", width="content")


def _open(concept_id: str) -> None:
    st.query_params[CONCEPT] = concept_id


def _rename(sitting: Sitting, view: ConceptView) -> None:
    with st.form(f"rename-{view.row.id}", clear_on_submit=True):
        name_at, why_at, button_at = st.columns([1.3, 1.3, 0.5], vertical_alignment="bottom")
        name_at.selectbox(
            "Better name",
            [name for name, _ in view.suggestions],
            index=None,
            key="rename-name",
            accept_new_options=True,
            placeholder="Type a name, or choose one",
            help="Suggestions: what the model found next best, then the project's vocabulary",
        )
        why_at.text_input(
            "Why (optional)", max_chars=200, key="rename-why", help="Kept in the history"
        )
        # Bound to the revision that is on the screen now, so that a rename made by somebody
        # else in the meantime is not overwritten unseen.
        button_at.form_submit_button(
            "Rename",
            type="primary",
            width="stretch",
            on_click=partial(_store_name, sitting, view.row.id, view.revision, str(uuid4())),
        )
    _say_renamed()


def _store_name(sitting: Sitting, concept_id: str, revision: int, event_id: str) -> None:
    name = st.session_state.get("rename-name")
    if not name:
        st.session_state["rename-said"] = ("Choose or type a name first.", False)
        return
    try:
        event = sitting.services.concepts.rename(
            id=event_id,
            concept_id=concept_id,
            reviewer_id=sitting.reviewer.id,
            name=name,
            reason=st.session_state.get("rename-why", ""),
            based_on=revision,
        )
    except StaleWrite:
        said = "Not renamed: somebody renamed it meanwhile. The name that stands now is shown."
        st.session_state["rename-said"] = (said, False)
    except REFUSALS as error:
        st.session_state["rename-said"] = (f"Not renamed: {error}.", False)
    else:
        st.session_state["rename-said"] = (f"Renamed to “{event.name}”.", True)


def _say_renamed() -> None:
    text, good = st.session_state.pop("rename-said", (None, False))
    if text is None:
        return
    with shown_as_sentence():
        (st.success if good else st.warning)(chrome.plain(text))
