"""Audit: is the log of all that was said and done whole, what does it say, a part of it to take.

The filters are in the address (?who, ?did, ?to, ?since, ?until), so that they can be sent around.
"""

from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import streamlit as st

from dashboard.screens.context import Sitting, shown_as_sentence
from dashboard.viewmodels.audit import AuditPage, LineFilter
from dashboard.views import audit_page

FIELDS = ("who", "did", "to", "since", "until")
CHECKED, MADE = "audit-checked", "audit-made"  # what this session checked and made, by project
ALL, EVERYBODY = "everything", "everybody"


def page(sitting: Sitting) -> None:
    """The state of the chain, the lines, an extract."""
    st.header("Audit", anchor=False)
    _chain(sitting)
    st.subheader("Lines", anchor=False)
    asked = _asked()
    found = sitting.services.audit.lines(sitting.project.id, asked, sitting.reviewer.id)
    if not found.note:
        _filters(found, asked)
    audit_page.lines(found)
    if not found.note:
        _extract(sitting, asked)


def _chain(sitting: Sitting) -> None:
    service, project = sitting.services.audit, sitting.project.id
    with shown_as_sentence():
        audit_page.state(service.state(project))
        if st.button("Check the chain", icon=":material/verified_user:", key="audit-verify"):
            with st.empty():
                bar = st.progress(0.0, "checking")
                found = service.verify(project, lambda done, stage: _show(bar, done, stage))
            _kept(CHECKED)[project] = found
            st.rerun()
    audit_page.checked(_kept(CHECKED).get(project, ()))


def _show(bar: Any, done: float, stage: str) -> None:
    bar.progress(min(max(done, 0.0), 1.0), stage)


def _filters(found: AuditPage, asked: LineFilter) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for label, name, words, now in (
            ("Person", "who", found.people, asked.person),
            ("Action", "did", found.actions, asked.action),
            ("On", "to", found.tables, asked.table),
        ):
            every = EVERYBODY if name == "who" else ALL
            options = [every, *sorted({*words, *([now] if now else [])})]
            st.selectbox(
                label, options, index=options.index(now or every), key=f"audit-{name}-{now}",
                on_change=_choose, args=(name, f"audit-{name}-{now}"),
            )  # fmt: skip
        for label, name, day in (
            ("From (UTC day)", "since", asked.since),
            ("To (UTC day)", "until", asked.until),
        ):
            st.date_input(
                label, value=day, key=f"audit-{name}-{day}", format="YYYY-MM-DD",
                on_change=_choose, args=(name, f"audit-{name}-{day}"),
            )  # fmt: skip


def _choose(name: str, key: str) -> None:
    chosen = st.session_state.get(key)
    if chosen in (None, ALL, EVERYBODY, ""):
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = str(chosen)


def _asked() -> LineFilter:
    who, did, to, since, until = (str(st.query_params.get(name, "")) for name in FIELDS)
    return LineFilter(who, did, to, _day(since), _day(until))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _extract(sitting: Sitting, asked: LineFilter) -> None:
    st.subheader("Extract", anchor=False)
    st.caption(
        "The chain as a file that an auditor can verify alone: the rows of the person and period "
        "chosen above in full, all others as hashes only."
    )
    with shown_as_sentence():
        if st.button("Make the extract", icon=":material/inventory_2:", key="audit-extract"):
            with st.spinner("Writing the extract ..."):
                made = sitting.services.audit.extract(
                    id=str(uuid4()), project_id=sitting.project.id,
                    reviewer_id=sitting.reviewer.id, since=asked.since, until=asked.until,
                    person=asked.person,
                )  # fmt: skip
            _kept(MADE)[sitting.project.id] = made
        done = _kept(MADE).get(sitting.project.id)
        if done is not None and Path(done.path).exists():
            audit_page.extracted(done)
            with Path(done.path).open("rb") as content:
                st.download_button(
                    "Download the extract", content, file_name=done.path.name,
                    mime="application/jsonl", key="audit-download", icon=":material/download:",
                    on_click="ignore",
                )  # fmt: skip


def _kept(name: str) -> dict[str, Any]:
    """Project id -> what this session did last."""
    found: dict[str, Any] = st.session_state.setdefault(name, {})
    return found
