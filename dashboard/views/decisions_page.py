"""The decision log from plain data."""

from collections.abc import Callable, Sequence

import streamlit as st

from dashboard.viewmodels.decisions import DecisionEntry, EvidenceLink
from dashboard.views.chrome import plain
from dashboard.views.text import moment, plural

SUBJECTS = {
    "": "Anything", "threshold": "Threshold", "criterion": "Criterion", "version": "Version",
    "run": "Run", "report": "Report", "drift": "Drift", "other": "Other",
}  # fmt: skip
SOURCES = {
    "": "Everywhere", "written": "Written down here", "version": "Versions screen",
    "criterion": "Success criteria", "settings": "Rules of review",
}  # fmt: skip
ICONS = {
    "threshold": ":material/tune:", "criterion": ":material/flag:",
    "version": ":material/account_tree:", "run": ":material/model_training:",
    "report": ":material/summarize:", "drift": ":material/waves:", "other": ":material/gavel:",
}  # fmt: skip
Draw = Callable[[EvidenceLink], None]


def count(rows: Sequence[DecisionEntry]) -> None:
    """How many there are."""
    st.caption(f"{plural(len(rows), 'decision')}, newest first.")


def nothing(*, narrowed: bool) -> None:
    """An empty list."""
    st.caption("No decision fits." if narrowed else "Nothing was decided yet.")


def entry(each: DecisionEntry, evidence: Draw, more: Callable[[DecisionEntry], None]) -> None:
    """One decision: what, choice, why, evidence, who and when."""
    with st.container(border=True, gap="xsmall"):
        gone = " :gray-badge[superseded]" if each.superseded_by else ""
        st.markdown(f"{ICONS[each.subject]} **{plain(each.title)}**{gone}")
        st.markdown(_lines(each.choice))
        if each.reason:
            st.markdown(f"**Why:** {_lines(each.reason)}")
        if each.alternatives:
            st.markdown(f"**Instead of:** {_lines(each.alternatives)}")
        if each.evidence:
            with st.container(horizontal=True):
                for link in each.evidence:
                    evidence(link)
        by = plain(each.by) if each.by else "the program"
        where = "" if each.source == "written" else f" · {SOURCES[each.source]}"
        st.caption(f"{by}, {plain(moment(each.at))}{where}")
        more(each)


def link_name(link: EvidenceLink) -> str:
    """Evidence in a list to choose from."""
    return link.label


def _lines(text: str) -> str:
    """Text of several lines, every character escaped."""
    return plain(text).replace("\n", "  \n")
