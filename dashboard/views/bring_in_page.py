"""Words from a file: what is asked for, and what came of it."""

import streamlit as st

from dashboard.viewmodels.data import ImportView
from dashboard.views import chrome
from dashboard.views.tables import table

SHOWN = 50  # rows that do not fit, by name


def intro() -> None:
    """What can be brought in."""
    st.markdown(
        "Verdicts, assessments, names, drawings and notes from a data file of this program: JSON, "
        "COCO, or the zip file of CSV or Parquet tables. Images are found by their hash, concepts "
        "by their number. What was said here is never changed, and the same word comes in once."
    )


def outcome(view: ImportView) -> None:
    """What was taken, what was known, and which rows do not fit."""
    said = ", ".join(f"{count} {what}" for what, count in view.added) or "nothing new"
    verb = "Taken in" if view.wrote else "Would be taken in"
    text = f"{verb}: {said}. {view.unchanged} known already, {view.refused} do not fit."
    (st.warning if view.refused else st.success)(chrome.plain(text))
    if not view.problems:
        return
    places, reasons = zip(*map(_parted, view.problems[:SHOWN]), strict=True)
    table(
        {"Row": places, "Why it does not fit": reasons},
        alt="Rows of the file that do not fit, with the reason of each.",
    )
    if view.refused > SHOWN:
        st.caption(f"The first {SHOWN} of {view.refused}; `insight data import` names more.")


def _parted(problem: str) -> tuple[str, str]:
    place, _, why = problem.partition(": ")
    return place, why
