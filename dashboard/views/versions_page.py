"""Model versions: one in detail, what was decided, and where each came from."""

from collections.abc import Sequence

import streamlit as st

from dashboard.viewmodels.versions import (
    LineageView,
    VersionDetail,
    VersionEventRow,
    VersionRow,
)
from dashboard.views import lineage
from dashboard.views.chrome import plain
from dashboard.views.judgement_figures import interval
from dashboard.views.tables import table
from dashboard.views.text import KINDS, moment, plural, share, short

ICONS = {
    "active": ":material/radio_button_checked:",
    "candidate": ":material/radio_button_unchecked:",
    "discarded": ":material/cancel:",
}
DECIDED = {"activate": "made active", "rollback": "went back to", "discard": "discarded"}


def label(row: VersionRow) -> str:
    """One line that tells versions apart."""
    return f"{short(row.hash)} · {kind(row)}"


def kind(row: VersionRow) -> str:
    """What made it."""
    return KINDS.get(row.kind, row.kind.capitalize())


def option(row: VersionRow) -> str:
    """One version in a list to choose from."""
    return f"{label(row)}, {moment(row.created_at)}, {row.state}"


def heading(view: VersionDetail) -> None:
    """What it is and where it came from."""
    row = view.row
    st.header(f"{ICONS[row.state]} Version {short(row.hash)}", anchor=False)
    asked = f", asked for by {plain(row.by)}" if row.by else ""
    learnt = (
        f", from {plural(row.verdicts, 'verdict')} (snapshot {short(row.snapshot_hash)})"
        if row.snapshot_hash
        else ""
    )
    st.caption(
        f"{row.state.capitalize()}. {kind(row)}, seed {row.seed}, {moment(row.created_at)}{asked}"
        f"{learnt}."
    )


def facts(view: VersionDetail) -> None:
    """Figures and fingerprints."""
    row = view.row
    accuracy, cases, came = st.columns([1, 1, 2])
    accuracy.metric(
        "Accuracy", share(row.accuracy.value),
        help="Share of the held-out cases with a label that are decided as labelled, as the store "
        "keeps the decisions of this version",
    )  # fmt: skip
    accuracy.caption(f"95 % interval {interval(row.accuracy)}")
    cases.metric("Held-out cases", f"{row.cases:,}", help="Cases behind the accuracy")
    cases.caption(plain(row.split))
    came.markdown("**Came from**", help="The versions before it, nearest first")
    chain = " → ".join([short(row.hash), *(short(each.hash) for each in view.parents)])
    came.markdown(f"{chain}" if view.parents else "It is the first version.")
    if view.children:
        came.caption(f"Made from it: {', '.join(short(each.hash) for each in view.children)}")
    with st.expander("Fingerprints"):
        table(
            {
                "What": ["Version", "Parent", "Snapshot of verdicts", "Dictionary", "Encoder",
                         "Code version"],
                "Value": [row.hash, row.parent, row.snapshot_hash, view.dictionary, view.encoder,
                          view.code_version],
            },
            alt="Fingerprints of the version",
        )  # fmt: skip
        st.caption("The same data, verdicts, settings and seed give the same fingerprints.")


def events(rows: Sequence[VersionEventRow]) -> None:
    """What was decided, newest first."""
    if not rows:
        st.caption("Nothing was decided on versions yet.")
        return
    table(
        {
            "When": [moment(row.at) for row in rows],
            "Who": [row.by or "the app" for row in rows],
            "Did": [DECIDED.get(row.kind, row.kind) for row in rows],
            "Version": [short(row.version_hash) for row in rows],
            "Active before": [short(row.former_hash) for row in rows],
            "Reason": [row.reason for row in rows],
        },
        alt="Decisions on versions, newest first",
    )


def graph(view: LineageView) -> None:
    """The lineage as a drawing, and the same in words."""
    if not view.nodes:
        st.caption("There is no version yet.")
        return
    drawing, words = lineage.graph(view)
    left, right = st.columns([1.9, 1] if view.rows > lineage.LEAST - 1 else [1.2, 1], gap="medium")
    left.plotly_chart(drawing, alt=words, config={"displayModeBar": False}, key="lineage")
    right.markdown("**In words**")
    right.markdown("\n".join(f"- {plain(line)}" for line in view.text))
    right.caption("Boxes: what there is. Arrows: what was made from what. Point at a box for more.")
