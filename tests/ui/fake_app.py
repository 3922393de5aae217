"""The app over the fakes, for tests and for looking at it: streamlit run tests/ui/fake_app.py."""

import os

import streamlit as st

from dashboard.app import main
from tests import fakes


@st.cache_resource
def services() -> fakes.FakeServices:
    """One book per process, as the real services are."""
    projects = tuple(os.environ.get("FAKE_PROJECTS", "demo").split(","))
    return fakes.services(fakes.Book(hostile=bool(os.environ.get("FAKE_HOSTILE"))), projects)


main(services())
