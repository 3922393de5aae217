"""From marks to checked detectors; one cue that fails does not stop the others.

Three checks stand between a mark and its use, all of them made from the verdicts alone:

recognised   the detector finds its cue in marked cases that it was not learnt from
             (core.cue_detector). Where half of the marks belong to cues that fail, nothing is used:
             such marks lie beside what was meant. Marks that resemble no others teach nothing.
undisputed   people did not call the same thing correct as often: against each marked case stand
             the cases where a region called correct looks like the cue. A coin gives one half.
tied         the cue shows more often with one label than with another. What shows alike with all
             (hairs, dark corners) is no shortcut: balancing it would only cost cases.

Shape legend: I cases; R rejected cues; P patches.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency

from core.cue_detector import CueStudy, RejectedCue, presence, study_rejected_cues
from core.cue_marks import DetectorConfig, MarkedRegion, TokensOf, top_mean
from core.errors import ConfigError, DetectorFailed, FeedbackError, TooFewVerdicts
from core.strategies.data import UNCHANGED, FitData, Learnt, Notice
from core.strategies.lone_marks import learn_lone
from core.strategies.protocol import Report, silent

MIN_REGIONS = 2
"""Cases in which a cue must be marked; of two, each is found by a detector learnt on the other."""
BACKGROUND = 150
"""Unmarked cases that detectors are learnt against."""
DISPUTED = 0.4
"""Share of cases against a cue, of those for and against it, from which it is set aside."""
DOUBTED = 0.15
"""The same, from which a notice is given."""
CROWD, ASTRAY = 3, 0.5
"""Cases from which a cue that cannot be recognised counts; the share of the marked cases in such
cues from which nothing is used."""
UNKNOWN = (
    "What was marked could not be recognised in marked cases that were held back. Look whether the "
    "marks lie on what was meant, or mark the same thing in more cases."
)
LEVEL = 0.01
"""Chance of calling a cue tied to the labels that is not, over all cues (Bonferroni)."""


def default_detector(seed: int) -> DetectorConfig:
    """How detectors are learnt where nothing else is said."""
    return DetectorConfig(min_regions=MIN_REGIONS, rescue=True, background=BACKGROUND, seed=seed)


def learn_cues(data: FitData, report: Report = silent) -> Learnt:
    """The rejected cues of the marks, recognised and undisputed; those of `data.cues`, or of the
    check of the words, where given.

    Raises:
        ConfigError: there are no tokens to learn from.
        TooFewVerdicts: nothing is marked often enough.
        DetectorFailed: nothing usable is left, or most marks point at nothing in common.
    """
    if data.cues is not None:
        return Learnt(data.cues, ())
    if data.words is not None and data.words.learnt is not None:
        return data.words.learnt
    if data.tokens_of is None:
        raise ConfigError("detectors need the dense tokens of the cases")
    report(0.0, "learning what was marked")
    config = data.detector or default_detector(data.seed)
    study, lone = _studied(data, data.tokens_of, config)
    notes = _failures(data, study, config) if study is not None else []
    notes += [_once(data, cue) for cue in lone]
    kept: list[tuple[RejectedCue, float]] = []
    disputed: list[tuple[RejectedCue, float]] = []
    for cue in (*(study.cues if study is not None else ()), *lone):
        share = disputed_share(cue, data.tokens_of, data.marks)
        (disputed if share >= DISPUTED else kept).append((cue, share))
    notes += [_disputed(data, cue, share) for cue, share in disputed]
    notes += [_doubted(data, cue, share) for cue, share in kept if share >= DOUBTED]
    if not kept or len(disputed) > len(kept):
        # What was used or left aside without harm does not belong into a refusal.
        words = " ".join(_sentence(note) for note in notes if note.level == "warning")
        raise DetectorFailed(f"{words or UNKNOWN} {UNCHANGED}")
    return Learnt(tuple(cue for cue, _ in kept), tuple(notes))


def _studied(
    data: FitData, tokens_of: TokensOf, config: DetectorConfig
) -> tuple[CueStudy | None, tuple[RejectedCue, ...]]:
    """What several marks taught (None: too few of them), and what lone marks did."""
    try:
        study = study_rejected_cues(
            tokens_of, data.marks, background_rows=data.rows, grid=data.grid, config=config
        )
    except TooFewVerdicts:
        lone = learn_lone(data, None, tokens_of, config) if data.detector is None else ()
        if not lone:
            raise
        return None, lone
    return study, learn_lone(data, study, tokens_of, config) if data.detector is None else ()


def cue_presence(
    data: FitData, learnt: Learnt, report: Report = silent
) -> tuple[Learnt, NDArray[np.bool_]]:
    """Which cues show in which cases, bool [I, R]; cues not tied to the labels are set aside.

    Raises:
        FeedbackError: no cue is left.
    """
    if data.tokens_of is None:
        raise ConfigError("detectors need the dense tokens of the cases")
    report(0.2, "looking for the rejected cues in all cases")
    found_IR = data.presence_IR
    if found_IR is None:
        found_IR = presence(learnt.cues, data.tokens_of, data.rows)
    fit_I, labels = ~data.held_I, np.asarray(data.labels_I)
    chance_R = np.array([tie(labels[fit_I], found_R[fit_I]) for found_R in found_IR.T])
    tied_R = chance_R < LEVEL / len(learnt.cues)
    notes = list(learnt.notes)
    for number in np.flatnonzero(~tied_R):
        notes.append(_untied(data, learnt.cues[number], float(found_IR[fit_I, number].mean())))
    if not tied_R.any():
        words = " ".join(_sentence(note) for note in notes)
        raise FeedbackError(f"{words} There is nothing to balance, so nothing was changed.")
    cues = tuple(cue for cue, tied in zip(learnt.cues, tied_R, strict=True) if tied)
    return Learnt(cues, tuple(notes)), found_IR[:, tied_R]


def tie(labels_I: NDArray[np.int64], shown_I: NDArray[np.bool_]) -> float:
    """p of Pearson's chi-squared test that a cue shows alike with every label; 1 where it always
    or never shows, or there is one label."""
    names, place_I = np.unique(labels_I, return_inverse=True)
    if len(names) < 2 or not shown_I.any() or shown_I.all():
        return 1.0
    table = np.zeros((len(names), 2))
    np.add.at(table, (place_I.ravel(), shown_I.astype(np.int64)), 1.0)
    return float(chi2_contingency(table)[1])


def disputed_share(cue: RejectedCue, tokens_of: TokensOf, marks: Sequence[MarkedRegion]) -> float:
    """Cases against a cue / (cases for and against it), by the weight of their marks, [0, 1].

    Against it are cases with a region called correct, the stronger half of whose tokens scores
    above the cue's threshold; for it are the marked cases that it was learnt from. One case is
    forgiven: a region may lie on two things.
    """
    against: dict[int, float] = {}
    for mark in marks:
        if mark.verdict == "correct" and mark.region_P.any():
            tokens_TD = np.asarray(tokens_of(mark.row))[mark.region_P]
            half = (len(tokens_TD) + 1) // 2
            if top_mean(cue.token_scores(tokens_TD), half) > cue.threshold:
                against[mark.row] = max(against.get(mark.row, 0.0), mark.weight)
    if len(against) < 2:
        return 0.0
    own = {
        row: max((m.weight for m in marks if m.row == row and m.verdict == "spurious"), default=1.0)
        for row in cue.rows
    }
    return sum(against.values()) / (sum(against.values()) + sum(own.values()))


def called(data: FitData, cue: RejectedCue) -> str:
    """The names of a cue's first concepts."""
    return " + ".join(dict.fromkeys(data.called(concept) for concept in cue.concepts[:3]))


def _failures(data: FitData, study: CueStudy, config: DetectorConfig) -> list[Notice]:
    """A notice about the cues that could not be recognised.

    Splinters of a cue that is told by another detector do not count, nor do pairs of marks: two
    marks may look alike by chance.

    Raises DetectorFailed where ASTRAY of the marked cases belong to such cues.
    """
    failed = [one for one in study.failed if one.untold >= max(config.min_regions, CROWD)]
    if not failed:
        return []
    spurious = {(m.row, m.concept) for m in data.marks if m.verdict == "spurious"}
    cases = {row for row, _ in spurious}
    lost = {row for one in failed for row in one.cue.rows} - {row for row, _ in study.told}
    names = ", ".join(dict.fromkeys(called(data, one.cue) for one in failed[:3]))
    text = (
        f"What was marked as {names} (in {len(lost)} of {len(cases)} cases with marks) could not "
        "be recognised in marked cases that were held back, so it was not looked for elsewhere."
    )
    advice = "Look whether these marks lie on what was meant, or mark the same thing in more cases."
    if len(lost) >= ASTRAY * len(cases):
        worst = min(one.cue.heldback_auc for one in failed)
        raise DetectorFailed(
            f"{text} (AUC down to {worst:.2f}, needed {config.min_auc:.2f}.) {advice} {UNCHANGED}"
        )
    return [Notice("warning", text, advice)] if lost else []


def _once(data: FitData, cue: RejectedCue) -> Notice:
    text = (
        f"{called(data, cue)} was marked in one case only. It was used, as what was marked there "
        f"is found where the concept fires (AUC {cue.heldback_auc:.2f})."
    )
    return Notice("info", text, "Mark it in one more case to be surer.")


def _disputed(data: FitData, cue: RejectedCue, share: float) -> Notice:
    text = (
        f"What was marked as {called(data, cue)} was called spurious in some cases and correct in "
        f"others ({100 * share:.0f} % against it), so it was not looked for elsewhere."
    )
    return Notice("warning", text, "Settle these verdicts, then run again.")


def _doubted(data: FitData, cue: RejectedCue, share: float) -> Notice:
    text = (
        f"Regions that were called correct look like {called(data, cue)}: they are "
        f"{100 * share:.0f} % of the cases that speak of it."
    )
    return Notice("warning", text, "It was used all the same: look at the verdicts on it.")


def _untied(data: FitData, cue: RejectedCue, share: float) -> Notice:
    text = (
        f"The rejected cue {called(data, cue)} shows in {100 * share:.0f} % of the training "
        "cases, about alike with every label: it is no shortcut, so nothing was balanced for it."
    )
    return Notice("info", text)


def _sentence(note: Notice) -> str:
    return f"{note.text} {note.advice}".strip()
