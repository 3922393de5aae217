"""Runs: start one, watch it, read its before and after, decide on its result."""

from functools import partial
from typing import Literal
from uuid import uuid4

import streamlit as st

from dashboard.screens.context import REFUSALS, Sitting
from dashboard.viewmodels import RunView
from dashboard.views import chrome, run_page
from dashboard.views.text import plural, short

RUN = "run"
ACTIVE = frozenset({"queued", "running"})
STOPPED = frozenset({"failed", "cancelled", "interrupted"})
SAID = "run-said"


def page(sitting: Sitting) -> None:
    """Start and list on the left, the chosen run on the right."""
    left, right = st.columns([1, 2.6], gap="medium")
    with left:
        _start(sitting)
        runs = sitting.services.runs.list(sitting.project.id)
        chosen = _choose(runs)
    with right:
        if refused := st.session_state.pop(SAID, None):
            st.error(chrome.plain(refused), icon=":material/error:")
        if chosen is None:
            chrome.empty(
                "No runs yet",
                "Mark some cues as spurious on the Review screen, at least three regions of the "
                "same cue, then start a reweighting run here. It learns to recognise what you "
                "rejected, refits the model without relying on it and shows before and after.",
            )
            return
        _run(sitting, chosen)


def _start(sitting: Sitting) -> None:
    report = sitting.services.reports.view(sitting.project.id)
    with st.container(border=True):
        st.subheader("New reweighting run", anchor=False)
        st.markdown(
            f"It will use **{plural(report.spurious, 'spurious verdict')}** and "
            f"{plural(report.correct, 'correct verdict')} on this project; a frozen copy of them "
            "is kept with the run.",
            help="At least 3 marked regions of one cue are needed; 6 to 10 make it reliable",
        )
        st.number_input(
            "Seed", 0, 2**31 - 1, 0, key="run-seed", help="The same seed gives the same result"
        )
        st.button(
            "Start the run",
            type="primary",
            width="stretch",
            disabled=report.spurious == 0 or sitting.project.active_version is None,
            on_click=partial(_ask, sitting, str(uuid4())),
        )
        if report.spurious == 0:
            st.caption("Mark at least one cue as spurious first (Review, key X).")


def _ask(sitting: Sitting, run_id: str) -> None:
    try:
        run = sitting.services.runs.start_reweight(
            id=run_id,
            project_id=sitting.project.id,
            reviewer_id=sitting.reviewer.id,
            seed=int(st.session_state["run-seed"]),
        )
    except REFUSALS as error:
        st.session_state[SAID] = f"The run did not start: {error}."
    else:
        st.query_params[RUN] = run.id


def _choose(runs: tuple[RunView, ...]) -> RunView | None:
    if not runs:
        return None
    by_id = {run.id: run for run in runs}
    asked = st.query_params.get(RUN)
    st.subheader("Runs", anchor=False)
    for run in runs:
        st.button(
            chrome.plain(run_page.title(run)),
            icon=run_page.MARKS[run.state],
            key=f"run-{run.id}",
            width="stretch",
            type="primary" if run.id == asked else "secondary",
            on_click=partial(_open, run.id),
        )
    return by_id.get(asked or "", runs[0])


def _open(run_id: str) -> None:
    st.query_params[RUN] = run_id


def _run(sitting: Sitting, run: RunView) -> None:
    run_page.heading(run)
    if run.state in ACTIVE:
        _watch(sitting, run.id)
        return
    if run.state in STOPPED:
        _stopped(sitting, run)
    if run.result_version:
        _decide(sitting, run)
    if run.metrics:
        run_page.comparison(run)
        run_page.details(run)


@st.fragment(run_every=1)
def _watch(sitting: Sitting, run_id: str) -> None:
    """The bar: refreshes by itself and leaves the rest of the screen alone."""
    run = sitting.services.runs.get(run_id)
    if run.state not in ACTIVE:
        st.rerun(scope="app")
    st.progress(min(max(run.progress, 0.0), 1.0), text=_bar_text(run))
    st.caption("The work goes on in the background: you may review on, or close this page.")
    st.button("Cancel the run", key=f"cancel-{run_id}", on_click=partial(_cancel, sitting, run_id))


def _bar_text(run: RunView) -> str:
    if run.state == "queued":
        return "Waiting for the worker (0 %)"
    return f"{chrome.plain(run.stage or 'Working')} ({100 * run.progress:.0f} %)"


def _cancel(sitting: Sitting, run_id: str) -> None:
    try:
        sitting.services.runs.cancel(run_id, sitting.reviewer.id)
    except REFUSALS as error:
        st.session_state[SAID] = f"Not cancelled: {error}."


def _stopped(sitting: Sitting, run: RunView) -> None:
    words = {
        "failed": "The run failed.",
        "cancelled": "The run was cancelled.",
        "interrupted": "The run was interrupted: its worker stopped before it was done.",
    }[run.state]
    reason = run.message if run.state == "failed" else ""
    show = st.error if run.state == "failed" else st.warning
    show(chrome.plain(f"{words} {reason}".strip()))
    st.button(
        "Start it again", icon=":material/restart_alt:", on_click=partial(_restart, sitting, run.id)
    )


def _restart(sitting: Sitting, run_id: str) -> None:
    try:
        sitting.services.runs.restart(run_id, sitting.reviewer.id)
    except REFUSALS as error:
        st.session_state[SAID] = f"Not started again: {error}."


def _decide(sitting: Sitting, run: RunView) -> None:
    version = short(run.result_version)
    if run.result_state == "active":
        st.success(f"Version {version} is the active one: the Review screen shows it.")
        return
    if run.result_state == "discarded":
        st.warning(f"Version {version} was discarded. It is kept, but not offered any more.")
        return
    text, use, drop = st.columns([2, 1, 1], vertical_alignment="center")
    text.markdown(f"Version {version} waits for your decision.")
    use.button(
        "Use this version",
        type="primary",
        width="stretch",
        on_click=partial(_judge, sitting, run.id, "activate"),
    )
    drop.button("Discard it", width="stretch", on_click=partial(_judge, sitting, run.id, "discard"))


def _judge(sitting: Sitting, run_id: str, verb: Literal["activate", "discard"]) -> None:
    runs = sitting.services.runs
    act = runs.activate if verb == "activate" else runs.discard
    try:
        act(run_id, sitting.reviewer.id)
    except REFUSALS as error:
        st.session_state[SAID] = f"Nothing was changed: {error}."
