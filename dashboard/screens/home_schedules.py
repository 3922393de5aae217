"""Exports by the clock on the home screen: what is made when, and what came of it."""

from functools import partial
from typing import Any
from uuid import uuid4

import streamlit as st

from dashboard.screens.context import Sitting, shown_as_sentence
from dashboard.screens.places import go
from dashboard.screens.telling import attempt
from dashboard.viewmodels.schedules import ScheduleView
from dashboard.views import schedules_page

PLACE = "home"
STALE = "Not stored: somebody changed this schedule meanwhile. It is shown as it stands now."
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EVERY = {"day": "Every day", "week": "Every week", "month": "Every month"}


def section(sitting: Sitting, rows: tuple[ScheduleView, ...]) -> None:
    """The schedules and the form for a new one."""
    st.subheader(
        "Scheduled exports", anchor=False,
        help="Reports and data that the worker makes at set times, into the workspace's folder "
        "exports; after a time without a worker the latest one is made up for",
    )  # fmt: skip
    with shown_as_sentence():
        if not rows:
            st.caption("Nothing is exported by the clock.")
        for row in rows:
            _row(sitting, row)
        formats = sitting.services.schedules.formats
        if formats:
            with st.expander("New schedule", icon=":material/schedule:"):
                _form(sitting, formats)
        else:
            st.caption("This installation can make no format by the clock.")


def _row(sitting: Sitting, row: ScheduleView) -> None:
    with st.container(border=True, gap="xsmall"):
        schedules_page.row(row)
        with st.container(horizontal=True, vertical_alignment="center"):
            act = "pause" if row.active else "resume"
            _button(sitting, row, act, "Pause" if row.active else "Resume")
            _button(sitting, row, "remove", "Remove")
            st.button(
                "Make it now", key=f"schedule-now-{row.id}", icon=":material/play_arrow:",
                on_click=partial(_now, sitting, str(uuid4()), row),
            )  # fmt: skip
            if row.runs:
                go("Latest run", ("runs", (("run", row.runs[0].run_id),)), "Opens the run")


def _button(sitting: Sitting, row: ScheduleView, act: str, label: str) -> None:
    st.button(
        label, key=f"schedule-{act}-{row.id}-{row.revision}",
        on_click=partial(_change, sitting, str(uuid4()), row, act),
    )  # fmt: skip


def _change(sitting: Sitting, event_id: str, row: ScheduleView, act: str) -> None:
    words = {"pause": "paused", "resume": "resumed", "remove": "removed"}
    attempt(
        PLACE,
        lambda: getattr(sitting.services.schedules, act)(
            id=event_id, project_id=sitting.project.id, reviewer_id=sitting.reviewer.id,
            schedule_id=row.id, based_on=row.revision,
        ),
        done=f"{row.name}: {words[act]}.", stale=STALE,
    )  # fmt: skip


def _now(sitting: Sitting, run_id: str, row: ScheduleView) -> None:
    attempt(
        PLACE,
        lambda: sitting.services.schedules.run_now(
            id=run_id, project_id=sitting.project.id, reviewer_id=sitting.reviewer.id,
            schedule_id=row.id,
        ),
        done=f"{row.name}: the worker was asked to make it.", stale=STALE,
    )  # fmt: skip


def _form(sitting: Sitting, formats: tuple[str, ...]) -> None:
    left, middle, right = st.columns(3)
    every = str(
        left.selectbox("How often", list(EVERY), key="schedule-every", index=1,
                       format_func=EVERY.__getitem__, help="When it is made")
    )  # fmt: skip
    if every == "week":
        middle.selectbox("On", DAYS, key="schedule-weekday", help="Day of the week")
    elif every == "month":
        middle.number_input("On day", 1, 31, 1, key="schedule-day",
                            help="A month without that day has it on its last one")  # fmt: skip
    right.time_input("At", "06:00", key="schedule-at", step=900, help="Time of day in that zone")
    zone, name = st.columns(2)
    zone.text_input("Time zone", "UTC", key="schedule-tz", help="UTC, or as Europe/Berlin")
    name.text_input("Name", key="schedule-name", max_chars=100, help="Empty: named by its time")
    st.multiselect("Formats", formats, formats[:1], key="schedule-formats",
                   format_func=schedules_page.format_name, help="What is made")  # fmt: skip
    st.button(
        "Add the schedule", key="schedule-add", type="primary",
        on_click=partial(_add, sitting, str(uuid4()), every),
    )  # fmt: skip


def _add(sitting: Sitting, schedule_id: str, every: str) -> None:
    spec = _spec(every)
    attempt(
        PLACE,
        lambda: sitting.services.schedules.add(
            id=schedule_id, project_id=sitting.project.id, reviewer_id=sitting.reviewer.id,
            spec=spec, name=str(st.session_state["schedule-name"]),
        ),
        done="The schedule stands.", stale=STALE,
    )  # fmt: skip


def _spec(every: str) -> dict[str, Any]:
    state = st.session_state
    spec: dict[str, Any] = {
        "every": every, "at": f"{state['schedule-at']:%H:%M}", "tz": state["schedule-tz"].strip(),
        "formats": list(state["schedule-formats"]),
    }  # fmt: skip
    if every == "week":
        spec["weekday"] = DAYS.index(state["schedule-weekday"])
    elif every == "month":
        spec["day"] = int(state["schedule-day"])
    return spec
