"""A link to the Trace screen, for the screens that name something that can be traced."""

import streamlit as st

HELP = "From here to all that it rests on, and what became of it"


def link(label: str = "Trace", **address: str) -> None:
    """A link to what the address says: `find=` a hash or id, or `case=` for its picture."""
    st.page_link(_page(), label=label, icon=":material/route:", query_params=address, help=HELP)


def _page() -> st.Page:
    """The Trace screen as a target of links; the app holds the page itself."""
    return st.Page(_elsewhere, title="Trace", url_path="trace")


def _elsewhere() -> None:
    """Never run: a link to a page names it by its address."""
