"""Versions: which there are, where each came from, any two beside each other, and which is active.

The address says all (?version, ?show, ?before, ?after), so that a comparison can be sent around.
"""

import streamlit as st

from dashboard.screens import deciding, judged, tracing
from dashboard.screens.context import REFUSALS, Sitting, shown_as_sentence
from dashboard.screens.telling import tell
from dashboard.viewmodels.judgement import GuardView
from dashboard.viewmodels.versions import VersionDetail, VersionRow
from dashboard.views import chrome, judgement_page, versions_page
from dashboard.views.text import short

PLACE = "versions"
VERSION, PART, BEFORE, AFTER = "version", "part", "before", "after"
PARTS = ("This version", "Compare", "Lineage", "Decisions")
LISTED = 40


def page(sitting: Sitting) -> None:
    """The list on the left; the chosen version, a comparison or the lineage on the right."""
    rows = sitting.services.versions.list(sitting.project.id)
    if not rows:
        chrome.empty(
            "No model version yet",
            "Versions come from discovery and from runs. Discover the concepts first:",
            f'insight discover --project "{sitting.project.name}"',
        )
        return
    active = next((row for row in rows if row.state == "active"), rows[0])
    asked = st.query_params.get(VERSION)
    chosen = next((row for row in rows if asked in (row.id, row.hash)), active)
    left, right = st.columns([1, 3.6], gap="medium")
    with left:
        _list(rows, chosen)
    with right:
        tell(PLACE)
        part = _part()
        if part == PARTS[0]:
            _version(sitting, chosen)
        elif part == PARTS[1]:
            _compare(sitting, rows, chosen, active)
        elif part == PARTS[2]:
            st.subheader("From data to version", anchor=False,
                         help="What was made from what; read it from the top")  # fmt: skip
            versions_page.graph(sitting.services.versions.lineage(sitting.project.id))
        else:
            _decisions(sitting)


def _part() -> str:
    asked = st.query_params.get(PART, "")
    default = asked if asked in PARTS else PARTS[0]
    key = f"versions-part-{default}"
    return str(
        st.segmented_control(
            "Part", list(PARTS), default=default, required=True, key=key,
            label_visibility="collapsed", on_change=_keep, args=(PART, key),
        )
    )  # fmt: skip


def _keep(name: str, key: str) -> None:
    st.query_params[name] = st.session_state[key]


def _list(rows: tuple[VersionRow, ...], chosen: VersionRow) -> None:
    st.subheader("Versions", anchor=False)
    for row in rows[:LISTED]:
        st.button(
            chrome.plain(versions_page.label(row)),
            icon=versions_page.ICONS[row.state],
            key=f"version-{row.id}",
            width="stretch",
            type="primary" if row.id == chosen.id else "secondary",
            help=chrome.plain(versions_page.option(row)),
            on_click=_open,
            args=(row.hash,),
        )


def _open(version_hash: str) -> None:
    st.query_params[VERSION] = version_hash
    st.query_params.pop(BEFORE, None)
    st.query_params.pop(AFTER, None)


def _version(sitting: Sitting, chosen: VersionRow) -> None:
    with shown_as_sentence():
        view = sitting.services.versions.view(chosen.id)
        versions_page.heading(view)
        versions_page.facts(view, sitting.services.versions.held_out(chosen.id))
        tracing.link("Which verdicts shaped it", find=view.row.hash)
        deciding.decide(sitting, view, PLACE)
        if view.row.state == "active":
            _back(sitting)
        _own_decisions(view)


def _own_decisions(view: VersionDetail) -> None:
    if view.events:
        st.subheader("Decisions on it", anchor=False, help="Kept for good, with who and why")
        versions_page.events(view.events)


def _back(sitting: Sitting) -> None:
    """The way back to the version that was active before, where there is one."""
    versions = sitting.services.versions
    target = versions.former(sitting.project.id)
    if target is None:
        return
    with st.expander("Go back to the version before", icon=":material/undo:"):
        deciding.back(sitting, target, versions.guard(target.id), PLACE)


def _compare(
    sitting: Sitting, rows: tuple[VersionRow, ...], chosen: VersionRow, active: VersionRow
) -> None:
    if len(rows) < 2:
        st.caption("There is only one version. A run makes the next one.")
        return
    other = chosen if chosen.id != active.id else next(row for row in rows if row.id != active.id)
    if other.hash == active.parent:  # the older one comes first
        before, after = _pair(rows, other, active)
    else:
        before, after = _pair(rows, active, other)
    if before.id == after.id:
        st.caption("Choose two different versions.")
        return
    try:
        with st.spinner("Comparing on the held-out images ..."):
            view = sitting.services.versions.compare(sitting.project.id, before.hash, after.hash)
    except REFUSALS as error:
        chrome.problem(error)
        return
    split = judged.top(view)
    if split is None:
        st.caption("There are no held-out images with labels to compare on.")
        return
    judgement_page.headline(split)
    _guard(sitting, view.guard, before, after)
    section = judged.pick_section(judged.SECTIONS, f"compare-{short(before.hash)}-{after.hash}")
    judged.section(sitting, view, split, section)


def _guard(sitting: Sitting, guard: GuardView, before: VersionRow, after: VersionRow) -> None:
    """What would be lost; a reason is asked for only while there is something to decide."""
    waits = before.state == "active" and after.state == "candidate"
    judgement_page.guard(guard, asking=waits)
    if not waits:
        decided = sitting.services.versions.view(after.id).events
        versions_page.made_active(decided, before.hash, lead=f"Version {short(after.hash)}: ")


def _pair(
    rows: tuple[VersionRow, ...], before: VersionRow, after: VersionRow
) -> tuple[VersionRow, VersionRow]:
    """The two to compare: as the address says, else those given."""
    left, right = st.columns(2)
    with left:
        first = _pick(rows, "Before", BEFORE, before)
    with right:
        second = _pick(rows, "After", AFTER, after)
    return first, second


def _pick(rows: tuple[VersionRow, ...], title: str, name: str, fallback: VersionRow) -> VersionRow:
    by_hash = {row.hash: row for row in rows}
    asked = st.query_params.get(name, "")
    default = asked if asked in by_hash else fallback.hash
    key = f"compare-{name}-{default}"
    chosen = st.selectbox(
        title, list(by_hash), list(by_hash).index(default), key=key,
        format_func=lambda each: versions_page.option(by_hash[each]),
        on_change=_keep, args=(name, key),
    )  # fmt: skip
    return by_hash[chosen]


def _decisions(sitting: Sitting) -> None:
    st.subheader("What was decided", anchor=False, help="Kept for good, with who and why")
    versions_page.events(sitting.services.versions.events(sitting.project.id))
