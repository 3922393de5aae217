"""The list of concepts and the page of one, from plain data."""

from collections.abc import Sequence

import streamlit as st

from dashboard.viewmodels.concepts import (
    ConceptRow,
    ConceptView,
    ExampleView,
    FactsView,
    FiringView,
    MarkEvent,
    NameEvent,
    TallyView,
)
from dashboard.views import concept_figures
from dashboard.views.chrome import plain
from dashboard.views.tables import table
from dashboard.views.text import moment, plural, share

EXAMPLE_COLUMNS = 6
RANKS = (
    ("top", "Where it fires most"),
    ("middle", "In the middle"),
    ("lowest", "Where it barely fires"),
)
MARK_WORDS = {
    ("artefact", True): "marked as artefact",
    ("artefact", False): "no longer an artefact",
    ("locked", True): "name locked",
    ("locked", False): "name unlocked",
}


def table_rows(rows: Sequence[ConceptRow]) -> dict[str, list[object]]:
    """Columns of the concept list."""
    return {
        "Concept": [row.name for row in rows],
        "No.": [row.concept for row in rows],
        "Level": [row.level for row in rows],
        "Images": [100 * row.frequency for row in rows],
        "✓": [row.verdicts_correct for row in rows],
        "✕": [row.verdicts_spurious for row in rows],
        "Marks": [_marks(row) for row in rows],
        "Belongs to": [row.parent or "" for row in rows],
    }


def _marks(row: ConceptRow) -> str:
    said = (("artefact", row.artefact), ("locked", row.locked), ("merged", bool(row.merged_into)))
    return ", ".join(word for word, on in said if on)


_number = st.column_config.NumberColumn

COLUMNS = {
    "No.": _number(help="Number of the concept: tells two of the same name apart", width=40),
    "Concept": st.column_config.TextColumn(
        help="The name that stands: a person's, else the model's, else a number", width=140
    ),
    "Level": _number(help="0 is the most general, higher is more specific", width=46),
    "Images": _number(
        help="Share of all images in which the concept fires", width=58, format="%.0f %%"
    ),
    "✓": _number(help="Verdicts that call it a right reason", width=32),
    "✕": _number(help="Verdicts that call it a wrong reason", width=32),
    "Marks": st.column_config.TextColumn(
        help="artefact: no property of the object; locked: its name stays", width=64
    ),
    "Belongs to": st.column_config.TextColumn(
        help="The more general concept above it, if any", width=90
    ),
}


def heading(view: ConceptView) -> None:
    """Name, what was said of it, and key figures."""
    row = view.row
    number = f" :gray[no. {row.concept}]" if row.named else ""
    st.header(f"{plain(row.name)}{number}", anchor=False)
    with st.container(horizontal=True, gap="small"):
        if row.artefact:
            st.badge("artefact", icon=":material/block:", color="orange")
        if row.locked:
            st.badge("name locked", icon=":material/lock:", color="gray")
        for name in view.merged:
            st.badge(f"stands for {plain(name)} too", icon=":material/merge:", color="blue")
    if view.parts:
        parts = ", ".join(plain(part) for part in view.parts)
        st.caption(f"People see several things in it: {parts}.")
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


def examples(view: ConceptView, found: Sequence[ExampleView], pictures: Sequence[bytes]) -> None:
    """Images in which it fires most, middlingly and barely, in rows."""
    if not found:
        st.caption(
            "No examples: it fires in none of the images that have been encoded. "
            "Images are encoded by `insight discover` or `insight explain`."
        )
        return
    pairs = list(zip(found, pictures, strict=True))
    for rank, words in RANKS:
        of_rank = [pair for pair in pairs if pair[0].rank == rank]
        if not of_rank:
            continue
        st.subheader(words, anchor=False)
        for start in range(0, len(of_rank), EXAMPLE_COLUMNS):
            columns = st.columns(EXAMPLE_COLUMNS, gap="small")
            for column, (example, picture) in zip(columns, of_rank[start:], strict=False):
                _example(column, view.row.name, example, picture)
    st.caption(
        "Under each image: its activation (pooled over the image, encoder units) and its label."
    )


def _example(
    column: st.delta_generator.DeltaGenerator, name: str, example: ExampleView, picture: bytes
) -> None:
    label = f", {example.label}" if example.label else ""
    column.image(
        picture,
        caption=plain(f"{example.activation:.2f}{label}"),
        alt=f"{example.image_name}{label}: {name} at {example.activation:.2f}",
        width="stretch",
    )


def fires(view: FactsView) -> None:
    """Classes, groups and places in which it fires."""
    left, right = st.columns([1.6, 1], gap="medium")
    with left:
        _firing("By class", view.classes, "class")
        if view.groups:
            _firing("By group", view.groups, "group")
        if view.splits:
            _firing("By split", view.splits, "split")
    with right:
        st.subheader("By place in the image", anchor=False)
        if view.positions is None:
            st.caption("It fires nowhere.")
            return
        figure, words = concept_figures.positions(view.positions)
        st.plotly_chart(figure, alt=words, config={"displayModeBar": False}, key="positions")
        st.caption(plain(words))


def _firing(title: str, rows: Sequence[FiringView], what: str) -> None:
    st.subheader(title, anchor=False)
    figure, words = concept_figures.firing(rows, what)
    st.plotly_chart(figure, alt=words, config={"displayModeBar": False}, key=f"firing-{what}")


def weights(view: ConceptView) -> None:
    """How the model uses the concept."""
    st.subheader("How the model uses it", anchor=False)
    figure, words = concept_figures.weights(view.weights)
    st.plotly_chart(figure, alt=words, config={"displayModeBar": False}, key="weights")


def tallies(rows: Sequence[TallyView]) -> None:
    """What people said of it as a reason, by the class that the model named."""
    st.subheader("What people said, by class", anchor=False)
    if not rows:
        st.caption("Nobody has judged a cue of this concept yet.")
        return
    table(
        {
            "As a reason for": [row.label for row in rows],
            "✓ correct": [row.correct for row in rows],
            "✕ spurious": [row.spurious for row in rows],
            "? unsure": [row.unsure for row in rows],
        },
        alt="Standing verdicts on this concept by the class that the model named",
    )
    judged = sum(row.correct + row.spurious + row.unsure for row in rows)
    st.caption(f"{plural(judged, 'standing verdict')}; the class is the one that the model named.")


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


def locked(events: Sequence[MarkEvent]) -> None:
    """Who locked the name, and why."""
    last = [event for event in events if event.kind == "locked"][-1:]
    for event in last:
        why = f": {plain(event.reason)}" if event.reason else ""
        st.caption(f"{plain(event.by)} locked this name on {moment(event.at)}{why}.")


def suggestions(rows: Sequence[tuple[str, float]]) -> None:
    """Names that the model found next best, with their scores."""
    scored = [(name, score) for name, score in rows if score > 0]
    st.subheader("Names that fit too", anchor=False)
    if not scored:
        st.caption("The model found no other name that fits.")
        return
    table(
        {
            "Name": [name for name, _ in scored],
            "Score (cosine)": [f"{score:.3f}" for _, score in scored],
        },
        alt="Suggested names, best first, with the cosine of name and concept",
    )
    st.caption("Cosine of the name's text and the concept in the encoder's space; 1 is the same.")


def marks(events: Sequence[MarkEvent]) -> None:
    """Who marked it as artefact or locked its name, when and why."""
    if not events:
        return
    st.subheader("Marks", anchor=False)
    newest = list(reversed(events))
    table(
        {
            "What": [MARK_WORDS[event.kind, event.value] for event in newest],
            "By": [event.by for event in newest],
            "When": [moment(event.at) for event in newest],
            "Why": [event.reason for event in newest],
        },
        alt="History of the concept's marks, newest first",
    )
