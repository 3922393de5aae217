"""A tab of the settings: words from a data file, for leads."""

import tempfile
from pathlib import Path

import streamlit as st

from dashboard.screens.context import Sitting, shown_as_sentence
from dashboard.viewmodels.data import ImportView
from dashboard.views import bring_in_page

TYPES = ("json", "zip")
DONE = "words-done"


def tab(sitting: Sitting) -> None:
    """Choose a file, look at what it holds, take it in."""
    bring_in_page.intro()
    chosen = st.file_uploader("Data file", TYPES, key="words-file")
    if chosen is None:
        st.session_state.pop(DONE, None)
        return
    look, take, _ = st.columns([1, 1, 3])
    looked = look.button("Only look", key="words-look", width="stretch")
    taken = take.button("Take it in", key="words-take", type="primary", width="stretch")
    if looked or taken:
        st.session_state.pop(DONE, None)
        with shown_as_sentence("Nothing was taken in."), st.spinner("Reading the file ..."):
            st.session_state[DONE] = _read(sitting, chosen.name, chosen.getbuffer(), write=taken)
    if (done := st.session_state.get(DONE)) is not None:
        bring_in_page.outcome(done)


def _read(sitting: Sitting, name: str, content: memoryview, *, write: bool) -> ImportView:
    """The reader wants a file; its name is what people know it by, never a path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(name.replace("\\", "/")).name or "file")
        path.write_bytes(content)
        return sitting.services.data.read_for(
            sitting.project.id, path, sitting.reviewer.id, write=write
        )
