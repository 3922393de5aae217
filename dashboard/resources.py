"""What all sessions of the app share: one frozen set of services per process."""

import streamlit as st

from dashboard.bootstrap import Services, build
from dashboard.settings import Settings


@st.cache_resource(show_spinner="Opening the workspace ...")
def services() -> Services:
    """The services of the workspace that the environment names; made once, never mutated."""
    return build(Settings.load())
