"""Concepts that tell classes apart and have no trusted word, from plain data."""

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.viewmodels.modes import (
    CandidateRow,
    CandidateView,
    DiscoverView,
    ExamplePicture,
)
from dashboard.views.bars import percent
from dashboard.views.chrome import plain
from dashboard.views.tables import table
from dashboard.views.text import moment, plural

NEAREST = 4  # words shown
_number = st.column_config.NumberColumn
COLUMNS = {
    "Concept": st.column_config.TextColumn(
        help="Its number, or a name that the vocabulary does not know", width=120
    ),
    "Tells": st.column_config.TextColumn(
        help="The class it tells best from the others, and whether more of it speaks for (+) or "
        "against (−) it",
        width=150,
    ),
    "AUC": _number(
        help="How often it is stronger in an image of that class than in one of another (ties "
        "count half): 0.5 is chance, 1 or 0 is perfect",
        format="%.2f", width=56,
    ),
    "Carries": _number(
        help="Share of all decisions that it carries", format="%.1f %%", width=68
    ),
    "Fires in": _number(help="Images in which it fires", format="%d", width=62),
    "Notes": _number(help="Hypotheses written on it", width=52),
}  # fmt: skip


def table_rows(rows: Sequence[CandidateRow]) -> dict[str, list[object]]:
    """Columns of the list."""
    return {
        "Concept": [row.name for row in rows],
        "Tells": [f"{'+' if row.toward else '−'} {row.class_name}" for row in rows],
        "AUC": [row.auc for row in rows],
        "Carries": [100 * row.share for row in rows],
        "Fires in": [row.images for row in rows],
        "Notes": [row.hypotheses for row in rows],
    }


def about(view: DiscoverView) -> str:
    """What the list is, in a sentence (markdown)."""
    return (
        f"**{plural(len(view.rows), 'concept')}** of {view.concepts} that fire have no trusted "
        f"word, yet tell classes apart in {plural(view.labelled, 'labelled image')}. First comes "
        "what both tells a class well and carries much of the decisions. The best of many figures "
        "flatters itself: take it as a place to look, not as a finding."
    )


def heading(view: CandidateView) -> None:
    """What one candidate says, and how sure that is."""
    row = view.row
    st.header(plain(row.name), anchor=False)
    side = "for" if row.toward else "against"
    low, high = row.interval
    st.markdown(
        f"Speaks **{side} {plain(row.class_name)}**: AUC **{row.auc:.2f}** (95 % interval "
        f"{low:.2f} to {high:.2f}; .50 is chance). Fires in {row.images} of "
        f"{plural(row.total, 'image')} and carries {percent(row.share)} of all decisions. "
        + ("It has no name." if row.why == "unnamed" else "The vocabulary does not know its name.")
    )


def words(view: CandidateView) -> None:
    """The nearest words and how its firing spreads over the classes."""
    left, right = st.columns([1, 1.1], gap="small")
    with left:
        if view.words:
            table(
                {
                    "Nearest words": [
                        f"{word} ({score:.2f})" for word, score in view.words[:NEAREST]
                    ]
                },
                alt="Words nearest to the concept with their cosine; none was near enough",
            )
            st.caption("Cosine in brackets. None was near enough, or clear enough, to be its name.")
        else:
            st.caption("No word comes near it.")
    with right:
        table(
            {
                "Label": [name for name, _, _ in view.by_class],
                "Fires in": [
                    f"{percent(fired / total)} of {total}" if total else "–"
                    for _, fired, total in view.by_class
                ],
            },
            alt="Share of the images of each label in which it fires",
        )


def examples(
    title: str,
    help_: str,
    shown: Sequence[ExamplePicture],
    drawn: Sequence[bytes],
    columns: int,
) -> list[tuple[ExamplePicture, DeltaGenerator]]:
    """Pictures under a title; returns each with the place under it for a control."""
    st.subheader(title, anchor=False, help=help_)
    if not shown:
        st.caption("None, or none that may be shown before your word on it is in.")
        return []
    places: list[tuple[ExamplePicture, DeltaGenerator]] = []
    pairs = list(zip(shown, drawn, strict=True))
    for start in range(0, len(pairs), columns):
        for column, (one, content) in zip(
            st.columns(columns, gap="small"), pairs[start : start + columns], strict=False
        ):
            label = one.label or "no label"
            column.image(
                content,
                alt=f"{one.image_name}, labelled {label}; fires at {one.activation:.2f}",
                caption=plain(f"{one.activation:.1f} · {label}"),
                width="stretch",
            )
            places.append((one, column))
    return places


def hypotheses(view: CandidateView) -> None:
    """What was written on it so far, newest first."""
    for note in reversed(view.notes):
        st.markdown(
            f"**{plain(note.reviewer)}** :gray[{moment(note.at)}]  \n"
            + plain(note.text).replace("\n", "  \n")
        )
