"""Links from one screen to another, with the parameters of its address."""

import streamlit as st

TITLES = {
    "review": "Review", "queue": "Queue", "concepts": "Concepts", "runs": "Runs",
    "versions": "Versions", "groups": "Groups", "drift": "Drift", "report": "Report",
    "agreement": "Agreement", "home": "Home", "decisions": "Decisions", "settings": "Settings",
}  # fmt: skip
Link = tuple[str, tuple[tuple[str, str], ...]]


def place(screen: str) -> st.Page:
    """A screen as a target of links; the app holds the page itself."""
    return st.Page(
        _elsewhere, title=TITLES.get(screen, screen), url_path=screen, default=screen == "review"
    )


def go(label: str, link: Link, about: str = "") -> None:
    """A link that looks like one; a screen that nobody knows is no link."""
    screen, query = link
    if screen not in TITLES:
        return
    st.page_link(
        place(screen), label=label, icon=":material/arrow_forward:",
        query_params=dict(query) if query else None,
        help=about or f"Opens {TITLES[screen]}",
    )  # fmt: skip


def _elsewhere() -> None:
    """Never run: a link to a page names it by its address."""
