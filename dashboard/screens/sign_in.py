"""Asks once who sits here. Embedded mode: a name, no account, on the loopback interface."""

from typing import TYPE_CHECKING

import streamlit as st

from dashboard.components.remember import remember, remembered
from dashboard.screens.context import REFUSALS, shown_as_sentence
from dashboard.state import DeskState, Reviewer

if TYPE_CHECKING:
    from dashboard.bootstrap import Services


def seated(services: "Services", state: DeskState) -> Reviewer | None:
    """The reviewer of this session; a name remembered in the browser is taken without asking."""
    if state.reviewer is None and not state.signed_out and (name := remembered()):
        try:
            state.sign_in(Reviewer(services.review.sign_in(name), name))
        except REFUSALS:
            return None  # a damaged cookie: ask again
    return state.reviewer


def page(services: "Services", state: DeskState) -> None:
    """The form that asks for the name."""
    st.space("large")
    _, middle, _ = st.columns([1, 1.4, 1])
    with middle, st.container(border=True):
        st.title("Insight Review", anchor=False)
        st.markdown(
            "See which visual cues a model's decision rests on, say which are right and which "
            "are spurious, and measure the model that learns from it."
        )
        st.header("Who is reviewing?", anchor=False)
        st.markdown(
            "Your name is kept with every verdict you give, so that others can see who said "
            "what. There is no account and no password: this desk runs on your own machine."
        )
        with st.form("sign-in", border=False):
            name = st.text_input("Your name", placeholder="Dr A. Example")
            if st.form_submit_button("Start reviewing", type="primary"):
                with shown_as_sentence("Please give another name."):
                    reviewer_id = services.review.sign_in(name)
                    state.sign_in(Reviewer(reviewer_id, name.strip()))
                    st.rerun()
    if state.signed_out:
        remember("", key="forget")
