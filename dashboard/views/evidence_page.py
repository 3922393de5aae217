"""What goes into a run: everybody's words as one probability per concept, and who is reliable."""

from collections.abc import Sequence

import streamlit as st

from dashboard.viewmodels.evidence import ConceptEvidence, EvidenceView, RaterEvidence
from dashboard.viewmodels.runs import NoticeView
from dashboard.views import bars
from dashboard.views.chrome import plain
from dashboard.views.tables import table
from dashboard.views.text import plural, share

LISTED = 12  # concepts shown at once
LEVELS = {
    "warning": (st.warning, ":material/warning:"),
    "error": (st.error, ":material/error:"),
}


def notices(said: Sequence[NoticeView]) -> None:
    """What a run has to say of its feedback, the gravest first, each with what to do.

    What is merely worth knowing stands folded away: it must not push the result off the screen.
    """
    order = {"error": 0, "warning": 1}
    for notice in sorted((n for n in said if n.level in order), key=lambda n: order[n.level]):
        show, icon = LEVELS[notice.level]
        show(_notice(notice), icon=icon)
    notes = [notice for notice in said if notice.level not in order]
    if notes:
        with st.expander(f"Worth knowing ({len(notes)})", icon=":material/info:"):
            st.markdown("\n".join(f"- {_notice(notice)}" for notice in notes))


def _notice(notice: NoticeView) -> str:
    advice = f" {plain(notice.advice)}" if notice.advice else ""
    return f"**{plain(notice.text)}**{advice}"


def counts(view: EvidenceView) -> None:
    """How much there is, in one line."""
    figures = (
        ("Spurious", view.spurious, "Standing verdicts that call a cue spurious"),
        ("Correct", view.correct, "Standing verdicts that call a cue correct"),
        ("Unsure", view.unsure, "Standing verdicts that leave it open: they change no weight"),
        ("People", view.people, "Reviewers whose words go in"),
        ("Drawn", view.regions, "Boxes and outlines that people drew, kept as masks"),
    )
    for column, (label, count, help_) in zip(st.columns(len(figures)), figures, strict=True):
        column.metric(label, f"{count:,}", help=help_)


def concepts(rows: Sequence[ConceptEvidence]) -> None:
    """Each judged concept with the probability that it is spurious."""
    st.subheader(
        "What was said of the concepts", anchor=False,
        help="Several people's words as one probability that the concept is spurious. Who proves "
        "reliable counts for more; where people differ, the evidence counts for less",
    )  # fmt: skip
    if not rows:
        st.caption("Nothing yet. Judge cues on the Review screen: Y, X or U.")
        return
    bars.shares(
        [
            bars.Share(
                f"{row.name}{_of(row)}",
                row.probability,
                (share(row.weight, 0), str(row.words), str(row.people), str(row.marks)),
            )
            for row in rows[:LISTED]
        ],
        caption="Concepts with verdicts, the most probably spurious first",
        columns=(
            "Concept", "Spurious?", "Probability", "Counts for", "Verdicts", "People", "Regions",
        ),
    )  # fmt: skip
    more = f" {len(rows) - LISTED} more concepts go in too." if len(rows) > LISTED else ""
    st.caption(
        "Counts for: 100 % where the evidence is clear, less where people differ or are "
        f"unreliable. Regions: cue regions marked spurious.{more}"
    )


def _of(row: ConceptEvidence) -> str:
    return f", for {row.class_name}" if row.class_name else ""


def raters(rows: Sequence[RaterEvidence]) -> None:
    """How far each person's words can be relied on."""
    if not rows:
        return
    st.subheader(
        "Who said it", anchor=False,
        help="Reliable: estimated share of right words, balanced over what is spurious and what "
        "is not. 50 % is as good as guessing",
    )  # fmt: skip
    table(
        {
            "Reviewer": [row.name for row in rows],
            "Words": [row.words for row in rows],
            "Reliable": [share(row.reliability, 0) for row in rows],
            "Counts for": [share(row.weight, 0) for row in rows],
            "Note": [row.said for row in rows],
        },
        alt="Reviewers whose words go in, with how reliable they are and how much they count",
    )


def columns(view: EvidenceView) -> None:
    """Metadata columns that people rejected as a whole."""
    if not view.columns:
        return
    st.subheader(
        "Columns of the data", anchor=False,
        help="A column that is spurious as a whole: the run makes label and column independent. "
        "The probability weighs how reliable each person looks from all their words; the Groups "
        "screen takes everybody to be right in 4 of 5. Give your word there",
    )  # fmt: skip
    bars.shares(
        [bars.Share(row.column, row.probability, (str(row.people),)) for row in view.columns],
        caption="Columns with verdicts, the most probably spurious first",
        columns=("Column", "Spurious?", "Probability", "People"),
    )


def sentence(view: EvidenceView) -> str:
    """What a run would use, in a sentence (markdown)."""
    parts = [f"**{plural(view.spurious, 'spurious verdict')}**"]
    parts.append(plural(view.correct, "correct verdict"))
    rejected = [row.column for row in view.columns if row.probability > 0.5]
    if view.regions:
        places = f" ({plural(view.places, 'rejected place')} among them)" if view.places else ""
        parts.append(f"{plural(view.regions, 'drawn region')}{places}")
    if rejected:
        parts.append(f"the rejected {'columns' if len(rejected) > 1 else 'column'} "
                     f"{plain(', '.join(rejected))}")  # fmt: skip
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"It will use {listed}; a frozen copy of them is kept with the run."
