"""Review: the desk, and the questions an expert comes to it with, as modes."""

from typing import cast, get_args

import streamlit as st

from dashboard.components.events import Mode
from dashboard.screens import desk, diagnose, discover, validate
from dashboard.screens.context import Sitting
from dashboard.views import chrome

MODES: dict[Mode, str] = {
    "review": "Review", "diagnose": "Diagnose", "validate": "Validate", "discover": "Discover",
}  # fmt: skip
PICKER = "desk-mode"


def page(sitting: Sitting) -> None:
    """The mode that the address names; without one, case after case."""
    if sitting.project.cases == 0:
        no_cases(sitting)
        return
    asked = st.query_params.get(desk.MODE, "review")
    match cast(Mode, asked) if asked in get_args(Mode) else "review":
        case "review":
            desk.show(sitting, st.query_params.get(desk.CASE))
        case "diagnose":
            diagnose.page(sitting)
        case "validate":
            _switch("validate")
            validate.page(sitting)
        case "discover":
            _switch("discover")
            discover.page(sitting)


def _switch(mode: Mode) -> None:
    """The modes as one row, where the desk with its own is not on the page."""
    st.session_state[PICKER] = mode
    st.segmented_control(
        "What do you want to know", list(MODES), format_func=lambda each: MODES[each],
        key=PICKER, on_change=_change, label_visibility="collapsed", required=True,
    )  # fmt: skip


def _change() -> None:
    st.query_params[desk.MODE] = st.session_state[PICKER]


def no_cases(sitting: Sitting) -> None:
    """Nothing to review yet: say what is missing."""
    name = sitting.project.name
    if sitting.project.active_version is None:
        chrome.empty(
            "No model version yet",
            "The images are in, but no concepts were discovered in them. Run this once; it "
            "learns the concepts, names them and fits the model:",
            f'insight discover --project "{name}"',
        )
    else:
        chrome.empty(
            "No cases yet",
            "This project has no images. Bring a folder of them in:",
            f'insight ingest FOLDER --project "{name}"',
        )
