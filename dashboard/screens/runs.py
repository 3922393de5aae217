"""Runs: start one, watch it, stop it, let it go on, read its before and after, decide on it.

The address says all (?run, ?show), so that a run can be sent around.
"""

from datetime import UTC, datetime
from functools import partial

import streamlit as st

from dashboard.screens import deciding, judged, places, run_acts, run_start
from dashboard.screens.context import REFUSALS, Sitting, shown_as_sentence
from dashboard.screens.run_start import PLACE, RUN
from dashboard.screens.telling import tell
from dashboard.services.run_options import LEAST_CASES
from dashboard.viewmodels import RunView
from dashboard.viewmodels.judgement import JudgementView
from dashboard.viewmodels.versions import VersionRow
from dashboard.views import chrome, evidence_page, judgement_page, run_page

NEW = "new"
ACTIVE = frozenset({"queued", "running"})
STOPPED = frozenset({"failed", "cancelled", "interrupted"})
LISTED = 40
LEARNT, TRIED, CURVES = "What it learnt from", "Strategies", "Curves"


def page(sitting: Sitting) -> None:
    """The list on the left; the chosen run, or the form for a new one, on the right."""
    # Drift checks and exports are runs too; they have screens of their own, and change no model.
    every = sitting.services.runs.list(sitting.project.id)
    runs = tuple(run for run in every if not run.task)
    if sitting.project.active_version is None and not runs:
        chrome.empty(
            "No model version yet",
            "A run changes a model version. Discover the concepts first:",
            f'insight discover --project "{sitting.project.name}"',
        )
        return
    asked = st.query_params.get(RUN)
    chosen = next((run for run in every if run.id == asked), None)
    if chosen is None and asked != NEW and runs:
        chosen = runs[0]
    left, right = st.columns([1, 3.6], gap="medium")
    with left:
        _list(runs, chosen)
    with right:
        tell(PLACE)
        if chosen is None:
            _new(sitting, first=not runs)
        else:
            _run(sitting, chosen)


def _list(runs: tuple[RunView, ...], chosen: RunView | None) -> None:
    st.button(
        "New run", icon=":material/add:", width="stretch", key="run-new",
        type="primary" if chosen is None else "secondary", on_click=_open, args=(NEW,),
    )  # fmt: skip
    if not runs:
        return
    st.subheader("Runs", anchor=False)
    for run in runs[:LISTED]:
        st.button(
            chrome.plain(run_page.label(run)),
            icon=run_page.MARKS[run.state],
            key=f"run-{run.id}",
            width="stretch",
            help=chrome.plain(run_page.title(run)),
            type="primary" if chosen is not None and run.id == chosen.id else "secondary",
            on_click=_open,
            args=(run.id,),
        )
    if len(runs) > LISTED:
        st.caption(f"And {len(runs) - LISTED} older ones: the report lists them all.")


def _open(run_id: str) -> None:
    st.query_params[RUN] = run_id


def _new(sitting: Sitting, *, first: bool) -> None:
    if first:
        chrome.empty(
            "No runs yet",
            "Mark some cues as spurious on the Review screen, the same cue in at least "
            f"{LEAST_CASES} cases, then start a run here. It learns to recognise what you "
            "rejected, refits the model without relying on it and shows before and after on "
            "held-out images.",
        )
    with shown_as_sentence():
        run_start.form(sitting)


def _run(sitting: Sitting, run: RunView) -> None:
    titles = {}
    if run.strategy:
        with shown_as_sentence():
            titles = _titles(sitting)
    if run.state in ACTIVE:
        _watch(sitting, run.id, run.state, titles)
        return
    run_page.heading(run, titles, _made_by(sitting, run))
    if run.state in STOPPED:
        _stopped(sitting, run)
        evidence_page.notices(run.notices)
        run_page.watched(sitting.services.runs.curves(run.id), run.id)
        return
    evidence_page.notices(run.notices)
    if run.task:
        _elsewhere(run)
    else:
        _result(sitting, run)


def _elsewhere(run: RunView) -> None:
    """A run that changes no model: what it made, and the screen that shows it."""
    if run.task == "drift":
        st.markdown("A check of later images for drift changes no model.")
        places.go("The check on the Drift screen", ("drift", (("check", run.id),)))
        return
    run_page.files(run)
    places.go("Download the files on the Report screen", ("report", ()))


# Which strategies there are never changes while the app runs, and asking weighs all verdicts.
@st.cache_data(show_spinner=False)
def _titles(_sitting: Sitting) -> dict[str, str]:
    offered = _sitting.services.runs.strategies(_sitting.project.id)
    return {each.key: each.title for each in offered}


@st.fragment(run_every=1)
def _watch(sitting: Sitting, run_id: str, state: str, titles: dict[str, str]) -> None:
    """Heading, bar and curves: they refresh by themselves and leave the rest alone.

    Where the state is no more the one that the rest of the screen was drawn with, all is drawn
    anew: the list beside it shows it too.
    """
    run = sitting.services.runs.get(run_id)
    if run.state != state:
        st.rerun(scope="app")
    run_page.heading(run, titles)
    run_page.bar(run, datetime.now(UTC))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Cancel the run", key=f"cancel-{run_id}", icon=":material/stop_circle:",
            on_click=partial(run_acts.cancel, sitting, PLACE, run_id, "The run"),
            help="It stops before its next step; it can be resumed from there",
        )  # fmt: skip
        st.caption("The work goes on in the background: you may review on, or close this page.")
    evidence_page.notices(run.notices)
    run_page.watched(sitting.services.runs.curves(run_id), run_id)


def _stopped(sitting: Sitting, run: RunView) -> None:
    words = {
        "failed": "The run failed.",
        "cancelled": "The run was cancelled.",
        "interrupted": "The run was interrupted: its worker stopped before it was done.",
    }[run.state]
    failed = run.state == "failed"
    show = st.error if failed else st.warning
    show(chrome.plain(f"{words} {chrome.sentence(run.message)}".strip() if failed else words))
    with st.container(horizontal=True, vertical_alignment="center"):
        if run.resumable:
            st.button(
                "Resume", icon=":material/resume:", type="primary",
                on_click=partial(run_acts.again, sitting, PLACE, run.id, "The run", anew=False),
                help="Goes on from where it stopped, with the same verdicts: the result is the "
                "same as if it had never stopped",
            )  # fmt: skip
        st.button(
            "Start it again", icon=":material/restart_alt:",
            on_click=partial(run_acts.again, sitting, PLACE, run.id, "The run", anew=True),
            help="Starts from the beginning, with the verdicts as they stand now",
        )  # fmt: skip
        if run.resumable and run.checkpoint:
            st.caption(chrome.plain(chrome.ended(f"Resumed, it {run.checkpoint}")))


def _result(sitting: Sitting, run: RunView) -> None:
    view = _judgement(sitting, run)
    split = None
    if view is not None:
        split = judged.top(view)
        if split is not None:
            judgement_page.headline(split)
    _decide(sitting, run)
    sections = _sections(sitting, run, with_judgement=split is not None)
    if not sections:
        st.caption("The work is done; a run of this kind has no figures before and after.")
        return
    chosen = judged.pick_section(sections, f"run-section-{run.id}")
    if chosen == LEARNT:
        run_page.details(run)
    elif chosen == TRIED:
        run_page.scores(run.scores)
    elif chosen == CURVES:
        run_page.watched(sitting.services.runs.curves(run.id), run.id)
    elif view is not None and split is not None:
        judged.section(sitting, view, split, chosen)
    else:
        run_page.comparison(run)


def _sections(sitting: Sitting, run: RunView, *, with_judgement: bool) -> list[str]:
    """What there is to show; runs of before have their stored figures only."""
    found = list(judged.SECTIONS) if with_judgement else [judged.FIGURES] if run.metrics else []
    if run_page.has_details(run):
        found.append(LEARNT)
    if run.scores:
        found.append(TRIED)
    if sitting.services.runs.curves(run.id):
        found.append(CURVES)
    return found


def _judgement(sitting: Sitting, run: RunView) -> JudgementView | None:
    try:
        with st.spinner("Comparing before and after ..."):
            return sitting.services.judging.of_run(run.id)
    except REFUSALS as error:
        chrome.problem(error)
        return None


def _made_by(sitting: Sitting, run: RunView) -> VersionRow | None:
    """The version that a run made; None where it made none."""
    if run.result_version is None:
        return None
    rows = sitting.services.versions.list(sitting.project.id)
    return next((row for row in rows if row.hash == run.result_version), None)


def _decide(sitting: Sitting, run: RunView) -> None:
    """The decision on the version that the run made."""
    made = _made_by(sitting, run)
    if made is None:
        return
    with shown_as_sentence():
        deciding.decide(sitting, sitting.services.versions.view(made.id), PLACE)
