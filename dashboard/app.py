"""The application: who sits here, on which project, and which screen.

Run by `insight up` (streamlit run dashboard/app.py). Tests call `main` with other services.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from dashboard.components.remember import remember
from dashboard.screens import (
    agreement,
    audit,
    concepts,
    decisions,
    drift,
    groups,
    home,
    queue,
    report,
    review,
    runs,
    settings,
    sign_in,
    studies,
    trace,
    versions,
)
from dashboard.screens.context import Sitting, shown_as_sentence
from dashboard.state import DeskState, Reviewer
from dashboard.viewmodels import ProjectView
from dashboard.views import chrome

if TYPE_CHECKING:
    from dashboard.bootstrap import Services

SCREENS = (
    ("Review", "review", ":material/search:", review.page),
    ("Home", "home", ":material/home:", home.page),
    ("Queue", "queue", ":material/format_list_numbered:", queue.page),
    ("Concepts", "concepts", ":material/category:", concepts.page),
    ("Runs", "runs", ":material/model_training:", runs.page),
    ("Versions", "versions", ":material/account_tree:", versions.page),
    ("Groups", "groups", ":material/groups:", groups.page),
    ("Drift", "drift", ":material/waves:", drift.page),
    ("Trace", "trace", ":material/route:", trace.page),
    ("Report", "report", ":material/summarize:", report.page),
    ("Agreement", "agreement", ":material/handshake:", agreement.page),
    ("Case studies", "studies", ":material/school:", studies.page),
    ("Audit", "audit", ":material/shield:", audit.page),
    ("Decisions", "decisions", ":material/gavel:", decisions.page),
    ("Settings", "settings", ":material/tune:", settings.page),
)
# Screens behind the menus: what is done less often than reviewing.
MODEL, TEAM = "Model", "Team"
MENUS = {
    "versions": MODEL, "groups": MODEL, "drift": MODEL, "trace": MODEL,
    "agreement": TEAM, "decisions": TEAM, "studies": TEAM, "audit": TEAM, "settings": TEAM,
}  # fmt: skip


def main(services: "Services") -> None:
    """Draw the app for this session."""
    st.set_page_config(page_title="Insight Review", page_icon=chrome.icon(), layout="wide")
    chrome.style()
    state = DeskState(st.session_state)
    reviewer = sign_in.seated(services, state)
    if reviewer is None:
        asking = st.Page(partial(sign_in.page, services, state), title="Sign in", url_path="in")
        _navigate({"": [asking]})
        return
    projects = services.projects.list()
    if not projects:
        welcome = st.Page(partial(_no_project, reviewer), title="Welcome", url_path="welcome")
        _navigate({"": [welcome]})
        return
    project = _project(state, projects)
    sitting = Sitting(services, state, reviewer, project)
    pages: dict[str, list[st.Page]] = {"": [], MODEL: [], TEAM: []}
    for title, path, icon, screen in SCREENS:
        page = st.Page(
            partial(_screen, screen, sitting, projects), title=title, url_path=path, icon=icon,
            default=path == "review",
        )  # fmt: skip
        pages[MENUS.get(path, "")].append(page)
    _navigate({group: found for group, found in pages.items() if found})


def _navigate(pages: dict[str, list[st.Page]]) -> None:
    st.navigation(pages, position="top").run()


def _screen(
    screen: Callable[[Sitting], None], sitting: Sitting, projects: tuple[ProjectView, ...]
) -> None:
    with st.container(
        key="strip", horizontal=True, vertical_alignment="center", gap="small", width="content"
    ):
        several = len(projects) > 1
        chrome.strip(sitting.project.notice, "" if several else sitting.project.name)
        if several:
            _pick_project(sitting, projects)
        _who(sitting)
    with shown_as_sentence():
        screen(sitting)
    remember(sitting.reviewer.name)


def _pick_project(sitting: Sitting, projects: tuple[ProjectView, ...]) -> None:
    """A list behind a button: a select box would keep the focus and swallow the desk's keys."""
    name = chrome.plain(sitting.project.name)
    # A key per project closes the list after the choice.
    with st.popover(f":gray[Project] {name}", type="tertiary", key=f"at-{sitting.project.id}"):
        for project in projects:
            st.button(
                f"{chrome.plain(project.name)} :gray[{project.cases} cases]",
                key=f"project-{project.id}",
                width="stretch",
                disabled=project.id == sitting.project.id,
                on_click=partial(_change_project, sitting.state, project.id),
            )


def _change_project(state: DeskState, project_id: str) -> None:
    state.project_id = project_id
    st.query_params.clear()


def _who(sitting: Sitting) -> None:
    """Who sits here, and the way to change that."""
    with st.popover(chrome.plain(sitting.reviewer.name), icon=":material/person:", type="tertiary"):
        st.markdown("Your name is kept with each verdict you give.")
        st.button("Someone else reviews now", on_click=sitting.state.sign_out)


def _no_project(reviewer: Reviewer) -> None:
    remember(reviewer.name)
    chrome.empty(
        "No project yet",
        "Build the demo (a few minutes), or bring a folder of your own images:",
        "insight demo\ninsight ingest FOLDER --project NAME --labels FILE.csv",
    )


def _project(state: DeskState, projects: tuple[ProjectView, ...]) -> ProjectView:
    by_id = {project.id: project for project in projects}
    chosen = by_id.get(state.project_id or "", projects[0])
    state.project_id = chosen.id
    return chosen


if __name__ == "__main__":
    from dashboard.resources import services

    main(services())
