"""Home: how the review goes, what people find, what needs a hand; for leads.

What is quick to read is drawn first; figures that pass over every word come after it.
"""

import streamlit as st

from dashboard.screens import home_criteria, home_schedules
from dashboard.screens.context import Sitting, shown_as_sentence
from dashboard.screens.places import go
from dashboard.screens.telling import tell
from dashboard.viewmodels.home import HistoryView, HomeView
from dashboard.views import chrome, home_page
from dashboard.views.text import moment

PLACE = "home"
BY_WEEK = {"By day": False, "By week": True}


def page(sitting: Sitting) -> None:
    """Alerts and headline figures, criteria, the work, what was found, exports."""
    rules = sitting.services.settings_of
    if rules.role(sitting.project.id, sitting.reviewer.id) != "lead":
        chrome.empty(
            "This screen is for leads",
            "It shows who did how much. A lead of the project can make you one under Settings, "
            "Members; how far the review is, the Queue shows to everybody.",
        )
        go("Queue", ("queue", ()))
        return
    now = sitting.services.home.now(sitting.project.id)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Home", anchor=False, width="stretch")
        st.caption(f"As of {moment(now.as_of)}", width="content")
    tell(PLACE)
    headline = st.container()
    home_page.alerts(now, go)
    left, right = st.columns(2, gap="large")
    with left:
        criteria = st.container()
    with right:
        if now.health is None:
            st.caption("No model version yet: there is no queue to look at.")
        else:
            home_page.health(now.health, go)
        home_page.runs(now.runs, go)
    work = st.container()
    _found(now)
    findings = st.container()
    home_page.load(now.load)
    home_schedules.section(sitting, now.schedules)
    _later(sitting, now, headline, work, findings)
    with criteria, shown_as_sentence():
        home_criteria.section(sitting)


def _found(now: HomeView) -> None:
    """Coverage by part and spurious cues by class."""
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Coverage", anchor=False, help="Where the review has been, and where not")
        home_page.coverage("class", now.coverage, go)
        home_page.coverage("split", now.by_split, go)
        home_page.coverage("group", now.by_group, go)
        if not now.coverage:
            st.caption("No case yet.")
    with right:
        home_page.spurious(now.spurious, go)


def _later(
    sitting: Sitting, now: HomeView, headline: st.delta_generator.DeltaGenerator,
    work: st.delta_generator.DeltaGenerator, findings: st.delta_generator.DeltaGenerator,
) -> None:  # fmt: skip
    """What takes a pass over every word."""
    with headline:
        with st.spinner("Reading what was said ..."):
            found = sitting.services.home.history(sitting.project.id)
        columns = st.columns(4, gap="large")  # the third begins where the right half does
        with columns[0]:
            if now.health is not None:
                home_page.covered_metric(now.health)
        with columns[1]:
            home_page.week_metric(found)
        with columns[2]:
            home_page.alpha_metric(found)
        home_page.anew(now.anew)
    with work:
        _work(found, now)
    with findings:
        home_page.agreement(found, go)


def _work(found: HistoryView, now: HomeView) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        # No help beside this heading: the control below would cover half of its button.
        st.subheader("Throughput", anchor=False)
        chosen = st.segmented_control(
            "Throughput by", list(BY_WEEK), default="By day", key="home-by",
            label_visibility="collapsed",
        )  # fmt: skip
        home_page.work(found, go, by_week=BY_WEEK.get(str(chosen), False))
    with right:
        st.subheader("Coverage over time", anchor=False, help="Cases done by the end of each day")
        home_page.covered(found, now.health.total if now.health else 0)
