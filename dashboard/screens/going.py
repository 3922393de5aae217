"""What the modes share: going to a case, pictures, and saying what a press came to."""

from collections.abc import Callable

import streamlit as st

from dashboard.screens.context import REFUSALS, Sitting
from dashboard.screens.telling import keep
from dashboard.viewmodels.modes import ExamplePicture
from dashboard.views import chrome, pictures
from db.errors import StaleWrite

CASE, MODE = "case", "mode"


def to_case(case_id: str, mode: str = "review") -> None:
    """Open a case at the desk (call it from a button's on_click)."""
    st.query_params[MODE] = mode
    st.query_params[CASE] = case_id


def act(place: str, press: Callable[[], object], *, done: str, stale: str) -> None:
    """Do what was asked: a passing word when it is stored, one that stays (`tell`) when not.

    Dozens of presses follow each other here: a box for each would push the page about.
    """
    try:
        press()
    except StaleWrite:
        keep(place, stale, good=False)
    except REFUSALS as error:
        keep(place, chrome.ended(f"Not stored: {error}"), good=False)
    else:
        st.toast(chrome.plain(done), icon=":material/check:")


def drawn(sitting: Sitting, shown: ExamplePicture) -> bytes:
    """The case's picture with the concept's map over it, where there is one."""
    try:
        content = _small(sitting, shown.image_id)
    except REFUSALS:
        return pictures.missing()  # one lost file must not hide the others
    if shown.grid == (1, 1):
        return pictures.thumbnail(content)
    return pictures.overlay(content, shown.grid, shown.map_u8)


def bare(sitting: Sitting, image_id: str) -> bytes:
    """An image fitted into a square."""
    try:
        return pictures.thumbnail(_small(sitting, image_id))
    except REFUSALS:
        return pictures.missing()


# Every press reruns the page, and a full-size picture takes long to read. What an id stands for
# never changes: a file that was altered is refused. So the services need be no part of the key.
@st.cache_data(max_entries=512, show_spinner=False)
def _small(_sitting: Sitting, image_id: str) -> bytes:
    content, _ = _sitting.services.review.image_bytes(image_id, pictures.SIDE)
    return content
