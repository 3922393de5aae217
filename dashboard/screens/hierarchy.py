"""The project's hierarchy: look at it, propose a change, decide what others propose."""

from collections.abc import Callable
from functools import partial
from typing import get_args
from uuid import uuid4

import streamlit as st

from dashboard.components.concept_tree import concept_tree, picked
from dashboard.screens.context import Sitting, shown_as_sentence
from dashboard.screens.telling import attempt, keep, tell
from dashboard.viewmodels.concepts import ConceptRow, ConceptView, RelativeView
from dashboard.viewmodels.hierarchy import ProposalKind, ProposalView
from dashboard.views import chrome, concept_figures, hierarchy_page
from db.records import RelationKind

CONCEPT = "concept"
SHOW = "show"
TREE = "concept-tree"
PLACE = "hierarchy"
RELATIVES = 12  # shown of each kind
TARGET = "propose-target"
MATCHES = 50  # concepts offered as a target
LOOKS = ("Tree", *get_args(concept_figures.Shape))
KINDS: dict[str, ProposalKind] = {
    "Move it under another": "parent",
    "Merge it into another": "merge",
    "Split it": "split",
}
RELATIONS: dict[str, RelationKind] = {
    "it is a kind of that": "is-a",
    "it is part of that": "part-of",
}
ROOT = "no parent: put it at the top"
OVERTAKEN = (
    "Not stored: somebody decided about the hierarchy meanwhile. It is shown as it stands now; "
    "look again, then decide."
)


def tree_page(sitting: Sitting) -> None:
    """The tree (or icicle, or sunburst) on the left, the chosen concept on the right."""
    tree = sitting.services.hierarchy.tree(sitting.project.id)
    left, right = st.columns([1.5, 1.15], gap="medium")
    with left:
        look = st.segmented_control(
            "Draw it as", LOOKS, default=LOOKS[0], required=True, key="hierarchy-look",
            label_visibility="collapsed",
        )  # fmt: skip
        hierarchy_page.summary(tree)
        chosen = st.query_params.get(CONCEPT) or (tree.roots[0].concept_id if tree.roots else None)
        if look == "Icicle" or look == "Sunburst":
            key = f"{hierarchy_page.CHART}-{look}"
            hierarchy_page.figure(tree, look, on_select=partial(_choose_in_figure, key))
        else:
            concept_tree(tree, chosen, key=TREE, on_pick=_choose_in_tree)
    with right, st.container(height="content"):
        _chosen(sitting, chosen)


def _choose_in_tree() -> None:
    found = picked(st.session_state.get(TREE))
    if found:
        st.query_params[CONCEPT] = found


def _choose_in_figure(key: str) -> None:
    points = st.session_state[key]["selection"]["points"]
    found = points[0].get("id") if points else None
    if isinstance(found, str) and found not in {"", concept_figures.ALL}:
        st.query_params[CONCEPT] = found


def _chosen(sitting: Sitting, concept_id: str | None) -> None:
    if concept_id is None:
        chrome.empty(
            "No relations yet",
            "The model found no concept that lies within another. Open one in the list and "
            "propose a parent for it under Relations.",
        )
        return
    with shown_as_sentence("Choose another in the tree."):
        view = sitting.services.concepts.view(concept_id, sitting.reviewer.id)
        st.header(chrome.plain(view.row.name), anchor=False)
        st.caption(
            f"No. {view.row.concept} · fires in {100 * view.row.frequency:.0f} % of the images · "
            f"{view.row.verdicts_correct} ✓ correct, {view.row.verdicts_spurious} ✕ spurious"
        )
        st.button(
            "Open its page: examples, places, history",
            on_click=partial(_open_page, concept_id),
            icon=":material/category:",
            key="open-page",
        )
        relatives(view)
        propose(sitting, concept_id, view.row.name, may_decide=view.may_change)


def _open_page(concept_id: str) -> None:
    st.query_params[CONCEPT] = concept_id
    st.query_params[SHOW] = "list"


def relatives(view: ConceptView) -> None:
    """Parents and children as buttons; who set the relation and how strong it is."""
    if not view.parents and not view.children:
        st.caption("No relations to other concepts.")
    for words, found in (("Parents", view.parents), ("Children", view.children)):
        if not found:
            continue
        st.subheader(words, anchor=False)
        with st.container(horizontal=True, gap="small"):
            for relative in found[:RELATIVES]:
                _relative(words, relative)
            if len(found) > RELATIVES:
                st.caption(f"and {len(found) - RELATIVES} more", width="content")


def _relative(words: str, relative: RelativeView) -> None:
    by = "set by a person" if relative.source == "person" else "found by the model"
    weight = f", {100 * relative.weight:.0f} % of the time together"
    st.button(
        f"{chrome.plain(relative.name)} :gray[no. {relative.concept}, {relative.kind}]",
        key=f"{words}-{relative.concept_id}-{relative.kind}",
        on_click=partial(_go, relative.concept_id),
        help=f"No. {relative.concept}, {by}{weight if relative.source == 'model' else ''}",
        icon=":material/person:" if relative.source == "person" else None,
    )


def _go(concept_id: str) -> None:
    st.query_params[CONCEPT] = concept_id


# ---- proposing


def propose(sitting: Sitting, concept_id: str, name: str, *, may_decide: bool) -> None:
    """Say what should change; whoever may decide can do it at once."""
    st.subheader("Move, merge or split it", anchor=False)
    tell(PLACE)
    kind_word = st.segmented_control(
        "What should change", list(KINDS), default=next(iter(KINDS)), required=True,
        key="propose-kind", label_visibility="collapsed",
    )  # fmt: skip
    kind = KINDS[kind_word or next(iter(KINDS))]
    target: ConceptRow | None = None
    relation: RelationKind | None = None
    parts: tuple[str, ...] = ()
    ready = True
    if kind == "split":
        parts = _parts(name)
        ready = len(parts) > 1
    else:
        target, relation, ready = _target(sitting, concept_id, kind)
    st.text_input(
        "Why", max_chars=500, key="propose-why", placeholder="so that others can follow it",
        help="Kept with the proposal and shown to whoever decides",
    )  # fmt: skip
    hierarchy = sitting.services.hierarchy
    who = {
        "id": str(uuid4()),
        "concept_id": concept_id,
        "reviewer_id": sitting.reviewer.id,
    }
    other = target.id if target else None
    ask = partial(
        hierarchy.propose, **who, kind=kind, target_id=other, relation=relation, parts=parts
    )
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Propose it", key="propose", disabled=not ready, icon=":material/outgoing_mail:",
            on_click=partial(_store, ask, "Proposed. It waits under Proposals for a decision."),
        )  # fmt: skip
        if may_decide:
            now = partial(
                hierarchy.change, **who, kind=kind, target_id=other, relation=relation,
                parts=parts, based_on=hierarchy.revision(sitting.project.id),
            )  # fmt: skip
            st.button(
                "Change it now", key="change", type="primary", disabled=not ready,
                on_click=partial(_store, now, "Changed. Under Proposals it can be declined again."),
                help="Proposes and accepts it in one step; it can be declined again later",
            )  # fmt: skip


def _parts(name: str) -> tuple[str, ...]:
    text = st.text_area(
        "Its parts, one a line",
        key="propose-parts",
        placeholder="straight scale\nround sticker",
        max_chars=1000,
        help=f"What “{name}” mixes up. A split is a note to the next training of the dictionary: "
        "the concept itself stays one until then.",
    )
    return tuple(line.strip() for line in (text or "").splitlines() if line.strip())


def _target(
    sitting: Sitting, concept_id: str, kind: ProposalKind
) -> tuple[ConceptRow | None, RelationKind | None, bool]:
    """The other concept, how it relates, and whether that is enough to go on."""
    search = st.text_input(
        "Find the other concept", key="propose-find", type="search", live=True,
        placeholder="part of a name, or a number",
    )  # fmt: skip
    rows = sitting.services.concepts.page(
        sitting.project.id, (search or "").strip(), order="frequency", limit=MATCHES
    ).rows
    options: dict[str, ConceptRow | None] = {
        row.id: row for row in rows if row.id != concept_id and row.merged_into is None
    }
    if kind == "parent":
        options[""] = None
    _keep_chosen(options, TARGET)
    chosen = st.selectbox(
        "The other concept",
        list(options),
        index=None,
        format_func=lambda id: _named(options.get(id)),
        key=TARGET,
        placeholder=f"Choose one of {len(options)}",
    )
    if kind == "merge":
        return options.get(chosen or ""), None, bool(chosen)
    words = st.radio("How", list(RELATIONS), key="propose-relation", horizontal=True)
    if chosen == "":
        return None, None, True
    return options.get(chosen or ""), RELATIONS[words], bool(chosen)


def _keep_chosen(options: dict[str, ConceptRow | None], key: str) -> None:
    """What was chosen stays chosen when the search, which runs as one types, leaves it out.

    It stays when the kind of proposal changes, too: one box serves both, as a choice made in a box
    that is about to be replaced would be lost. Only "no parent" is no choice for a merge.
    """
    seen: dict[str, ConceptRow | None] = st.session_state.setdefault("propose-seen", {})
    chosen = st.session_state.get(key)
    if chosen in seen and chosen not in options:
        if seen[chosen] is None:
            del st.session_state[key]
        else:
            options[chosen] = seen[chosen]
    st.session_state["propose-seen"] = dict(options)


def _named(row: ConceptRow | None) -> str:
    return ROOT if row is None else f"{row.name} (no. {row.concept})"


def _store(act: Callable[..., object], done: str) -> None:
    """Propose (or propose and accept) with the reason that was typed."""
    why = st.session_state.get("propose-why", "")
    if attempt(PLACE, partial(act, reason=why), done=done, stale=OVERTAKEN):
        for key in ("propose-why", "propose-find", "propose-parts"):
            st.session_state.pop(key, None)


# ---- deciding


def inbox_page(sitting: Sitting) -> None:
    """Open proposals with accept and decline, then what was decided."""
    inbox = sitting.services.hierarchy.inbox(sitting.project.id, sitting.reviewer.id)
    tell(PLACE)
    if not inbox.open and not inbox.decided:
        chrome.empty(
            "No proposals",
            "Open a concept, then Relations: there anybody can propose another parent, a merge or "
            "a split. Annotators decide here.",
        )
        return
    if not inbox.may_decide:
        st.info("Annotators and leads decide proposals; you can read and propose.")
    st.subheader(f"Waiting for a decision: {len(inbox.open)}", anchor=False)
    if not inbox.open:
        st.caption("Nothing waits.")
    for view in inbox.open:
        _card(sitting, view, inbox.revision, may_decide=inbox.may_decide)
    if inbox.decided:
        st.subheader("Decided", anchor=False)
        hierarchy_page.decided(inbox.decided)
        if inbox.may_decide:
            _again(sitting, inbox.decided, inbox.revision)


def _card(sitting: Sitting, view: ProposalView, revision: int, *, may_decide: bool) -> None:
    with st.container(border=True):
        hierarchy_page.proposal(view)
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            st.button(
                "Look at it", key=f"look-{view.id}", on_click=partial(_open_page, view.concept_id)
            )
            if not may_decide:
                return
            st.text_input(
                "Reason for the decision", key=f"decide-why-{view.id}", max_chars=500, width=320
            )
            for words, accepted in (("Accept", True), ("Decline", False)):
                st.button(
                    words,
                    key=f"{words}-{view.id}",
                    type="primary" if accepted else "secondary",
                    disabled=accepted and view.obstacle is not None,
                    on_click=partial(_decide, sitting, view, accepted, revision, str(uuid4())),
                )


def _again(sitting: Sitting, decided: tuple[ProposalView, ...], revision: int) -> None:
    """A decision can be taken the other way; the former one stays in the history."""
    with st.expander("Decide one of these the other way"):
        by_id = {view.id: view for view in decided}
        chosen = st.selectbox(
            "Decision",
            list(by_id),
            index=None,
            format_func=lambda id: hierarchy_page.in_plain_words(by_id[id]),
            key="again",
            placeholder="Choose one",
        )
        view = by_id.get(chosen) if chosen else None
        if view is None:
            return
        st.text_input("Reason for the decision", key=f"decide-why-{view.id}", max_chars=500)
        accepted = view.state != "accepted"
        st.button(
            "Accept after all" if accepted else "Decline after all",
            key=f"again-{view.id}",
            disabled=accepted and view.obstacle is not None,
            on_click=partial(_decide, sitting, view, accepted, revision, str(uuid4())),
        )


def _decide(
    sitting: Sitting, view: ProposalView, accepted: bool, revision: int, event_id: str
) -> None:
    reason = st.session_state.get(f"decide-why-{view.id}", "")
    if not accepted and not reason.strip():
        keep(PLACE, "Say why you decline it: whoever proposed it will read that.", good=False)
        return
    attempt(
        PLACE,
        partial(
            sitting.services.hierarchy.decide,
            id=event_id,
            proposal_id=view.id,
            reviewer_id=sitting.reviewer.id,
            accepted=accepted,
            reason=reason,
            based_on=revision,
        ),
        done="Accepted: it holds everywhere now." if accepted else "Declined.",
        stale=OVERTAKEN,
    )
