"""Do the marks lie on anything? What was marked must differ from what was not.

Marks beside the thing that was meant still teach something: two-means splits them into bits of skin
and bits of lesion, each of which a detector recognises in marks that were held back, and balancing
those costs accuracy. So, before any splitting and grouping, all regions with one word are taken
together, and a detector learnt in some cases must rank the marked patches of the others above the
unmarked ones of the same pictures (as in core.cue_fit; case-wise folds). Whatever is marked, rulers
and stickers together, that is easy; places by chance are ranked by chance, AUC .5, however many
there are. The same is tried with all words taken together, and the better of the two counts: words
may be wrong where places are right.

A mark unlike all others (the one ruler among hairs) is ranked by chance as well, and where few
cases are marked most may be such: below CASES marked cases nothing is said.

Shape legend: P patches; D embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from core.cue_fit import fit_detector, outside
from core.cue_marks import DetectorConfig, MarkedRegion, Scene, build_scene
from core.errors import ConfigError, DetectorFailed
from core.strategies.cues import default_detector
from core.strategies.data import UNCHANGED, FitData, Notice
from core.types import BoolArray

CASES = 8
"""Marked cases that could be ranked, from which something is said."""
FOLDS = 5
ASTRAY, DOUBTED = 0.65, 0.75
"""Mean AUC under which the marks are refused, and under which they are doubted."""


@dataclass(frozen=True)
class Ranked:
    """How well marked patches are told from unmarked ones in cases not learnt from."""

    cases: int  # cases (or, word by word, pairs of case and word) that could be ranked
    auc: float  # their mean AUC, [0, 1]; 0.5 is chance


def check_places(data: FitData) -> tuple[Notice, ...]:
    """A notice where the marked places hardly differ from others.

    Raises:
        DetectorFailed: they do not differ.
        ConfigError: there are no tokens to look at.
    """
    found = ranked_places(data)
    if found.cases < CASES or found.auc >= DOUBTED:
        return ()
    text = (
        f"What was marked can hardly be told from what was not: in cases held back, the marked "
        f"places rank above others of the same picture with an AUC of {found.auc:.2f} (0.5 is "
        f"chance, over {found.cases} marked cases)."
    )
    advice = "Look whether the marks lie on what was meant."
    if found.auc < ASTRAY:
        raise DetectorFailed(f"{text} {advice} {UNCHANGED}")
    return (Notice("warning", text, advice),)


def ranked_places(data: FitData) -> Ranked:
    """Mean AUC of the marked patches of held-back cases, over both words."""
    if data.tokens_of is None:
        raise ConfigError("the check of the marked places needs the dense tokens of the cases")
    marks = [mark for mark in data.marks if mark.region_P.any()]
    if len({mark.row for mark in marks}) < 2:
        return Ranked(0, 0.5)
    config = data.detector or default_detector(data.seed)
    scene = build_scene(data.tokens_of, marks, data.rows, data.grid, config)
    spurious = [mark for mark in marks if mark.verdict == "spurious"]
    correct = [mark for mark in marks if mark.verdict == "correct"]
    by_word = [auc for own in (spurious, correct) for auc in _ranked(scene, own, marks, config)]
    together = _ranked(scene, marks, marks, config)
    best = max((by_word, together), key=lambda found: float(np.mean(found)) if found else 0.0)
    return Ranked(len(best), float(np.mean(best)) if best else 0.5)


def _ranked(
    scene: Scene, own: Sequence[MarkedRegion], marks: Sequence[MarkedRegion], config: DetectorConfig
) -> list[float]:
    """AUC of every case with such marks, by detectors learnt from the others' marks."""
    regions, any_word = _unions(own), _unions(marks)
    rows = np.random.default_rng(config.seed).permutation(sorted(regions))
    found: list[float] = []
    for fold in np.array_split(rows, min(FOLDS, len(rows))) if len(rows) > 1 else ():
        out = {int(row) for row in fold}
        learnt = {row: region for row, region in regions.items() if row not in out}
        weight_D, _ = fit_detector(scene, learnt, (), config)
        for row in sorted(out):
            up_P, down_P = regions[row], outside(any_word[row], scene.grid)
            if down_P.any():
                score_P = scene.marked[row] @ weight_D
                kept = up_P | down_P
                found.append(float(roc_auc_score(up_P[kept], score_P[kept])))
    return found


def _unions(marks: Sequence[MarkedRegion]) -> dict[int, BoolArray]:
    """Row -> union of its marked regions."""
    regions: dict[int, BoolArray] = {}
    for mark in marks:
        regions[mark.row] = regions.get(mark.row, np.zeros_like(mark.region_P)) | mark.region_P
    return regions
