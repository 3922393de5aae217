"""Report: what was reviewed and what came of it; export."""

from functools import partial

import streamlit as st

from dashboard.screens.context import Sitting
from dashboard.views import report_page
from dashboard.views.text import moment, short

FORMATS = (
    ("html", "text/html", "Report as HTML", "One file to read, print or send"),
    ("csv", "text/csv", "Verdicts as CSV", "One row per verdict, for a spreadsheet"),
    ("json", "application/json", "All as JSON", "Everything on this screen, for a program"),
)


def page(sitting: Sitting) -> None:
    """Summary, rankings and downloads."""
    report = sitting.services.reports.view(sitting.project.id)
    title, *buttons = st.columns([3, 1, 1, 1], vertical_alignment="bottom")
    with title:
        st.title("Report", anchor=False)
        version = short(report.version.hash) if report.version else "none"
        st.caption(f"Active model version {version} · drawn up {moment(report.generated_at)}")
    for at, (fmt, mime, label, help_) in zip(buttons, FORMATS, strict=True):
        at.download_button(
            label,
            data=partial(sitting.services.reports.export, sitting.project.id, fmt),
            file_name=f"insight-report.{fmt}",
            mime=mime,
            help=help_,
            on_click="ignore",
            width="stretch",
            icon=":material/download:",
        )
    report_page.summary(report)
    left, right = st.columns(2, gap="medium")
    with left:
        report_page.spurious_ranking(report)
        report_page.versions(report)
    with right:
        report_page.renames(report)
        report_page.runs(report)
