"""The app over the fakes, for tests and for looking at it: streamlit run tests/ui/fake_app.py."""

import os

import streamlit as st

from dashboard.app import main
from dashboard.services.project_settings import parse
from tests import fakes


@st.cache_resource
def services() -> fakes.FakeServices:
    """One book per process, as the real services are."""
    projects = tuple(os.environ.get("FAKE_PROJECTS", "demo").split(","))
    made = fakes.services(fakes.Book(hostile=bool(os.environ.get("FAKE_HOSTILE"))), projects)
    hidden = os.environ.get("FAKE_BLIND", "").split()  # e.g. "prediction labels model peers"
    made.settings_of.now = parse({"blind": hidden})
    fakes.with_history(made)
    return made


main(services())
