"""Deciding on a version: use it, discard it, go back; with a reason where figures got worse."""

from functools import partial
from typing import Literal
from uuid import uuid4

import streamlit as st

from dashboard.screens.context import Sitting
from dashboard.screens.telling import attempt
from dashboard.viewmodels.judgement import GuardView
from dashboard.viewmodels.versions import VersionDetail, VersionRow
from dashboard.views import chrome, judgement_page, versions_page
from dashboard.views.text import short

Verb = Literal["activate", "discard", "rollback"]
STALE = "Nothing was changed: another version became active meanwhile. What stands now is shown."
DONE = {
    "activate": "From now on version {} decides.",
    "discard": "Version {} was discarded.",
    "rollback": "Went back to version {}.",
}


def active_id(sitting: Sitting) -> str | None:
    """The version that is active while the screen is drawn; what an act is based on."""
    rows = sitting.services.versions.list(sitting.project.id)
    return next((row.id for row in rows if row.state == "active"), None)


def decide(sitting: Sitting, view: VersionDetail, place: str) -> None:
    """What stands of a version, or the form that decides on it."""
    name = short(view.row.hash)
    if view.row.state == "active":
        st.success(f"Version {name} is the active one: the Review screen shows it.")
        versions_page.made_active(view.events)
        return
    if view.row.state == "discarded":
        st.warning(f"Version {name} was discarded. It is kept, but not offered any more.")
        return
    stands, why_not = active_id(sitting), _why_not(sitting)
    if view.guard is not None:
        judgement_page.guard(view.guard, asking=not why_not)
    with st.form(f"decide-{view.row.id}", border=True):
        text, buttons = st.columns([1.6, 1], vertical_alignment="bottom", gap="medium")
        with text:
            st.markdown(versions_page.waits(view.row))
            _reason(view.guard, view.row, why_not)
        with buttons.container(horizontal=True, gap="small", horizontal_alignment="right"):
            st.form_submit_button(
                "Use this version", type="primary", icon=":material/check:",
                disabled=not view.can_activate or bool(why_not), help=why_not or None,
                on_click=partial(
                    _act, sitting, "activate", view.row, place, str(uuid4()), stands
                ),
            )  # fmt: skip
            st.form_submit_button(
                "Discard it", disabled=not view.can_discard or bool(why_not),
                help=why_not or None,
                on_click=partial(_act, sitting, "discard", view.row, place, str(uuid4()), None),
            )  # fmt: skip


def back(sitting: Sitting, target: VersionRow, guard: GuardView, place: str) -> None:
    """Go back to the version that was active before."""
    st.markdown(f"The version before this one was **{short(target.hash)}**.")
    why_not = _why_not(sitting)
    judgement_page.guard(guard, asking=not why_not)
    with st.form(f"back-{target.id}", border=False):
        _reason(guard, target, why_not)
        st.form_submit_button(
            "Go back to it", type="primary", icon=":material/undo:", disabled=bool(why_not),
            help=why_not or None,
            on_click=partial(
                _act, sitting, "rollback", target, place, str(uuid4()), active_id(sitting)
            ),
        )  # fmt: skip


def _why_not(sitting: Sitting) -> str:
    return sitting.services.versions.why_not(sitting.project.id, sitting.reviewer.id)


def _reason(guard: GuardView | None, row: VersionRow, why_not: str) -> None:
    if why_not:
        st.caption(chrome.plain(why_not))
        return
    needed = guard is not None and not guard.passed
    st.text_input(
        "Written reason (needed: held-out figures got worse)" if needed else "Why (optional)",
        max_chars=1000, key=f"decide-why-{row.id}",
        help="It is kept with your name beside the decision, for good",
    )  # fmt: skip


def _act(
    sitting: Sitting, verb: Verb, row: VersionRow, place: str, act_id: str, based_on: str | None
) -> None:
    versions, reviewer_id = sitting.services.versions, sitting.reviewer.id
    reason = str(st.session_state.get(f"decide-why-{row.id}", "")).strip()

    def press() -> object:
        if verb == "activate":
            return versions.activate(
                id=act_id, version_id=row.id, reviewer_id=reviewer_id, reason=reason,
                based_on=based_on,
            )  # fmt: skip
        if verb == "discard":
            return versions.discard(
                id=act_id, version_id=row.id, reviewer_id=reviewer_id, reason=reason
            )
        return versions.rollback(
            id=act_id, project_id=sitting.project.id, reviewer_id=reviewer_id, reason=reason,
            based_on=based_on,
        )  # fmt: skip

    attempt(place, press, done=DONE[verb].format(chrome.plain(short(row.hash))), stale=STALE)
