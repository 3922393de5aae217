"""A validation that is built from the verdicts alone, never from true groups.

Cells are what the verdicts say should not matter: every label with and without each rejected cue
(as the detectors find it), and with every level of a rejected column; each cell counts alike (the
average group accuracy of Idrissi et al. 2022, arXiv 2110.14503, on inferred groups).

Where a shortcut is strong, the cells that would show it are empty: of melanomas without a ruler but
with a naevus' sticker there are .05 x .05. So each case is also imagined the other way round: with
the cues that are rare for its label, and without those that are usual. Its logits move by what the
cue does to the codes, W v_r, v_r being the gap within labels (core.strategies.directions), measured
on the held-out cases themselves, so that no strategy saw it. Likewise from each level of a column
to every other. The score is the mean of the cells seen and the cells imagined.

Shape legend: I cases; K cells; R rejected cues; C classes; L levels; M imagined versions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.model_selection import StratifiedKFold

from core.heads import Float64Array, IntArray, LinearHead
from core.strategies.column_values import UNKNOWN, levels_of
from core.strategies.columns import rejected_columns
from core.strategies.data import FitData
from core.strategies.directions import within_labels
from core.strategies.fitting import strata

MIN_CELL = 3
"""Cases that a cell needs to count."""
MIN_VALID = 20
"""Validation cases per label from which no folds are needed."""
FOLDS = 3


@dataclass(frozen=True, eq=False)
class Validation:
    """Which cases are predicted by heads that did not see them, in which rounds, and the cells."""

    held_FI: NDArray[np.bool_]  # cases predicted in each round; disjoint
    out_I: NDArray[np.bool_]  # cases kept out of every fit beyond that
    cell_IK: NDArray[np.bool_]

    @property
    def judged_I(self) -> NDArray[np.bool_]:
        """Cases that are predicted in some round."""
        return np.asarray(self.held_FI.any(axis=0), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Predicted:
    """Classes that heads predict for cases they did not see; -1 where none did."""

    seen_I: IntArray
    imagined_MI: IntArray  # of the same cases imagined otherwise; M = 0 where nothing can be


@dataclass(frozen=True)
class Judged:
    """What predictions are worth: the score, the lowest accuracy of a cell, plain accuracy."""

    score: float
    worst: float
    ordinary: float


def build_validation(data: FitData, found_IR: NDArray[np.bool_] | None) -> Validation:
    """Rounds and cells. The data's own validation cases where there are enough of every label,
    else folds over the cases to fit on, stratified by label and cell pattern."""
    labels = np.asarray(data.labels_I, dtype=np.int64)
    cell_IK = _cells(data, found_IR)
    held_I = data.held_I
    sizes = np.bincount(labels[held_I], minlength=len(data.classes))
    if held_I.any() and sizes.min() >= MIN_VALID:
        return Validation(held_I[None], held_I, cell_IK)
    fit = np.flatnonzero(~held_I)
    pattern = np.unique(cell_IK[fit], axis=0, return_inverse=True)[1].ravel()
    folds = max(2, min(FOLDS, int(np.bincount(labels[fit]).min())))
    stratum = strata(labels[fit], pattern, folds)
    rounds = np.zeros((folds, len(labels)), dtype=np.bool_)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=data.seed)
    for number, (_, test) in enumerate(splitter.split(np.zeros(len(fit)), stratum)):
        rounds[number, fit[test]] = True
    return Validation(rounds, held_I, cell_IK)


def predict_rounds(
    data: FitData,
    validation: Validation,
    found_IR: NDArray[np.bool_] | None,
    fit: Callable[[FitData], LinearHead],
) -> Predicted:
    """What heads, fitted without the cases of each round, predict for them as seen and imagined."""
    rounds = [
        _predict(data, held_I, found_IR, fit(replace(data, validation_I=held_I | validation.out_I)))
        for held_I in validation.held_FI
    ]
    versions = min(len(imagined) for _, imagined in rounds)
    seen_I = np.full(len(data.labels_I), -1, dtype=np.int64)
    imagined_MI = np.full((versions, len(data.labels_I)), -1, dtype=np.int64)
    for held_I, (seen, imagined) in zip(validation.held_FI, rounds, strict=True):
        seen_I[held_I] = seen
        imagined_MI[:, held_I] = imagined[:versions]
    return Predicted(seen_I, imagined_MI)


def judge(data: FitData, validation: Validation, predicted: Predicted) -> Judged:
    """Score of predictions on the judged cases. Without cells, the labels are the cells."""
    labels, judged_I = np.asarray(data.labels_I), validation.judged_I
    right_I = predicted.seen_I == labels
    own = [judged_I & (labels == label) for label in range(len(data.classes))]
    cells = [judged_I & cell_I for cell_I in validation.cell_IK.T]
    seen = [float(right_I[cell].mean()) for cell in cells if cell.sum() >= MIN_CELL]
    imagined = [
        float((version_I == labels)[cell].mean())
        for version_I in predicted.imagined_MI
        for cell in own
        if cell.any()
    ]
    ordinary = float(right_I[judged_I].mean())
    seen = seen or [ordinary]
    score = float(np.mean([np.mean(seen), np.mean(imagined)])) if imagined else float(np.mean(seen))
    return Judged(score, min(*seen, *imagined, 1.0), ordinary)


def _predict(
    data: FitData, held_I: NDArray[np.bool_], found_IR: NDArray[np.bool_] | None, head: LinearHead
) -> tuple[IntArray, IntArray]:
    """Classes of the held-out cases as seen [H], and imagined [M, H]."""
    rows = np.flatnonzero(held_I)
    codes_HN = csr_array(data.pooled_IN)[rows].astype(np.float64)
    labels = np.asarray(data.labels_I, dtype=np.int64)[rows]
    logits_HC = head.logits(codes_HN)
    weight_CN = head.weight_CN.astype(np.float64)
    moved = []
    if found_IR is not None:
        shift_HN = _against(codes_HN, labels, found_IR[rows], len(data.classes), weight_CN)
        moved.append((logits_HC + shift_HN).argmax(axis=1))
    for name in rejected_columns(data):
        level_H = levels_of(data.columns[name]).level_I[rows]
        moved += [
            (logits_HC + shift).argmax(axis=1)
            for shift in _elsewhere(codes_HN, labels, level_H, weight_CN)
        ]
    seen = logits_HC.argmax(axis=1)
    return seen, np.stack(moved) if moved else np.zeros((0, len(rows)), np.int64)


def _against(
    codes_HN: csr_array, labels_H: IntArray, found_HR: NDArray[np.bool_], classes: int,
    weight_CN: Float64Array,
) -> Float64Array:  # fmt: skip
    """Change of the logits [H, C] when every cue is turned against the label of its case."""
    shift_HC = np.zeros((len(labels_H), classes))
    for found_H in found_HR.T:
        gap_N = within_labels(codes_HN, labels_H, found_H)
        if gap_N is None:
            continue
        share_C = np.array([
            found_H[labels_H == k].mean() if (labels_H == k).any() else 0.0 for k in range(classes)
        ])  # fmt: skip
        # Present where the label shows it less often than labels do on average.
        wanted_H = (share_C < share_C.mean())[labels_H]
        shift_HC += np.outer(wanted_H.astype(float) - found_H, weight_CN @ gap_N)
    return shift_HC


def _elsewhere(
    codes_HN: csr_array, labels_H: IntArray, level_H: IntArray, weight_CN: Float64Array
) -> list[Float64Array]:
    """Changes of the logits [H, C] when every case is moved to one level of a column, per level.

    What a level does is its gap to the other levels within labels; unknown levels stay.
    """
    effect = {
        int(level): within_labels(codes_HN, labels_H, level_H == level)
        for level in np.unique(level_H[level_H != UNKNOWN])
    }
    known = {level: weight_CN @ gap for level, gap in effect.items() if gap is not None}
    if len(known) < 2:
        return []
    none_C = np.zeros(len(weight_CN))
    own_HC = np.stack([known.get(int(level), none_C) for level in level_H])
    here_H = np.isin(level_H, list(known))[:, None]
    return [np.where(here_H, target_C - own_HC, 0.0) for target_C in known.values()]


def _cells(data: FitData, found_IR: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """bool [I, K]: label with and without every cue, with every level of rejected columns; the
    labels alone where there are neither."""
    labels, columns = np.asarray(data.labels_I), []
    kinds: list[NDArray[np.bool_]] = []
    if found_IR is not None:
        kinds += [shown for found_I in found_IR.T for shown in (found_I, ~found_I)]
    for name in rejected_columns(data):
        kinds += list(levels_of(data.columns[name]).shown_IL().T)
    for label in range(len(data.classes)):
        own = labels == label
        columns += [own & kind for kind in kinds] or [own]
    return np.stack(columns, axis=1)
