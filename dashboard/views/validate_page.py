"""What the decisions for a class rest on, from plain data."""

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.viewmodels.modes import ClassView, ClassWordView, ExamplePicture, ReasonRow, Word
from dashboard.views import bars
from dashboard.views.bars import Part, percent, signed
from dashboard.views.chrome import plain
from dashboard.views.text import moment, plural

MARKS = {"correct": "✓", "spurious": "✕", "unsure": "?", "withdrawn": "–"}
SAID = {"correct": "right reason", "spurious": "spurious", "unsure": "unsure", "withdrawn": "none"}
PARTS: tuple[tuple[Word, str, str], ...] = (
    ("correct", "called right", "right"),
    ("spurious", "called spurious", "wrong"),
    ("unsure", "unsure", "unsure"),
)
EXAMPLES = 3  # beside each other
SHARE_HELP = (
    "Share of the decisions for this class that the concept carries: its part of the sum of "
    "|activation x weight| over all cases decided for the class"
)


def figures(view: ClassView) -> None:
    """How many cases, how many right, how much of it was reviewed."""
    right = percent(view.right / view.labelled) if view.labelled else "–"
    reviewed = percent(view.reviewed / view.cases) if view.cases else "–"
    facts = (
        ("Decided for it", plural(view.cases, "case"), "Cases the model decided for the class"),
        ("Right", right, f"Of the {view.labelled} with a label, those labelled so too"),
        ("Reviewed", reviewed, "Cases on which anybody gave a word or a verdict"),
        ("Reasons judged", percent(view.covered),
         "Share of the decisions that rests on concepts with a word on them"),
    )  # fmt: skip
    for column, (label, value, help_) in zip(st.columns(4), facts, strict=True):
        column.metric(label, value, help=help_)


def verdict(view: ClassView) -> None:
    """The answer in one bar: how much of the decisions rests on right and on spurious reasons."""
    shares = dict(view.judged)
    parts = [Part(name, shares.get(word, 0.0), look) for word, name, look in PARTS]
    parts.append(Part("no word yet", max(0.0, 1.0 - view.covered), "open"))
    bars.stacked(parts, label=f"What the decisions for {view.name} rest on")


def fragile(view: ClassView) -> str:
    """How many right decisions lean on spurious reasons, in a sentence (markdown, escaped)."""
    if not view.right:
        return "No case of this class was decided rightly, or none has a label."
    if dict(view.judged).get("spurious", 0.0) == 0:
        return "No concept is called spurious for this class so far."
    kept = view.right - view.fragile_count
    return (
        f"**{kept} of {view.right}** right decisions stay the same when the concepts called "
        f"spurious count for nothing; **{view.fragile_count}** would change: right, but for the "
        "wrong reason."
    )


def head(columns: Sequence[DeltaGenerator]) -> None:
    """Heads of the rows."""
    words = ("Concept", "Carries", "Fires in", "As a reason for this class")
    helps = (
        "Choose one to see its cases",
        SHARE_HELP + ". Hatched: it speaks against the class",
        "Share of the cases decided for the class in which it fires, and of all other cases",
        "Your word on it as a reason for this class, in all cases. Choose again to take it back",
    )
    for column, word, help_ in zip(columns, words, helps, strict=True):
        column.caption(word, help=help_)


def bar(row: ReasonRow, most: float) -> None:
    """The share as a bar with its figure."""
    against = row.direction < 0
    side = "against" if against else "for"
    st.html(bars.single(row.share, most, against=against, label=f"{percent(row.share)} {side} it"))
    st.caption(f"{percent(row.share)} · {signed(row.direction)} {side}")


def frequency(row: ReasonRow) -> str:
    """Where it fires (markdown, escaped)."""
    return f"{percent(row.fires)} here  \n{percent(row.elsewhere)} elsewhere"


def chosen(row: ReasonRow, class_name: str) -> None:
    """One concept as a reason for the class, with what others said once my word is in."""
    st.subheader(f"{plain(row.name)}", anchor=False)
    side = "against" if row.direction < 0 else "for"
    st.caption(
        f"Where it fires it moves the score by {signed(row.direction)} logit units, {side} "
        f"{plain(class_name)}." + (" Marked as an artefact." if row.artefact else "")
    )
    if row.mine is None or row.mine.value == "withdrawn":
        st.caption("What others said shows once your own word is in.")
        return
    st.markdown(f"Verdicts on its cues in these cases: {tally(row)}")
    for word in row.others:
        st.markdown(_said(word))


def tally(row: ReasonRow) -> str:
    """Verdict counts in words."""
    return f"{row.correct or 0} ✓ right, {row.spurious or 0} ✕ spurious, {row.unsure or 0} ? unsure"


def examples(
    pictures: Sequence[ExamplePicture], drawn: Sequence[bytes], name: str
) -> list[DeltaGenerator]:
    """The cases in which it fires most; returns the places under each for a button."""
    places: list[DeltaGenerator] = []
    for start in range(0, len(pictures), EXAMPLES):
        columns = st.columns(EXAMPLES, gap="small")
        part = list(zip(pictures, drawn, strict=True))[start : start + EXAMPLES]
        for column, (picture, content) in zip(columns, part, strict=False):
            label = picture.label or "no label"
            wrong = "✕ " if picture.label not in (None, picture.prediction) else ""
            column.image(
                content,
                alt=f"{picture.image_name}, labelled {label}: {name} at {picture.activation:.2f}",
                caption=plain(f"{picture.activation:.1f} · {wrong}{label}"),
                width="stretch",
            )
            places.append(column)
    return places


def _said(word: ClassWordView) -> str:
    """One other's word (markdown, escaped)."""
    why = f", {plain(word.reason)}" if word.reason else ""
    comment = f": {plain(word.comment)}" if word.comment else ""
    return (
        f"{MARKS[word.value]} **{plain(word.reviewer)}** says {SAID[word.value]}{why}{comment} "
        f":gray[{moment(word.at)}]"
    )
