"""Are the words the right way round? What data alone can say about it.

Two things that go together with a label look alike from the data: nobody can tell from pictures
that the ruler is the shortcut and the network the sign. But a sign that people call correct must
at least tell the labels apart. Artefacts often do not: hairs and dark corners come with every
label. So where regions called correct show alike with all labels, and regions called spurious do
not, the words were probably swapped. More people, adjudicated cases or hidden controls say more
(core.evidence weighs them); this check is for the one reviewer who is alone.

Shape legend: I cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from core.cue_detector import RejectedCue, presence, study_rejected_cues
from core.cue_marks import DetectorConfig, MarkedRegion, TokensOf
from core.errors import ConfigError, FeedbackError, TooFewVerdicts
from core.strategies.cues import default_detector, tie
from core.strategies.data import FitData, Notice
from core.strategies.protocol import Report, silent

UNTIED = 0.05
"""p above which what was marked shows alike with every label."""
RARE = 0.02
"""What shows in fewer cases than that, or is missing in fewer, says nothing."""
SHARE, CASES = 0.2, 3
"""Least share, and number, of cases with a region called correct that must be untied."""
Word = Literal["spurious", "correct"]


@dataclass(frozen=True)
class Untied:
    """Marked cases with one word whose marks could be recognised, and those alike in all labels."""

    cases: int
    alike: int

    @property
    def share(self) -> float:
        """alike / cases, 0 without cases."""
        return self.alike / self.cases if self.cases else 0.0


def check_words(data: FitData, report: Report = silent) -> tuple[Notice, ...]:
    """Notices about regions called correct that cannot be the reason.

    Raises:
        FeedbackError: the words look swapped.
        ConfigError: there are no tokens to look at.
    """
    report(0.0, "checking that what was called correct tells the labels apart")
    correct = untied(data, "correct")
    if correct.alike < CASES or correct.share < SHARE:
        return ()
    text = (
        f"In {correct.alike} of {correct.cases} cases, what was called correct shows alike with "
        "every label, so it cannot be the reason for one."
    )
    if correct.share > untied(data, "spurious").share:
        raise FeedbackError(
            f"{text} What was called spurious does tell the labels apart: the words look swapped. "
            "Nothing was changed. Look at these verdicts, or let a second person judge some of them"
        )
    return (Notice("warning", text, "Look at the verdicts on these cases."),)


def untied(data: FitData, word: Word) -> Untied:
    """How many of the cases marked with a word show what comes alike with all labels."""
    if data.tokens_of is None:
        raise ConfigError("the check of the words needs the dense tokens of the cases")
    config = data.detector or default_detector(data.seed)
    cues = _learnt(data, word, data.tokens_of, config)
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


def _learnt(
    data: FitData, word: Word, tokens_of: TokensOf, config: DetectorConfig
) -> Sequence[RejectedCue]:
    """Detectors of what was marked with a word; none where too little was."""
    marks = data.marks if word == "spurious" else tuple(_turned(mark) for mark in data.marks)
    try:
        study = study_rejected_cues(
            tokens_of, marks, background_rows=data.rows, grid=data.grid, config=config
        )
    except TooFewVerdicts:
        return ()
    return study.cues


def _turned(mark: MarkedRegion) -> MarkedRegion:
    return replace(mark, verdict="correct" if mark.verdict == "spurious" else "spurious")
