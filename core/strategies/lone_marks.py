"""Cues marked once: checked against the concept that was marked, as nothing can be held back.

With ten verdicts, one of two shortcuts may have been marked once. A detector from one region cannot
prove itself on another mark. But the mark names a concept, and the concept fires in many cases. If
the detector finds, in cases that nobody marked, the same cases in which the concept is as strong as
where it was marked, both see the same thing (AUC >= MIN_AUC of the detector's case score for "the
concept fires"). A concept that fires on two things, or a mark on skin, fails this. Where there are
many marks a lone one is an odd one, so it is only tried where there are few. A drawn place that no
concept shows cannot be checked so: it needs a second one.

Shape legend: I cases; P patches.
"""

import math
from dataclasses import replace

import numpy as np
from scipy.sparse import csc_array
from sklearn.metrics import roc_auc_score

from core.cue_detector import CueStudy, RejectedCue, learn_from_one
from core.cue_marks import DetectorConfig, MarkedRegion, TokensOf
from core.drawn import is_place
from core.strategies.data import FitData

FEW = 10
"""Most marked cases with a spurious cue up to which lone marks are tried."""
CHECKED = 200
"""Cases that a detector is compared with its concept on."""
STRONG = 0.5
"""A concept fires where it is at least this share as strong as in the marked case."""
MIN_EACH = 5
"""Cases with and without the firing concept that the comparison needs."""


def learn_lone(
    data: FitData, study: CueStudy | None, tokens_of: TokensOf, config: DetectorConfig
) -> tuple[RejectedCue, ...]:
    """Detectors of spurious marks that no detector was learnt from, as far as they pass.

    `heldback_auc` is then that of the comparison with the concept.
    """
    spurious = [m for m in data.marks if m.verdict == "spurious" and m.region_P.any()]
    told = study.told if study is not None else frozenset()
    # A drawn place names no concept, so there is nothing that a lone one could be checked against.
    lone = [m for m in spurious if (m.row, m.concept) not in told and not is_place(m.concept)]
    if len({m.row for m in spurious}) > FEW:
        return ()
    known = {k for cue in (study.cues if study is not None else ()) for k in cue.concepts}
    found: dict[int, RejectedCue] = {}
    for mark in lone:
        others = [m for m in data.marks if m.row != mark.row or m.verdict == "correct"]
        others = [m for m in others if m.concept != mark.concept]
        cue = learn_from_one(
            tokens_of, mark, others, background_rows=data.rows, grid=data.grid, config=config
        )
        auc = concept_auc(data, cue, mark, tokens_of)
        better = mark.concept not in found or auc > found[mark.concept].heldback_auc
        if mark.concept not in known and auc >= config.min_auc and better:
            found[mark.concept] = replace(cue, heldback_auc=auc)
    return tuple(found[k] for k in sorted(found))


def concept_auc(data: FitData, cue: RejectedCue, mark: MarkedRegion, tokens_of: TokensOf) -> float:
    """AUC of the cue's case score for "the marked concept fires", over unmarked cases, [0, 1].

    0 where the marked case is not among the data, or too few cases are on either side.
    """
    if mark.row not in data.rows:
        return 0.0
    strength_I = csc_array(data.pooled_IN)[:, [mark.concept]].toarray().ravel()
    wanted = STRONG * strength_I[data.rows.index(mark.row)]
    rows = np.random.default_rng(data.seed).permutation(len(data.rows))
    sample = [int(i) for i in rows if data.rows[i] != mark.row and not data.held_I[i]][:CHECKED]
    fires = strength_I[sample] >= wanted
    if wanted <= 0 or min(fires.sum(), (~fires).sum()) < MIN_EACH:
        return 0.0
    score = [cue.case_score(np.asarray(tokens_of(data.rows[i]))) for i in sample]
    auc = float(roc_auc_score(fires, score))
    return 0.0 if math.isnan(auc) else auc
