"""Concepts: find one, see where it fires, name it, merge it, mark it; the project's hierarchy."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import streamlit as st

from dashboard.screens import concept_acts, hierarchy
from dashboard.screens.context import REFUSALS, Sitting
from dashboard.viewmodels.concepts import ConceptRow, ConceptView, ExampleView
from dashboard.views import chrome, concept_page, pictures

if TYPE_CHECKING:
    from dashboard.services.concepts import Only, Order

CONCEPT = "concept"
SHOW = "show"
SHOWN = ("list", "hierarchy", "proposals")
PAGE = 50  # rows of the list
TABLE = "concept-table"
FIRST = "concept-first"  # what the list shows on top, where no concept was chosen
KEPT = "concept-pictures"
ORDERS: dict[str, "Order"] = {
    "most often called spurious": "spurious",
    "in most images": "frequency",
    "most general first": "level",
    "by name": "name",
    "surest of the name": "margin",
}
ONLY: dict[str, "Only"] = {
    "all": "all",
    "named": "named",
    "without a name": "unnamed",
    "judged by people": "judged",
    "marked as artefact": "artefact",
    "with a locked name": "locked",
}
LEVELS = ("any", "0", "1", "2", "3", "4")
Look = Literal["In the image", "Close-up", "Without the map"]
LOOKS: tuple[Look, ...] = ("In the image", "Close-up", "Without the map")
TABS = ("Examples", "Where it fires", "Relations", "Use and verdicts", "History")


def page(sitting: Sitting) -> None:
    """The list and one concept; or the hierarchy; or what people propose to change in it."""
    if sitting.project.active_version is None:
        chrome.empty(
            "No concepts yet",
            "Concepts are discovered in the project's images. Run this once:",
            f'insight discover --project "{sitting.project.name}"',
        )
        return
    match _shown(sitting):
        case "hierarchy":
            hierarchy.tree_page(sitting)
        case "proposals":
            hierarchy.inbox_page(sitting)
        case _:
            _list_page(sitting)


def _shown(sitting: Sitting) -> str:
    """The part of the screen to show; kept in the address."""
    asked = st.query_params.get(SHOW, SHOWN[0])
    asked = asked if asked in SHOWN else SHOWN[0]
    waiting = sitting.services.hierarchy.waiting(sitting.project.id)
    words = {
        "list": "List",
        "hierarchy": "Hierarchy",
        "proposals": f"Proposals ({waiting} open)",
    }
    # A key per part: the address decides what is chosen, also after a link was followed.
    st.segmented_control(
        "Show",
        SHOWN,
        default=asked,
        required=True,
        format_func=lambda part: words[part],
        key=f"concepts-{asked}",
        on_change=partial(_show, asked),
        label_visibility="collapsed",
    )
    return asked


def _show(before: str) -> None:
    st.query_params[SHOW] = st.session_state[f"concepts-{before}"]


def _list_page(sitting: Sitting) -> None:
    left, right = st.columns([1.3, 1.6], gap="medium")
    with left:
        _list(sitting)
    chosen = st.query_params.get(CONCEPT) or st.session_state.get(FIRST)
    with right, st.container(height="content"):
        if chosen is None:
            chrome.empty(
                "Nothing found", "No concept is like this. Clear the search and the filters."
            )
            return
        _concept(sitting, chosen)


@st.fragment
def _list(sitting: Sitting) -> None:
    """The list redraws by itself: a letter typed into the search does not draw the page anew."""
    search, order, only, level = _filters()
    place = f"concept-page-{search}-{order}-{only}-{level}"
    found = sitting.services.concepts.page(
        sitting.project.id,
        search,
        order=ORDERS[order],
        only=ONLY[only],
        level=None if level == LEVELS[0] else int(level),
        min_frequency=1e-9,
        limit=PAGE,
        offset=PAGE * (int(st.session_state.get(place, 1)) - 1),
    )
    st.session_state[FIRST] = found.rows[0].id if found.rows else None
    st.dataframe(
        concept_page.table_rows(found.rows),
        column_config=concept_page.COLUMNS,
        hide_index=True,
        height=560,
        on_select=partial(_choose, found.rows),
        selection_mode="single-row",
        key=TABLE,
        alt="Concepts of the project; choose a row to open it",
    )
    last = found.offset + len(found.rows)
    first = min(found.offset + 1, last)
    st.caption(
        f"{first:,} to {last:,} of {found.total:,} concepts that fire in at least one image. "
        "Choose a row to open it."
    )
    if found.total > PAGE:
        st.pagination(-(-found.total // PAGE), key=place)
    if st.session_state.pop("concept-chosen", False):
        st.rerun()


def _filters() -> tuple[str, str, str, str]:
    find_at, order_at = st.columns(2)
    search = find_at.text_input(
        "Find a concept",
        placeholder="part of a name, or a number",
        key="concept-search",
        type="search",
        live=True,
    )
    order = order_at.selectbox("Order", list(ORDERS), key="concept-order")
    only_at, level_at = st.columns(2)
    only = only_at.selectbox("Only", list(ONLY), key="concept-only")
    level = level_at.selectbox(
        "Level",
        LEVELS,
        key="concept-level",
        help="0 is the most general group of concepts, higher is more specific",
    )
    return (search or "").strip(), order, only, level


def _choose(rows: tuple[ConceptRow, ...]) -> None:
    picked = st.session_state[TABLE]["selection"]["rows"]
    if picked and picked[0] < len(rows):
        st.query_params[CONCEPT] = rows[picked[0]].id
        st.session_state["concept-chosen"] = True


def _concept(sitting: Sitting, concept_id: str) -> None:
    try:
        view = sitting.services.concepts.view(concept_id, sitting.reviewer.id)
    except REFUSALS as error:
        chrome.problem(error, "Choose another from the list.")
        return
    concept_page.heading(view)
    if view.survivor_id is not None:
        _merged_away(view, view.survivor_id)
    concept_acts.rename(sitting, view)
    concept_acts.others(sitting, view)
    tabs = st.tabs(TABS, on_change="rerun", key="concept-tab")
    draw = (_examples, _fires, _relations, _use, _history)
    for tab, content in zip(tabs, draw, strict=True):
        if tab.open:  # what is not looked at costs nothing
            with tab:
                content(sitting, view)


def _merged_away(view: ConceptView, survivor_id: str) -> None:
    into = chrome.plain(view.row.merged_into or "another concept")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.info(f"Merged into “{into}”: its cues show that name.", icon=":material/merge:")
        st.button("Open that one", on_click=partial(open_concept, survivor_id), key="survivor")


def _examples(sitting: Sitting, view: ConceptView) -> None:
    look = st.segmented_control(
        "How to show the examples", LOOKS, default=LOOKS[0], required=True, key="concept-look",
        label_visibility="collapsed",
    )  # fmt: skip
    try:
        with st.spinner("Looking for examples ..."):
            found = sitting.services.concepts.examples(view.row.id)
    except REFUSALS as error:
        chrome.problem(error, "The store is intact; the model's files are not.")
        return
    if "labels" in sitting.services.settings_of.of(sitting.project.id).blind:
        # The name of a file often tells the label.
        found = tuple(
            replace(each, label=None, image_name=f"image {each.image_id[:8]}") for each in found
        )
    shown = [_picture(sitting, example, view.row.id, look) for example in found]
    concept_page.examples(view, found, shown)


def _picture(sitting: Sitting, example: ExampleView, concept_id: str, look: Look) -> bytes:
    """A picture of this session's current concept is drawn once."""
    kept: tuple[str, dict[tuple[str, str], bytes]] = st.session_state.get(KEPT, ("", {}))
    pictured = kept[1] if kept[0] == concept_id else {}
    st.session_state[KEPT] = (concept_id, pictured)
    key = (example.image_id, look)
    if key not in pictured:
        pictured[key] = _drawn(sitting, example, look)
    return pictured[key]


def _drawn(sitting: Sitting, example: ExampleView, look: Look) -> bytes:
    side = pictures.SHARP if look == "Close-up" else pictures.SIDE
    try:
        content, _ = sitting.services.review.image_bytes(example.image_id, side)
    except REFUSALS:
        return pictures.missing()  # one lost file must not hide the other examples
    if look == "In the image":
        return pictures.overlay(content, example.grid, example.map_u8)
    return (
        pictures.close_up(content, example.box)
        if look == "Close-up"
        else pictures.thumbnail(content)
    )


def _fires(sitting: Sitting, view: ConceptView) -> None:
    try:
        with st.spinner("Counting where it fires ..."):
            facts = sitting.services.concepts.facts(view.row.id)
    except REFUSALS as error:
        chrome.problem(error, "The store is intact; the model's files are not.")
        return
    if not facts.images:
        st.caption("No image has been encoded yet: run `insight discover` or `insight explain`.")
        return
    concept_page.fires(facts)
    st.subheader("Concepts nearest to it", anchor=False)
    st.caption("Cosine of the directions in the model's space: 1 is the same direction.")
    with st.container(horizontal=True, gap="small"):
        for near in facts.nearest:
            st.button(
                f"{chrome.plain(near.name)} :gray[no. {near.concept}] · {near.cosine:.2f}",
                key=f"near-{near.concept_id}",
                on_click=partial(open_concept, near.concept_id),
                help=f"Fires in {100 * near.frequency:.0f} % of the images",
            )


def _relations(sitting: Sitting, view: ConceptView) -> None:
    hierarchy.relatives(view)
    hierarchy.propose(sitting, view.row.id, view.row.name, may_decide=view.may_change)


def _use(sitting: Sitting, view: ConceptView) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        concept_page.weights(view)
    with right:
        concept_page.tallies(view.tallies)


def _history(sitting: Sitting, view: ConceptView) -> None:
    concept_page.history(view.history)
    left, right = st.columns(2, gap="medium")
    with left:
        concept_page.suggestions(view.suggestions)
    with right:
        concept_page.marks(view.marks)


def open_concept(concept_id: str) -> None:
    """Go to a concept's page."""
    st.query_params[CONCEPT] = concept_id
