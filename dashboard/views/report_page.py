"""The report's summary, from plain data."""

import streamlit as st

from dashboard.viewmodels import ReportView
from dashboard.views.tables import table
from dashboard.views.text import KINDS, STATES, moment, share, short

SHOWN = 15  # concepts on the screen; the downloads hold all


def summary(report: ReportView) -> None:
    """The figures that matter, in one line."""
    figures = (
        (
            "Cases reviewed",
            f"{report.cases_reviewed} of {report.cases_total}",
            "Cases with at least one verdict or word on the whole case, by anyone",
        ),
        (
            "Verdicts",
            str(report.verdicts),
            "Verdicts that stand; superseded and withdrawn ones are kept but not counted",
        ),
        (
            "Correct / spurious / unsure",
            f"{report.correct} / {report.spurious} / {report.unsure}",
            "What the verdicts say of the cues",
        ),
        (
            "Agree / disagree",
            f"{report.agree} / {report.disagree}",
            "Words on whole cases: agreement with the prediction",
        ),
        ("Reviewers", str(len(report.reviewers)), ", ".join(report.reviewers) or "nobody yet"),
    )
    for column, (label, value, help_) in zip(st.columns(len(figures)), figures, strict=True):
        column.metric(label, value, help=help_, border=True)


def spurious_ranking(report: ReportView) -> None:
    """Concepts by how often they were called spurious."""
    st.header("Concepts by verdict, most often spurious first", anchor=False)
    if not report.concepts:
        st.caption("No verdicts yet. Mark cues on the Review screen with Y, X or U.")
        return
    shown = report.concepts[:SHOWN]
    table(
        {
            "Concept": [tally.name for tally in shown],
            "Spurious": [tally.spurious for tally in shown],
            "Correct": [tally.correct for tally in shown],
            "Unsure": [tally.unsure for tally in shown],
            "Mean effect if removed (logit)": [
                f"{tally.mean_causal_effect:+.2f}" for tally in shown
            ],
        },
        alt="Concepts and the verdicts given on them",
    )
    if len(report.concepts) > SHOWN:
        st.caption(f"And {len(report.concepts) - SHOWN} more: the downloads hold them all.")


def renames(report: ReportView) -> None:
    """Names that people corrected."""
    st.header("Renamed concepts", anchor=False)
    if not report.renames:
        st.caption("No concept was renamed. Do so on the Concepts screen.")
        return
    table(
        {
            "From": [former for former, _ in report.renames],
            "To": [event.name for _, event in report.renames],
            "By": [event.by or event.source for _, event in report.renames],
            "When": [moment(event.at) for _, event in report.renames],
            "Why": [event.reason for _, event in report.renames],
        },
        alt="Names that people corrected",
    )


def runs(report: ReportView) -> None:
    """Runs with their headline figure, and the versions they made."""
    st.header("Runs", anchor=False)
    if not report.runs:
        st.caption("No runs yet. Start one on the Runs screen.")
        return
    found = [next((m for m in run.metrics if m.key == "worst_group"), None) for run in report.runs]
    table(
        {
            "Run": [f"{KINDS.get(run.kind, run.kind)}, seed {run.seed}" for run in report.runs],
            "State": [STATES[run.state] for run in report.runs],
            "Verdicts": [run.verdicts for run in report.runs],
            "Worst group, before": [share(m.before if m else None) for m in found],
            "after": [share(m.after if m else None) for m in found],
            "Result": [short(run.result_version) for run in report.runs],
        },
        alt="Runs of the project",
    )


def versions(report: ReportView) -> None:
    """The lineage of model versions."""
    st.header("Model versions", anchor=False)
    if not report.versions:
        st.caption("No model version yet.")
        return
    table(
        {
            "Version": [short(version.hash) for version in report.versions],
            "Made by": [KINDS.get(version.kind, version.kind) for version in report.versions],
            "From": [short(version.parent) for version in report.versions],
            "State": [version.state for version in report.versions],
            "Seed": [version.seed for version in report.versions],
            "When": [moment(version.created_at) for version in report.versions],
        },
        alt="Model versions of the project",
    )
