"""What people do with a concept: rename it, mark it as artefact, lock its name."""

from functools import partial
from uuid import uuid4

import streamlit as st

from dashboard.screens.context import Sitting
from dashboard.screens.telling import attempt, keep, tell
from dashboard.viewmodels.concepts import ConceptView, MarkKind
from dashboard.views import concept_page

PLACE = "concept"
OVERTAKEN = "somebody changed it meanwhile. What stands now is shown."


def rename(sitting: Sitting, view: ConceptView) -> None:
    """The form for a better name."""
    closed = view.row.locked or not view.may_change
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
            disabled=closed,
        )
        why_at.text_input(
            "Why (optional)",
            max_chars=200,
            key="rename-why",
            help="Kept in the history",
            disabled=closed,
        )
        # Bound to the revision that is on the screen now, so that a rename made by somebody
        # else in the meantime is not overwritten unseen.
        button_at.form_submit_button(
            "Rename",
            type="primary",
            width="stretch",
            disabled=closed,
            on_click=partial(_store_name, sitting, view.row.id, view.revision, str(uuid4())),
        )
    if view.row.locked:
        concept_page.locked(view.marks)
    if not view.may_change:
        st.caption(
            "Annotators and leads rename, mark and lock here. You may propose changes under "
            "Relations, and call a name wrong on the Review screen."
        )
    tell(PLACE)


def _store_name(sitting: Sitting, concept_id: str, revision: int, event_id: str) -> None:
    name = st.session_state.get("rename-name")
    if not name:
        keep(PLACE, "Choose or type a name first.", good=False)
        return
    attempt(
        PLACE,
        partial(
            sitting.services.concepts.rename,
            id=event_id,
            concept_id=concept_id,
            reviewer_id=sitting.reviewer.id,
            name=name,
            reason=st.session_state.get("rename-why", ""),
            based_on=revision,
        ),
        done=f"Renamed to “{name.strip()}”.",
        stale="Not renamed: somebody renamed it meanwhile. The name that stands now is shown.",
    )


def others(sitting: Sitting, view: ConceptView) -> None:
    """Artefact and lock: each behind a button that asks why."""
    if not view.may_change:
        return
    revisions = dict(view.mark_revisions)
    with st.container(horizontal=True, gap="small"):
        _mark(
            sitting, view, "artefact", not view.row.artefact, revisions.get("artefact", 0),
            ("Mark as artefact", "No longer an artefact"), ":material/block:",
            "An artefact is no property of the object: a ruler, ink, a vignette. The mark shows "
            "wherever the concept is listed; it teaches the model nothing by itself.",
        )  # fmt: skip
        _mark(
            sitting, view, "locked", not view.row.locked, revisions.get("locked", 0),
            ("Lock the name", "Unlock the name"), ":material/lock:",
            "A locked name stays: nobody can change it until it is unlocked.",
        )  # fmt: skip


def _mark(
    sitting: Sitting, view: ConceptView, kind: MarkKind, value: bool, revision: int,
    words: tuple[str, str], icon: str, about: str,
) -> None:  # fmt: skip
    label = words[0] if value else words[1]
    # A key per revision closes the box after it was stored.
    place = f"{kind}-{view.row.id}-{revision}"
    with st.popover(label, icon=icon, key=f"box-{place}"):
        st.caption(about)
        st.text_input("Why (optional)", max_chars=500, key=f"why-{place}")
        st.button(
            f"{label} now",
            key=f"do-{place}",
            on_click=partial(_store_mark, sitting, view, kind, value, revision, str(uuid4())),
        )


def _store_mark(
    sitting: Sitting, view: ConceptView, kind: MarkKind, value: bool, revision: int, event_id: str
) -> None:
    done = {
        ("artefact", True): "Marked as artefact.",
        ("artefact", False): "No longer marked as artefact.",
        ("locked", True): "The name is locked.",
        ("locked", False): "The name is unlocked.",
    }[kind, value]
    attempt(
        PLACE,
        partial(
            sitting.services.concepts.mark,
            id=event_id,
            concept_id=view.row.id,
            reviewer_id=sitting.reviewer.id,
            kind=kind,
            value=value,
            reason=st.session_state.get(f"why-{kind}-{view.row.id}-{revision}", ""),
            based_on=revision,
        ),
        done=done,
        stale=f"Not stored: {OVERTAKEN}",
    )
