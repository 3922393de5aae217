"""What the screens of studies and of training share: the address, pictures, what was said last."""

import streamlit as st

from dashboard.screens.context import REFUSALS, Sitting
from dashboard.viewmodels.studies import PinnedCueView, PinView
from dashboard.views import case_picture, chrome

COLLECTION, PIN, TRAIN = "collection", "pin", "train"
SAID = "study-said"


def go(**changes: str | None) -> None:
    """Change the address; None takes a part out."""
    for key, value in changes.items():
        if value is None:
            st.query_params.pop(key, None)
        else:
            st.query_params[key] = value


def say() -> None:
    """What the last press came to."""
    if said := st.session_state.pop(SAID, None):
        good, text = said
        (st.success if good else st.error)(chrome.plain(text))


def picture_of(
    sitting: Sitting,
    pin: PinView,
    cue: PinnedCueView | None = None,
    side: int = case_picture.SIDE,
    most: int | None = None,
) -> bytes:
    """The case with its (first `most`) cues in outline, or with one of them tinted."""
    try:
        content, _ = sitting.services.review.image_bytes(pin.image_id, side)
    except REFUSALS:
        return case_picture.missing(side)  # one lost file must not hide the rest
    if cue is not None:
        return case_picture.one_cue(content, cue.grid, cue.map_u8, side)
    maps = [(each.letter, (each.grid, each.map_u8)) for each in pin.cues[:most]]
    return case_picture.several(content, maps, side)
