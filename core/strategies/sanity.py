"""Are the words the right way round? What data alone can say about it.

Two things that go together with a label look alike from the data: nobody can tell from pictures
that the ruler is the shortcut and the network the sign. But a sign that people call correct must
at least tell the labels apart. Artefacts often do not: hairs and dark corners come with every
label. So where regions called correct show alike with all labels, and regions called spurious do
not, the words were probably swapped. Two further checks ask whether the marks lie on anything
(core.strategies.places) and which side is contradicted where it shows most clearly
(core.strategies.sides), and what cannot be recognised, or is called both ways, is no better
(core.strategies.cues). More people, adjudicated cases or hidden controls say more (core.evidence
weighs them); this check is for the one reviewer who is alone.

It is made once (`checked`) for every strategy that follows words. `auto` and fine-tuning refuse
what it refuses. It may be wrong, so a strategy that a person chose by hand obeys and says so
(docs/decisions/0045).

Shape legend: I cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.cue_detector import RejectedCue, presence, study_rejected_cues
from core.cue_marks import MarkedRegion
from core.errors import ConfigError, FeedbackError, TooFewVerdicts
from core.strategies.cues import default_detector, learn_cues, tie
from core.strategies.data import UNCHANGED, Checked, FitData, Notice
from core.strategies.groups import why_no_marks
from core.strategies.places import check_places
from core.strategies.protocol import Report, silent
from core.strategies.sides import check_sides

UNTIED = 0.05
"""p above which what was marked shows alike with every label."""
RARE = 0.02
"""What shows in fewer cases than that, or is missing in fewer, says nothing."""
SHARE, CASES = 0.2, 3
"""Least share, and number, of cases with a region called correct that must be untied."""
Word = Literal["spurious", "correct"]
WORDS: tuple[Word, Word] = ("correct", "spurious")


@dataclass(frozen=True)
class Untied:
    """Marked cases with one word whose marks could be recognised, and those alike in all labels."""

    cases: int
    alike: int

    @property
    def share(self) -> float:
        """alike / cases, 0 without cases."""
        return self.alike / self.cases if self.cases else 0.0


FOLLOWED = (
    "The words look wrong, and were followed all the same, as this strategy was chosen by hand."
)
ADVICE = (
    "Look at these verdicts, and at the judgement before you use the result: guard rails ask for a "
    "reason where it is worse, but they see only what held-out cases show."
)


def checked(data: FitData, report: Report = silent) -> Checked:
    """What the check says of the words, and the detectors learnt on the way; `data.words` where it
    was made before, nothing where no spurious mark can be looked at.

    Too few marks are no refusal: nothing is known to be wrong with them.
    """
    if data.words is not None:
        return data.words
    if why_no_marks(data) is not None:
        return Checked()
    notes: tuple[Notice, ...] = ()
    try:
        notes = check_words(data, report)
        learnt = learn_cues(data, lambda share, text: report(0.15 + 0.05 * share, text))
    except TooFewVerdicts:
        return Checked(notes)
    except FeedbackError as error:
        return Checked(notes, str(error))
    return Checked(notes, learnt=learnt)


def followed(found: Checked) -> tuple[Notice, ...]:
    """What must be said where a strategy chosen by hand followed the words."""
    notes = (*found.notes, *(found.learnt.notes if found.learnt is not None else ()))
    if not found.refusal:
        return notes
    return (Notice("warning", f"{FOLLOWED} {found.reason}", ADVICE), *notes)


def without_words(data: FitData) -> FitData:
    """The data without anything that was said of cues and concepts; columns stay."""
    return replace(
        data, marks=(), concepts={}, concepts_of_class={}, words=None, cues=None, presence_IR=None
    )


def check_words(data: FitData, report: Report = silent) -> tuple[Notice, ...]:
    """Notices about marks that lie astray and about regions called correct that cannot be the
    reason.

    Raises:
        FeedbackError: the marks lie on nothing in particular, or the words look swapped.
        ConfigError: there are no tokens to look at.
    """
    report(0.0, "checking that what was marked differs from what was not")
    notes = check_places(data)
    report(0.05, "checking that what was called correct tells the labels apart")
    correct, spurious = (learnt_by_word(data, word) for word in WORDS)
    notes = (*notes, *_check_ties(data, correct, spurious))
    report(0.1, "checking which side the words are on")
    return (*notes, *check_sides(data, spurious, correct))


def _check_ties(
    data: FitData, correct: Sequence[RejectedCue], spurious: Sequence[RejectedCue]
) -> tuple[Notice, ...]:
    """A notice where what was called correct comes with every label alike.

    Raises FeedbackError where what was called spurious does so less: the words look swapped.
    """
    found = untied(data, correct)
    if found.alike < CASES or found.share < SHARE:
        return ()
    text = (
        f"In {found.alike} of {found.cases} cases, what was called correct shows alike with "
        "every label, so it cannot be the reason for one."
    )
    if found.share > untied(data, spurious).share:
        raise FeedbackError(
            f"{text} What was called spurious does tell the labels apart: the words look swapped. "
            f"{UNCHANGED} Look at these verdicts, or let a second person judge some of them"
        )
    return (Notice("warning", text, "Look at the verdicts on these cases."),)


def untied(data: FitData, cues: Sequence[RejectedCue]) -> Untied:
    """How many of the cases that cues were learnt from show what comes alike with all labels."""
    if data.tokens_of is None:
        raise ConfigError("the check of the words needs the dense tokens of the cases")
    if not cues:
        return Untied(0, 0)
    fit = np.flatnonzero(~data.held_I)
    found_IR = presence(cues, data.tokens_of, [data.rows[i] for i in fit])
    labels = np.asarray(data.labels_I)[fit]
    alike: set[int] = set()
    for cue, found_I in zip(cues, found_IR.T, strict=True):
        told = RARE < found_I.mean() < 1 - RARE
        if told and tie(labels, found_I) > UNTIED:
            alike.update(cue.rows)
    return Untied(len({row for cue in cues for row in cue.rows}), len(alike))


def learnt_by_word(data: FitData, word: Word) -> tuple[RejectedCue, ...]:
    """Detectors of what was marked with a word; none where too little was.

    Raises ConfigError where there are no tokens to learn from.
    """
    if data.tokens_of is None:
        raise ConfigError("the check of the words needs the dense tokens of the cases")
    marks = data.marks if word == "spurious" else tuple(_turned(mark) for mark in data.marks)
    try:
        study = study_rejected_cues(
            data.tokens_of, marks, background_rows=data.rows, grid=data.grid,
            config=data.detector or default_detector(data.seed),
        )  # fmt: skip
    except TooFewVerdicts:
        return ()
    return study.cues


def _turned(mark: MarkedRegion) -> MarkedRegion:
    return replace(mark, verdict="correct" if mark.verdict == "spurious" else "spurious")
