"""Model versions: one in detail, what was decided, and where each came from."""

from collections.abc import Sequence

import streamlit as st

from dashboard.viewmodels.versions import (
    HeldOut,
    LineageView,
    VersionDetail,
    VersionEventRow,
    VersionRow,
)
from dashboard.views import lineage
from dashboard.views.chrome import plain, sentence
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
    return f"{label(row)}, {moment(row.created_at)}, {stands(row)}"


def stands(row: VersionRow) -> str:
    """What became of it: active, candidate, discarded, or in use until another took its place."""
    if row.state == "candidate" and row.used_until is not None:
        return f"was in use until {moment(row.used_until)}"
    return row.state


def waits(row: VersionRow) -> str:
    """What there is to decide about a version that is neither active nor discarded."""
    if row.used_until is not None:
        return f"Version {short(row.hash)} {stands(row)}. It can be used again."
    return f"Version {short(row.hash)} waits for your decision."


def made_active(
    rows: Sequence[VersionEventRow], former: str | None = None, *, lead: str = ""
) -> VersionEventRow | None:
    """Who last made a version the active one, when and why; nothing where nobody did.

    Args:
        rows: what was decided on the version, newest first.
        former: hash of the version whose place it took; None for any.
        lead: words before it.
    """
    acts = (each for each in rows if each.kind in ("activate", "rollback"))
    act = next((each for each in acts if former in (None, each.former_hash)), None)
    if act is None:
        return None
    did = "Made active" if act.kind == "activate" else "Made active again, by going back to it,"
    why = (
        f", with the reason: \u201c{plain(act.reason)}\u201d"
        if act.reason
        else ", without a reason"
    )
    st.caption(f"{lead}{did} by {plain(act.by or 'the app')} on {moment(act.at)}{why}.")
    return act


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
        f"{sentence(stands(row))} {kind(row)}, seed {row.seed}, {moment(row.created_at)}{asked}"
        f"{learnt}."
    )


def facts(view: VersionDetail, held_out: HeldOut) -> None:
    """Figures and fingerprints."""
    row = view.row
    accuracy, cases, came = st.columns([1, 1, 2])
    accuracy.metric(
        "Accuracy", share(held_out.accuracy.value),
        help="Share of this project's held-out cases with a label that are decided as labelled, "
        "measured as runs and Groups do: cases whose verdicts taught this version are left out",
    )  # fmt: skip
    if held_out.cases:
        accuracy.caption(f"95 % interval {interval(held_out.accuracy)}")
    cases.metric("Held-out cases", f"{held_out.cases:,}", help="Cases behind the accuracy")
    cases.caption(plain(" ".join(filter(None, [held_out.split, sentence(held_out.note)]))))
    came.markdown("**Came from**", help="The versions before it, the first one first")
    line = (*reversed(view.parents), row)
    chain = " → ".join(short(each.hash) for each in line)
    came.markdown(f"{chain}" if view.parents else "It is the first version.")
    if view.children:
        came.caption(f"Made from it: {', '.join(short(each.hash) for each in view.children)}")
    if row.cases and row.cases != held_out.cases:
        st.caption(plain(built(row, held_out)))
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


def built(row: VersionRow, held_out: HeldOut) -> str:
    """What was measured when the version was made, where that was on other images than now."""
    beyond = row.cases > held_out.cases > 0
    where = "images that are not all in this project" if beyond else "images"
    return (
        f"When it was built: {share(row.accuracy.value)} right of {row.cases:,} held-out {where} "
        f"({row.split}). The figure above is that of this project's images."
    )


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
