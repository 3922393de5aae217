"""From the cases that people marked to all cases: learn what the marked parts look like.

    f_p    = values at place p, their mean and spread in windows around it, how far p lies from the
             edges, and, where that tells marks better, at which row and column
    s_p    = probability that p is rejected, by boosted trees learnt from marked cases
    a_m    = AUC of s inside against outside the part marked in case m, m left out of learning
    kept   = marked cases with a_m >= `least`; the others look like no other mark and are set aside
    reject = {p : s_p >= t}, t of best IoU on the held-back cases that were kept, in the middle of
             the scores between which it is the same

Inputs with one axis (a table, pooled codes) have no neighbours: there s_p is the share of the
other marked cases that reject place p, and what most of them reject is rejected everywhere.

The boosted trees are those of Friedman 2001 in scikit-learn's binned form; the idea that a
few marks make a detector that then finds the rest, and must prove itself on held-back marks first,
is the one of core.cue_detector.

Legend: I cases; M marked cases; K cases at once; C channels; H, W places; L places = H * W;
F features; T sampled places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from torch import Tensor

from core.errors import ConfigError, DetectorFailed, TooFewVerdicts
from core.finetuning.examples import Examples
from core.segmentation import best_threshold

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
WINDOWS = (5, 9)
"""Sides of the windows around a place, in places."""
AT_ONCE = 64
"""Cases whose features are in memory at a time."""
PLACES = 1024
"""Places of a picture that are looked at, at most: of a larger one every second, third ... row and
column, each for the block that it begins."""
GAIN = 0.02
"""Mean AUC by which rows and columns must tell marks better, to be looked at: a cue that is known
from a few places may turn up in others."""


@dataclass(frozen=True)
class SpreadConfig:
    """How marks are spread.

    least      AUC that a held-back mark must reach to be kept, (.5, 1]
    share      share of the marked cases that must be kept, (0, 1]
    cases      marked cases needed at least, >= 2
    folds      parts of the cross-validation, >= 2
    sample     places of each kind that are learnt from, at most
    trees      boosted trees
    seed       of folds and samples
    """

    least: float = 0.8
    share: float = 0.6
    cases: int = 3
    folds: int = 3
    sample: int = 6000
    trees: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.5 < self.least <= 1 or not 0 < self.share <= 1:
            raise ConfigError("least lies in (.5, 1] and share in (0, 1]")
        if min(self.cases, self.folds) < 2 or min(self.sample, self.trees) < 1:
            raise ConfigError("cases and folds must be at least 2, sample and trees at least 1")


@dataclass(frozen=True, eq=False)
class Spread:
    """All cases with the part that is rejected in them.

    examples      the cases; marked ones that were kept have their own marks, all others what was
                  found in them (perhaps nothing)
    auc           mean AUC of the kept marks, each held back from learning, [0, 1]
    iou           overlap of what was found in them with what was marked, [0, 1]
    kept, odd     rows of the marked cases
    notices       what a person should know, in plain words
    """

    examples: Examples
    auc: float
    iou: float
    kept: tuple[int, ...]
    odd: tuple[int, ...]
    notices: tuple[str, ...]


def spread_marks(examples: Examples, config: SpreadConfig | None = None) -> Spread:
    """Find in every case what people rejected in some.

    Args:
        examples: cases [I, L] or [I, C, H, W]; `rejected` of the marked ones.

    Raises:
        TooFewVerdicts: fewer marked cases than `cases`.
        DetectorFailed: too few marks can be told from the others.
        ConfigError: inputs of another shape.
    """
    settings = config or SpreadConfig()
    marked_M = np.flatnonzero(examples.marked_I)
    if len(marked_M) < settings.cases:
        raise TooFewVerdicts(
            f"{len(marked_M)} cases are marked and at least {settings.cases} are needed to "
            "recognise the rest: mark the same cue in more cases"
        )
    tried = [_tried(world, marked_M, settings) for world in _worlds(examples)]
    world, truth_ML, score_ML, auc_M = tried[0]
    for other in tried[1:]:
        if float(other[3].mean()) > float(auc_M.mean()) + GAIN:
            world, truth_ML, score_ML, auc_M = other
    kept_M = auc_M >= settings.least
    _refuse_unlike(kept_M, auc_M, settings)
    threshold, iou = _cut(score_ML[kept_M], truth_ML[kept_M])
    learnt = world.learn(marked_M[kept_M], truth_ML[kept_M], settings)
    found = world.found(learnt, threshold, {int(m) for m in marked_M[kept_M]})
    return Spread(
        replace(examples, rejected=found), float(auc_M[kept_M].mean()), iou,
        tuple(int(m) for m in marked_M[kept_M]), tuple(int(m) for m in marked_M[~kept_M]),
        _notices(kept_M),
    )  # fmt: skip


def _tried(
    world: _Places | _Columns, marked_M: NDArray[np.int64], settings: SpreadConfig
) -> tuple[_Places | _Columns, Bools, Floats, Floats]:
    """Marks [M, L], their scores by what the others teach [M, L] and AUC of each case [M]."""
    truth_ML = world.masks(marked_M)
    score_ML = _held_back(world, marked_M, truth_ML, settings)
    auc_M = np.asarray([_auc(t, s) for t, s in zip(truth_ML, score_ML, strict=True)])
    return world, truth_ML, score_ML, auc_M


def _cut(score_ML: Floats, truth_ML: Bools) -> tuple[float, float]:
    """The threshold of best IoU, half-way to the next lower score, and that IoU."""
    threshold, iou = best_threshold(score_ML, truth_ML)
    lower = score_ML[score_ML < threshold]
    return (threshold if not lower.size else (threshold + float(lower.max())) / 2), iou


def _refuse_unlike(kept_M: Bools, auc_M: Floats, settings: SpreadConfig) -> None:
    kept = int(kept_M.sum())
    if kept < settings.cases or kept < settings.share * len(kept_M):
        raise DetectorFailed(
            f"the marked parts have too little in common: only {kept} of {len(kept_M)} could be "
            f"recognised after learning from the others (median AUC {np.median(auc_M):.2f}, needed "
            f"{settings.least:.2f}); nothing was changed. Mark only what lies on the cue, and one "
            "cue at a time"
        )


def _notices(kept_M: Bools) -> tuple[str, ...]:
    odd = int((~kept_M).sum())
    if not odd:
        return ()
    return (
        f"{odd} of {len(kept_M)} marks look unlike all others and were set aside: look at them "
        "again",
    )


def _auc(truth_L: Bools, score_L: Floats) -> float:
    """AUC within one case; .5 where all or nothing is marked, as nothing can be told."""
    if truth_L.all() or not truth_L.any():
        return 0.5
    return float(roc_auc_score(truth_L, score_L))


def _held_back(
    world: _Places | _Columns, marked_M: NDArray[np.int64], truth_ML: Bools, settings: SpreadConfig
) -> Floats:
    """Scores of every marked case by what was learnt from the other folds, float64 [M, L]."""
    order_M = np.random.default_rng(settings.seed).permutation(len(marked_M))
    score_ML = np.zeros(truth_ML.shape)
    for fold in np.array_split(order_M, min(settings.folds, len(marked_M))):
        rest = np.setdiff1d(order_M, fold)
        learnt = world.learn(marked_M[rest], truth_ML[rest], settings)
        score_ML[fold] = world.scores(learnt, marked_M[fold])
    return score_ML


def _worlds(examples: Examples) -> tuple[_Places | _Columns, ...]:
    """What can be looked at, the most general first."""
    axes = examples.inputs.ndim - 1
    if axes == 1:
        return (_Columns(examples),)
    if axes == 3:
        return _Places(examples, False), _Places(examples, True)
    raise ConfigError(f"marks are spread over inputs of 1 or 3 axes, not {axes}")


@dataclass(frozen=True, eq=False)
class _Columns:
    """Inputs [I, L]: only which column it is can tell a place."""

    examples: Examples

    def masks(self, rows: NDArray[np.int64]) -> Bools:
        """Marked places, bool [K, L]."""
        return _own_masks(self.examples, rows)

    def learn(self, rows: NDArray[np.int64], truth_ML: Bools, _: SpreadConfig) -> Floats:
        """Share of the cases that reject each column, float64 [L]."""
        return np.asarray(truth_ML.mean(0), np.float64)

    def scores(self, learnt: Floats, rows: NDArray[np.int64]) -> Floats:
        """The same for every case, float64 [K, L]."""
        return np.tile(learnt, (len(rows), 1))

    def found(self, learnt: Floats, threshold: float, own: set[int]) -> Tensor:
        """What most people rejected, in every case, bool [I, L]."""
        rejected_L = torch.from_numpy(learnt >= max(0.5, min(threshold, 1.0)))
        return rejected_L.expand(self.examples.inputs.shape).clone()


@dataclass(frozen=True, eq=False)
class _Places:
    """Inputs [I, C, H, W]: a place is told by what it looks like and where it lies."""

    examples: Examples
    located: bool  # whether rows and columns are looked at

    def masks(self, rows: NDArray[np.int64]) -> Bools:
        """Marked places looked at, bool [K, L]; marked where any channel is."""
        return self._own(rows)[:, :: self.step, :: self.step].reshape(len(rows), -1)

    @property
    def step(self) -> int:
        """Rows and columns from one place looked at to the next."""
        height, width = self.examples.inputs.shape[2:]
        return max(1, int(np.ceil(np.sqrt(height * width / PLACES))))

    def _own(self, rows: NDArray[np.int64]) -> Bools:
        """Own marks of some cases, bool [K, H, W]."""
        shape = (len(rows), *self.examples.inputs.shape[1:])
        return np.asarray(_own_masks(self.examples, rows).reshape(shape).any(1), np.bool_)

    def learn(
        self, rows: NDArray[np.int64], truth_ML: Bools, settings: SpreadConfig
    ) -> HistGradientBoostingClassifier:
        """Trees on as many rejected as other places."""
        rng = np.random.default_rng([settings.seed, len(rows)])
        inside_T, outside_T = (
            _sampled(np.flatnonzero(part), settings.sample, rng)
            for part in (truth_ML.ravel(), ~truth_ML.ravel())
        )
        picked_T = np.concatenate((inside_T, outside_T))
        features_TF = self._picked(rows, picked_T, truth_ML.shape[1])
        target_T = np.repeat((1, 0), (len(inside_T), len(outside_T)))
        weight_T = np.where(target_T == 1, 1 / max(1, len(inside_T)), 1 / max(1, len(outside_T)))
        trees = HistGradientBoostingClassifier(
            max_iter=settings.trees, learning_rate=0.2, max_leaf_nodes=15, early_stopping=False,
            random_state=settings.seed,
        )  # fmt: skip
        return trees.fit(features_TF, target_T, weight_T * len(weight_T))

    def scores(self, learnt: HistGradientBoostingClassifier, rows: NDArray[np.int64]) -> Floats:
        """Log-odds that a place is rejected, float64 [K, L]."""
        parts = []
        for start in range(0, len(rows), AT_ONCE):
            block = rows[start : start + AT_ONCE]
            features = self._features(block)
            flat = learnt.decision_function(features.reshape(-1, features.shape[-1]))
            parts.append(np.asarray(flat, np.float64).reshape(len(block), -1))
        return np.concatenate(parts)

    def found(
        self, learnt: HistGradientBoostingClassifier, threshold: float, own: set[int]
    ) -> Tensor:
        """Own marks where a case has some, else what was found, bool [I, 1, H, W]."""
        count, _, height, width = self.examples.inputs.shape
        every = np.arange(count, dtype=np.int64)
        found_IL = self.scores(learnt, every) >= threshold
        coarse = found_IL.reshape(count, -(-height // self.step), -(-width // self.step))
        fine = coarse.repeat(self.step, axis=1).repeat(self.step, axis=2)[:, :height, :width]
        marked = np.asarray(sorted(own), np.int64)
        fine[marked] = self._own(marked)
        return torch.from_numpy(np.ascontiguousarray(fine[:, None]))

    def _picked(
        self, rows: NDArray[np.int64], picked_T: NDArray[np.int64], places: int
    ) -> NDArray[np.float32]:
        """Features of some places, given as row * places + place, float32 [T, F]."""
        parts: list[NDArray[np.float32]] = []
        at: list[NDArray[np.int64]] = []
        for start in range(0, len(rows), AT_ONCE):
            block = rows[start : start + AT_ONCE]
            inside = (picked_T // places >= start) & (picked_T // places < start + len(block))
            features = self._features(block)
            local = picked_T[inside] - start * places
            parts.append(features.reshape(-1, features.shape[-1])[local])
            at.append(np.flatnonzero(inside))
        features_TF = np.empty((len(picked_T), parts[0].shape[1]), np.float32)
        features_TF[np.concatenate(at)] = np.concatenate(parts)
        return features_TF

    def _features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """What every place of some cases looks like and where it lies, float32 [K, L, F]."""
        values = self.examples.inputs[torch.from_numpy(rows)].numpy()
        count, _, height, width = values.shape
        layers = [values]
        for side in WINDOWS:
            mean = uniform_filter(values, (1, 1, side, side), mode="nearest")
            square = uniform_filter(values**2, (1, 1, side, side), mode="nearest")
            layers += [mean, np.sqrt(np.maximum(square - mean**2, 0))]
        row_H, column_W = (np.linspace(0, 1, n, dtype=np.float32) for n in (height, width))
        where = np.stack(np.meshgrid(row_H, column_W, indexing="ij"))
        edges = np.minimum(where, 1 - where)
        nearest = np.sort(edges, axis=0)  # the nearest edge first, whichever it is
        where = np.concatenate((nearest, where)) if self.located else nearest
        layers.append(np.broadcast_to(where, (count, *where.shape)))
        layers = [layer[:, :, :: self.step, :: self.step] for layer in layers]
        stacked = np.concatenate(layers, axis=1).astype(np.float32)
        return np.ascontiguousarray(stacked.reshape(count, stacked.shape[1], -1).transpose(0, 2, 1))


def _own_masks(examples: Examples, rows: NDArray[np.int64]) -> Bools:
    """Rejected places of some cases, spread over the whole input, bool [K, all places]."""
    if examples.rejected is None:
        raise ConfigError("no case is marked")
    part = examples.rejected[torch.from_numpy(rows)]
    whole = part.expand(len(rows), *examples.inputs.shape[1:])
    return np.asarray(whole.reshape(len(rows), -1).numpy(), np.bool_)


def _sampled(places: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if len(places) <= count:
        return places
    return np.sort(rng.choice(places, count, replace=False))


def unmarked(examples: Examples, rows: Sequence[int]) -> Examples:
    """The cases with the marks of all but `rows` removed: what is known after as many verdicts."""
    if examples.rejected is None:
        raise ConfigError("no case is marked")
    keep = torch.zeros(len(examples), dtype=torch.bool)
    keep[torch.as_tensor(list(rows), dtype=torch.int64)] = True
    shape = (-1, *(1,) * (examples.inputs.ndim - 1))
    return replace(examples, rejected=examples.rejected & keep.reshape(shape))
