"""Which cases a list may tell about in a blind project."""

import streamlit as st

from dashboard.screens.context import Sitting


def said(sitting: Sitting) -> frozenset[str] | None:
    """Cases on which this reviewer's word is in; None where the project hides nothing of a case.

    Lists of errors and captions of pictures name label and decision, so in a blind project they
    leave out the cases on which the reviewer has still to give their own word.
    """
    settings = sitting.services.settings_of.of(sitting.project.id)
    if not {"labels", "prediction"} & set(settings.blind):
        return None
    return sitting.services.diagnosing.said(sitting.project.id, sitting.reviewer.id)


def withheld(hidden: int) -> None:
    """Why some cases are not shown here."""
    if hidden:
        cases, each = ("1 case is", "it") if hidden == 1 else (f"{hidden} cases are", "each")
        said = f"{cases} not shown until your own word on {each} is in"
        st.caption(f"This project is blind: {said}.")
