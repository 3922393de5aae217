"""Settings: the rules of review that a project fixes in advance, and who may do what."""

from functools import partial
from typing import Any
from uuid import uuid4

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.screens import bring_in
from dashboard.screens.context import REFUSALS, Sitting
from dashboard.viewmodels.settings import MembersView, MemberView, SettingsView
from dashboard.views import chrome, settings_page
from db.errors import StaleWrite

SAID = "settings-said"
DRAFT = "settings-draft"


def page(sitting: Sitting) -> None:
    """Rules on one tab, people on another, the history on a third."""
    rules = sitting.services.settings_of
    view = rules.view(sitting.project.id)
    members = rules.members(sitting.project.id, sitting.reviewer.id)
    st.header("Settings", anchor=False)
    answer = st.container()  # there also when empty: else the tabs would be made anew, on the first
    if said := st.session_state.pop(SAID, None):
        ok, text = said
        (answer.success if ok else answer.error)(chrome.plain(text))
    review, people, words, history = st.tabs(
        ["Rules of review", "Members", "Words from a file", "History"]
    )
    with review:
        settings_page.standing(view)
        if members.mine == "lead":
            _form(sitting, view)
        else:
            st.caption("Only a lead can change these.")
            settings_page.read_only(view)
    with people:
        _members(sitting, members)
    with words:
        if members.mine == "lead":
            bring_in.tab(sitting)
        else:
            st.caption("Only a lead can bring in what others said.")
    with history:
        settings_page.changes(rules.history(sitting.project.id))


def _form(sitting: Sitting, view: SettingsView) -> None:
    # A form per revision: what another lead saved meanwhile is shown, not silently overwritten.
    with st.form(f"rules-{view.revision}", border=False, enter_to_submit=False):
        left, right = st.columns(2, gap="large")
        with left, st.container(border=True):
            found = settings_page.fair(view)
        with right, st.container(border=True):
            found |= settings_page.reasons(view)
        with st.container(border=True):
            found |= settings_page.criteria(view)
        with st.container(border=True):
            found |= settings_page.plan(view)
        with st.container(border=True):
            found |= settings_page.guard(view)
        saved = st.form_submit_button("Save the rules", type="primary")
    if saved:
        _save(sitting, view, found)


def _save(sitting: Sitting, view: SettingsView, found: dict[str, Any]) -> None:
    try:
        stands = sitting.services.settings_of.save(
            id=_act_id(view.revision, found),
            project_id=sitting.project.id,
            reviewer_id=sitting.reviewer.id,
            changes=found,
            based_on=view.revision,
        )
    except StaleWrite:
        st.session_state[SAID] = (
            False,
            "Not saved: someone else changed the rules meanwhile. What stands now is shown.",
        )
    except REFUSALS as error:
        chrome.problem(error, "Nothing was saved.")
        return
    else:
        st.session_state[SAID] = (True, f"Saved as revision {stands.revision}.")
    st.rerun()


def _act_id(revision: int, found: dict[str, Any]) -> str:
    """One id per form content, so that a double click saves once."""
    key = f"{revision}/{sorted(found.items(), key=str)}"
    kept = st.session_state.get(DRAFT)
    if kept is None or kept[0] != key:
        kept = (key, str(uuid4()))
        st.session_state[DRAFT] = kept
    return str(kept[1])


def _members(sitting: Sitting, members: MembersView) -> None:
    settings_page.role_intro(members)
    for member in members.members:
        name, role, said = st.columns([2, 2.4, 2.4], vertical_alignment="center")
        name.markdown(f"**{chrome.plain(member.name)}**")
        if members.mine == "lead":
            _role(sitting, member, role, members.open)
        else:
            role.markdown(settings_page.ROLES[member.role].partition(":")[0])
        said.caption(settings_page_given(member))
    if not members.members:
        st.caption("Nobody has signed in yet.")


def settings_page_given(member: MemberView) -> str:
    """Who gave the role, as a caption."""
    return f"given by {chrome.plain(member.by)}" if member.by else ""


def _role(sitting: Sitting, member: MemberView, at: DeltaGenerator, is_open: bool) -> None:
    options = list(settings_page.ROLES)
    stands = "removed" if is_open and not member.by else member.role
    key = f"role-{member.reviewer_id}-{member.revision}"
    at.selectbox(
        f"Role of {chrome.plain(member.name)}", options, options.index(stands), key=key,
        format_func=settings_page.ROLES.__getitem__, label_visibility="collapsed",
        on_change=partial(_give, sitting, member, key, str(uuid4())),
    )  # fmt: skip


def _give(sitting: Sitting, member: MemberView, key: str, act_id: str) -> None:
    role = str(st.session_state[key])
    try:
        sitting.services.settings_of.set_role(
            id=act_id, project_id=sitting.project.id, reviewer_id=member.reviewer_id, role=role,
            by_id=sitting.reviewer.id, based_on=member.revision,
        )  # fmt: skip
    except REFUSALS as error:
        st.session_state[SAID] = (False, chrome.ended(f"Not changed: {error}"))
        del st.session_state[key]
    else:
        title = settings_page.ROLES[role].partition(":")[0]
        st.session_state[SAID] = (True, f"{member.name}: {title.lower()}.")
