"""Errors and near misses, and why one of them came about, from plain data."""

from collections.abc import Callable, Sequence

import streamlit as st

from dashboard.viewmodels.modes import (
    AlikeView,
    DiagnosisView,
    PathView,
    TroubleRow,
    TroubleView,
)
from dashboard.views import bars
from dashboard.views.bars import Bar, percent, signed
from dashboard.views.chrome import plain
from dashboard.views.text import plural

KINDS = {"error": "✕ error", "near miss": "≈ near miss"}
COLUMNS = {
    "Kind": st.column_config.TextColumn(
        help="Error: decided otherwise than labelled. Near miss: right, but the next class was "
        "close behind",
        width=88,
    ),
    "Labelled": st.column_config.TextColumn(help="The label that came with the image", width=120),
    "Decided": st.column_config.TextColumn(help="What the model decided", width=120),
    "Sure": st.column_config.NumberColumn(
        help="Calibrated probability of the decision", format="%.0f %%", width=50
    ),
    "Lead": st.column_config.NumberColumn(
        help="Probability by which the decision led the next class, in points", format="%.0f",
        width=50,
    ),
    "Image": st.column_config.TextColumn(help="File of the image", width=150),
    "Split": st.column_config.TextColumn(help="Part of the data", width=60),
}  # fmt: skip


def table_rows(rows: Sequence[TroubleRow]) -> dict[str, list[object]]:
    """Columns of the list."""
    return {
        "Kind": [KINDS.get(row.outcome, row.outcome) for row in rows],
        "Labelled": [row.label for row in rows],
        "Decided": [row.prediction for row in rows],
        "Sure": [100 * row.confidence for row in rows],
        "Lead": [100 * row.lead for row in rows],
        "Image": [row.image_name for row in rows],
        "Split": [row.split or "" for row in rows],
    }


def summary(view: TroubleView) -> str:
    """How many there are, in a sentence (markdown, escaped)."""
    share = f" ({percent(view.errors / view.labelled)})" if view.labelled else ""
    margin = percent(view.margin)
    said = (
        f"**{plural(view.errors, 'error')}**{share} and **"
        f"{plural(view.near_misses, 'near miss', 'near misses')}** (right, but less than {margin} "
        f"ahead) among {plural(view.labelled, 'case')} with a label."
    )
    if view.withheld:
        said += (
            f" {plural(view.withheld, 'case')} left out: this project is blind, and your word on "
            "them is not in yet."
        )
    return said


def confusions(view: TroubleView) -> str:
    """The commonest confusions in one line (markdown, escaped)."""
    if not view.confusions:
        return ""
    parts = [
        f"{plain(label)} taken for {plain(decided)} ({count})"
        for label, decided, count in view.confusions[:4]
    ]
    return "Most common: " + "; ".join(parts) + "."


def headline(view: DiagnosisView) -> str:
    """What happened, in one sentence (markdown, escaped)."""
    decided, rival = plain(view.prediction), plain(view.rival)
    lead = f"{view.lead:.2f} logit units ahead"
    sure = percent(view.confidence)
    strongest = next((pull for pull in view.pulls if pull.pull > 0), None)
    why = " More under the desk."
    if strongest is not None:
        most = f"**{plain(strongest.name)}** ({signed(strongest.pull)})"
        why = f" Largest part: {most}. More under the desk."
    match view.outcome:
        case "error":
            wrong = f"**Wrong:** labelled **{rival}**, decided **{decided}**"
            return f"{wrong} ({sure} sure), {lead}.{why}"
        case "near miss":
            return f"**Nearly wrong:** **{decided}** is right ({sure} sure), only {lead}.{why}"
        case "right":
            return f"**Right:** **{decided}** ({sure} sure), {lead}.{why}"
        case _:
            return f"**No label:** decided **{decided}** ({sure} sure), {lead}.{why}"


def pulls(view: DiagnosisView) -> None:
    """What pulled towards the decision and what towards the rival; the parts add up."""
    rows = [Bar(pull.name, pull.pull, (f"{pull.activation:.2f}",)) for pull in view.pulls]
    rows.append(Bar("all other concepts", view.other, ("",)))
    rows.append(Bar("starting point (no concept)", view.bias, ("",)))
    rows.append(Bar("lead of the decision", view.lead, ("",), total=True))
    st.subheader(
        "What pulled",
        anchor=False,
        help="The lead of the decision over its rival, split into parts that add up exactly: each "
        "concept's activation times the difference of the two classes' weights",
    )
    bars.diverging(
        rows,
        caption=f"← for {view.rival}, hatched · for {view.prediction} →",
        columns=("Concept", "Activation", "Pull", "Logit units"),
        unit="",
    )


def paths(view: DiagnosisView) -> None:
    """What would have turned the decision: what misled it, and what it missed."""
    st.subheader(
        "What would have turned it",
        anchor=False,
        help="The fewest concepts to take away, and the fewest to make as strong as they ever were "
        "in training, after which the model decides for the rival",
    )
    for found in view.paths:
        removed = found.way == "removed"
        rows = [
            Bar(
                f"{'without' if removed else 'with'} {step.name}",
                step.gain,
                (f"{step.before:.1f} → {step.after:.1f}",),
            )
            for step in found.steps
        ]
        title = "What misled it" if removed else "What it missed"
        bars.diverging(
            rows,
            caption=f"{title}: then {view.rival} leads by {found.lead:.2f} logit units.",
            columns=("Change", "Activation", "Gain", "Logit units"),
            unit="",
        )
        st.caption(plain(_tested(found, view.rival)))
    if not view.paths:
        st.caption(
            plain(
                f"No handful of concepts taken away or added makes the model decide for "
                f"{view.rival}: the evidence is spread over many."
            )
        )


def _tested(found: PathView, rival: str) -> str:
    """Whether a way was confirmed on the image."""
    if found.way == "added":
        return "A change of numbers, not of the picture: look whether the sign is there, unseen."
    if found.reread is None:
        return "Not tested on the image: its tokens are not kept on this machine."
    if found.reread == rival:
        return "Confirmed: taken out of what the encoder saw, they leave the same answer."
    return (
        "Not confirmed: with them taken out of what the encoder saw, the model says "
        f"{found.reread}. Other concepts take over."
    )


def alike(
    view: DiagnosisView,
    pictures: Sequence[bytes],
    own: bytes,
    open_button: Callable[[AlikeView], None],
) -> None:
    """Similar cases that went right, with the concepts that differ."""
    error = view.outcome == "error"
    st.subheader(
        "Similar cases that went right" if error else "Most similar cases of the next class",
        anchor=False,
        help="Cases labelled and decided as the rival whose concepts are most like this one's "
        "(cosine of the pooled activations: 1 is the same mixture)",
    )
    if not view.alike:
        none = f"No other case labelled {view.rival} was decided so."
        st.caption(plain(view.note or none))
        return
    st.caption(
        plain(
            "Listed under each: what is more or less there than here (activation here → there), "
            f"and what that adds for {view.rival} in logit units."
        )
    )
    columns = st.columns(len(view.alike) + 1, gap="small")
    with columns[0]:
        st.image(own, alt=f"This case: {view.image_name}", width="stretch")
        st.markdown(f"**This case**  \n{plain(view.image_name)}")
        st.caption(plain(f"labelled {view.label or 'nothing'}, decided {view.prediction}"))
    for column, one, picture in zip(columns[1:], view.alike, pictures, strict=True):
        with column:
            st.image(picture, alt=f"{one.image_name}, decided {one.prediction}", width="stretch")
            st.markdown(f"**{percent(one.likeness)} alike**  \n{plain(one.image_name)}")
            st.caption(plain(f"labelled and decided {one.label}, {percent(one.confidence)} sure"))
            st.markdown(_differences(one))
            open_button(one)


def _differences(one: AlikeView) -> str:
    """What is there and not here, by what it means for the decision (markdown, escaped)."""
    lines = []
    for each in one.differences:
        more = "more" if each.there > each.here else "less"
        lines.append(
            f"- {more} **{plain(each.name)}** ({each.here:.1f} → {each.there:.1f}): "
            f"{signed(each.pull)}"
        )
    return "\n".join(lines)
