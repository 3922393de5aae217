"""What a press came to, said once on the next run: stored, refused, or overtaken by somebody."""

from collections.abc import Callable

import streamlit as st

from dashboard.screens.context import REFUSALS
from dashboard.views import chrome
from db.errors import StaleWrite


def attempt(place: str, act: Callable[[], object], *, done: str, stale: str) -> bool:
    """Do what was asked and keep a sentence about it for `tell(place)`; True where it is stored.

    Args:
        done: said when it is stored.
        stale: said when somebody changed the same thing meanwhile.
    """
    try:
        act()
    except StaleWrite:
        keep(place, stale, good=False)
        return False
    except REFUSALS as error:
        keep(place, chrome.ended(f"Not stored: {error}"), good=False)
        return False
    keep(place, done, good=True)
    return True


def keep(place: str, text: str, *, good: bool) -> None:
    """Keep a sentence for `tell(place)`."""
    st.session_state[f"told-{place}"] = (text, good)


def tell(place: str) -> None:
    """Show the sentence kept for this place, once."""
    text, good = st.session_state.pop(f"told-{place}", (None, False))
    if text is not None:
        (st.success if good else st.warning)(chrome.plain(text))
