"""Schedules as they stand, from plain data."""

import streamlit as st

from dashboard.viewmodels.schedules import ScheduledRun, ScheduleView
from dashboard.views.chrome import plain
from dashboard.views.text import STATES, moment

FORMATS = {
    "html": "Report as HTML", "pdf": "Report as PDF", "json": "Data as JSON",
    "csv": "Tables as CSV", "parquet": "Tables as Parquet", "coco": "Regions as COCO",
    "archive": "Project archive", "cards": "Model and data card",
}  # fmt: skip


def format_name(name: str) -> str:
    """A format in words."""
    return FORMATS.get(name, name)


def row(view: ScheduleView) -> None:
    """One schedule with its latest exports."""
    state = f"next {moment(view.next_due)}" if view.next_due else "paused"
    icon = ":material/schedule:" if view.active else ":material/pause_circle:"
    st.markdown(f"{icon} **{plain(view.name)}** · {plain(state)}")
    formats = ", ".join(format_name(name) for name in view.formats)
    st.caption(
        f"{plain(view.words)} · {plain(formats)} · {plain(view.scope)} Set by {plain(view.by)}."
    )
    if view.missing:
        st.warning(f"This installation cannot make {plain(', '.join(view.missing))}.")
    for each in view.runs[:3]:
        _run(each)


def _run(each: ScheduledRun) -> None:
    state = STATES.get(each.state, each.state)
    due = f"due {moment(each.due)}" if each.due else "by hand"
    said = each.message or ", ".join(path for _, path, _ in each.files)
    look = st.error if each.state in ("failed", "interrupted") else st.caption
    look(f"{plain(due)}: {plain(state)} {plain(said)}")
