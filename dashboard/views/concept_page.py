"""The list of concepts and the page of one, from plain data."""

from collections.abc import Sequence

import streamlit as st

from dashboard.viewmodels import ConceptRow, ConceptView, NameEvent
from dashboard.views import figures
from dashboard.views.chrome import plain
from dashboard.views.tables import table
from dashboard.views.text import moment, share

EXAMPLE_COLUMNS = 6


def table_rows(rows: Sequence[ConceptRow]) -> dict[str, list[object]]:
    """Columns of the concept list."""
    return {
        "Concept": [row.name for row in rows],
        "No.": [row.concept for row in rows],
        "Level": [row.level for row in rows],
        "Images": [100 * row.frequency for row in rows],
        "✓": [row.verdicts_correct for row in rows],
        "✕": [row.verdicts_spurious for row in rows],
        "Belongs to": [row.parent or "" for row in rows],
    }


_number = st.column_config.NumberColumn

COLUMNS = {
    "No.": _number(help="Number of the concept: tells two of the same name apart", width=42),
    "Concept": st.column_config.TextColumn(
        help="The name that stands: a person's, else the model's, else a number", width=150
    ),
    "Level": _number(help="0 is the most general, higher is more specific", width=50),
    "Images": _number(
        help="Share of all images in which the concept fires", width=62, format="%.0f %%"
    ),
    "✓": _number(help="Verdicts that call it a right reason", width=38),
    "✕": _number(help="Verdicts that call it a wrong reason", width=38),
    "Belongs to": st.column_config.TextColumn(
        help="The more general concept above it, if any", width=90
    ),
}


def heading(view: ConceptView) -> None:
    """Name and key figures."""
    row = view.row
    number = f" :gray[no. {row.concept}]" if row.named else ""
    st.header(f"{plain(row.name)}{number}", anchor=False)
    if not row.named:
        st.caption("The model was not sure enough to name this concept. Look at the examples.")
    for column, (label, value, help_) in zip(st.columns(4), _facts(row), strict=True):
        column.metric(label, value, help=help_)


def _facts(row: ConceptRow) -> tuple[tuple[str, str, str], ...]:
    return (
        ("Level", str(row.level), "0 is the most general, higher is more specific"),
        ("In images", share(row.frequency), "Share of all images in which the concept fires"),
        (
            "Name margin",
            f"{row.margin:.3f}",
            "How far the model's name beat the runner-up (cosine, 0 to 2); small means unsure",
        ),
        (
            "Verdicts",
            f"{row.verdicts_correct} ✓ · {row.verdicts_spurious} ✕",
            "Standing verdicts: called correct, called spurious",
        ),
    )


def examples(view: ConceptView, pictures: Sequence[bytes]) -> None:
    """The images that activate the concept most, in rows."""
    st.subheader("Where it fires most", anchor=False)
    if not view.examples:
        st.caption("This concept fires in none of the project's images.")
        return
    for start in range(0, len(pictures), EXAMPLE_COLUMNS):
        columns = st.columns(EXAMPLE_COLUMNS, gap="small")
        chunk = zip(view.examples, pictures, strict=True)
        for column, (example, picture) in zip(columns, list(chunk)[start:], strict=False):
            label = f", {example.label}" if example.label else ""
            column.image(
                picture,
                caption=plain(f"{example.activation:.1f}{label}"),
                alt=f"{example.image_name}{label}: {view.row.name} at {example.activation:.2f}",
                width="stretch",
            )
    st.caption("Under each image: peak activation (encoder units) and the image's label.")


def weights(view: ConceptView) -> None:
    """How the model uses the concept."""
    st.subheader("How the model uses it", anchor=False)
    figure, words = figures.weights(view.weights)
    st.plotly_chart(figure, alt=words, config={"displayModeBar": False}, key="weights")


def history(events: Sequence[NameEvent]) -> None:
    """Every name it had: who, when, why."""
    st.subheader("Names it had", anchor=False)
    newest = list(reversed(events))
    table(
        {
            "Name": [event.name for event in newest],
            "By": [event.by or event.source for event in newest],
            "When": [moment(event.at) for event in newest],
            "Why": [event.reason for event in newest],
        },
        alt="History of the concept's names, newest first",
    )
