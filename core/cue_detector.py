"""Detectors for what experts pointed at: linear on dense tokens, learnt from marked regions.

Each group of marks (core.cue_marks) gets one detector, which must prove itself on marked cases
that it was not learnt from, and then says by itself which cases show the cue.

Shape legend: P patches; D embedding; T tokens; I cases; R rejected cues; K cuts tried.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from core.cue_marks import (
    DetectorConfig,
    Float64Array,
    MarkedRegion,
    Scene,
    TokensOf,
    build_scene,
    group_marks,
    split_marks,
    top_mean,
)
from core.errors import DetectorFailed, TooFewVerdicts
from core.types import BoolArray, FloatArray

_EIGHT = np.ones((3, 3), dtype=np.bool_)
TRIMS = 2
"""Fits after the first one, each on a sample cleaned by the one before."""
CUTS = 101
"""Thresholds tried."""


@dataclass(frozen=True, eq=False)
class RejectedCue:
    """Something experts rejected, and how to recognise it.

    concepts      the concepts that were marked, most often marked first
    weight_D      float32; a token's score is weight . token + bias, logit units
    threshold     case score from which the cue counts as present
    patches       a case's score is the mean of its `patches` highest token scores
    heldback_auc  of tokens in held-back marked regions against tokens outside them
    regions       marked regions it was learnt from
    rows          cases they lie in
    """

    concepts: tuple[int, ...]
    weight_D: FloatArray
    bias: float
    threshold: float
    patches: int
    heldback_auc: float
    regions: int
    rows: tuple[int, ...]

    def token_scores(self, tokens_PD: FloatArray) -> Float64Array:
        """Score of every token, float64 [P], logit units."""
        return np.asarray(tokens_PD.astype(np.float64) @ self.weight_D.astype(np.float64)) + (
            self.bias
        )

    def case_score(self, tokens_PD: FloatArray) -> float:
        """Mean of the `patches` highest token scores, logit units."""
        return top_mean(self.token_scores(tokens_PD), self.patches)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready; `from_json` restores it."""
        return {
            "concepts": list(self.concepts),
            "weight": [float(w) for w in self.weight_D],
            "bias": self.bias,
            "threshold": self.threshold,
            "patches": self.patches,
            "heldback_auc": self.heldback_auc,
            "regions": self.regions,
            "rows": list(self.rows),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RejectedCue":
        """Restore what `as_json` gave."""
        return cls(
            concepts=tuple(int(k) for k in data["concepts"]),
            weight_D=np.asarray(data["weight"], dtype=np.float32),
            bias=float(data["bias"]),
            threshold=float(data["threshold"]),
            patches=int(data["patches"]),
            heldback_auc=float(data["heldback_auc"]),
            regions=int(data["regions"]),
            rows=tuple(int(row) for row in data["rows"]),
        )


@dataclass(frozen=True, eq=False)
class _Sample:
    """What one detector is fitted to: weighted positives and negatives, standardised tokens."""

    positive_TD: Float64Array
    positive_weight_T: Float64Array
    negative_TD: Float64Array
    negative_weight_T: Float64Array


def fit_detector(
    scene: Scene,
    regions: Mapping[int, BoolArray],
    foreign: Sequence[tuple[int, BoolArray]],
    config: DetectorConfig,
) -> tuple[Float64Array, float]:
    """Weights [D] and bias, on standardised tokens, of a region against everything else.

    Positives are the marked tokens, every case weighing alike. Negatives are the other tokens of
    the same cases (a ring around the region is left out: concepts seldom end at the edge of a
    thing), the regions of other cues, and tokens of sampled cases. After a first fit the
    negatives that look more marked than most marked tokens are taken for unmarked parts of the
    cue and dropped, and so are the least convincing marked tokens; then it is fitted again.

    Args:
        regions: row -> bool [P], union of the cue's marked regions in that case.
        foreign: regions that belong to something else (correct cues, other rejected cues).
    """
    sample = _sample(scene, regions, foreign, config)
    weight_D, bias = _fit(sample, config)
    for _ in range(TRIMS):
        weight_D, bias = _fit(_trimmed(sample, weight_D, bias, config), config)
    return weight_D, bias


def _sample(
    scene: Scene,
    regions: Mapping[int, BoolArray],
    foreign: Sequence[tuple[int, BoolArray]],
    config: DetectorConfig,
) -> _Sample:
    rng = np.random.default_rng(config.seed)
    positive = [scene.marked[row][region] for row, region in regions.items()]
    negative = [scene.marked[row][outside(region, scene.grid)] for row, region in regions.items()]
    for row, region in foreign:
        clear_P = region if row not in regions else region & ~regions[row]
        negative.append(scene.marked[row][clear_P])
    for tokens_PD in scene.background:
        negative.append(tokens_PD[rng.permutation(len(tokens_PD))[: config.per_case]])
    return _Sample(
        np.concatenate(positive),
        np.concatenate([np.full(len(part), 1 / max(len(part), 1)) for part in positive]),
        np.concatenate(negative),
        np.ones(sum(len(part) for part in negative)),
    )


def outside(region_P: BoolArray, grid: tuple[int, int] | None) -> BoolArray:
    """Patches outside a region and its ring of neighbours (no ring without a grid)."""
    if grid is None:
        return ~region_P
    wide = binary_dilation(region_P.reshape(grid), structure=_EIGHT)
    return np.asarray(~wide.ravel(), dtype=np.bool_)


def _fit(sample: _Sample, config: DetectorConfig) -> tuple[Float64Array, float]:
    tokens_TD = np.concatenate((sample.positive_TD, sample.negative_TD))
    truth_T = np.repeat((1, 0), (len(sample.positive_TD), len(sample.negative_TD)))
    up = sample.positive_weight_T / sample.positive_weight_T.sum()
    down = sample.negative_weight_T / sample.negative_weight_T.sum()
    weight_T = np.concatenate((up, down)) * len(tokens_TD) / 2
    model = LogisticRegression(C=config.c, max_iter=2000)
    model.fit(tokens_TD, truth_T, sample_weight=weight_T)
    return model.coef_[0], float(model.intercept_[0])


def _trimmed(
    sample: _Sample, weight_D: Float64Array, bias: float, config: DetectorConfig
) -> _Sample:
    up_T = sample.positive_TD @ weight_D + bias
    down_T = sample.negative_TD @ weight_D + bias
    # A marked token stays unless it is among the weakest and looks unmarked; an unmarked one
    # goes where it looks more marked than the `trim` quantile of the marked ones.
    keep_T = (up_T >= np.quantile(up_T, config.trim)) | (up_T > 0)
    limit = max(float(np.quantile(up_T[keep_T], 0.25)), 0.0)
    stay_T = down_T < limit
    if not stay_T.any():
        return sample
    return _Sample(
        sample.positive_TD[keep_T],
        sample.positive_weight_T[keep_T],
        sample.negative_TD[stay_T],
        sample.negative_weight_T[stay_T],
    )


def learn_rejected_cues(
    tokens_of: TokensOf,
    marks: Sequence[MarkedRegion],
    *,
    background_rows: Sequence[int] = (),
    grid: tuple[int, int] | None = None,
    config: DetectorConfig | None = None,
    names: Mapping[int, str] | None = None,
) -> tuple[RejectedCue, ...]:
    """One checked detector per thing that experts rejected, most often marked first.

    Args:
        tokens_of: dense tokens float32 [P, D] of a case; same P and D for all.
        marks: verdicts "spurious" and "correct", one per cue, several people already merged.
        background_rows: further cases (say, all of training), with or without verdicts.
        grid: rows and columns of the patch grid; None takes a square one where P is square.
        names: what to call a concept in messages.

    Raises:
        TooFewVerdicts: nothing was marked spurious in at least `min_regions` cases.
        DetectorFailed: a cue was marked often enough, but its detector does not find it in
            marked cases that it was not learnt from.
    """
    settings = config or DetectorConfig()
    spurious = [m for m in marks if m.verdict == "spurious" and m.region_P.any()]
    correct = [m for m in marks if m.verdict == "correct" and m.region_P.any()]
    if not spurious:
        raise TooFewVerdicts("no cue has been marked as spurious yet")
    scene = build_scene(tokens_of, [*spurious, *correct], background_rows, grid, settings)
    groups = group_marks(scene, split_marks(scene, spurious, settings), settings)
    kept = [g for g in groups if len({m.row for m in g}) >= settings.min_regions]
    if not kept:
        most = max(len({m.row for m in g}) for g in groups)
        raise TooFewVerdicts(
            f"a rejected cue must be marked in at least {settings.min_regions} cases; the one "
            f"marked most often was found in {most}: mark the same cue in more cases"
        )
    cues = []
    for own in kept:
        others = [m for g in kept if g is not own for m in g]
        cues.append(_learn_one(scene, own, [*correct, *others], settings))
    passed = [cue.heldback_auc >= settings.min_auc for cue in cues]
    _refuse_failed(cues, kept, passed, settings, names or {})
    return tuple(cue for cue, good in zip(cues, passed, strict=True) if good)


def _learn_one(
    scene: Scene,
    own: Sequence[MarkedRegion],
    foreign_marks: Sequence[MarkedRegion],
    config: DetectorConfig,
) -> RejectedCue:
    regions = _union(own)
    foreign = [(m.row, m.region_P) for m in foreign_marks]
    patches = max(2, round(float(np.median([r.sum() for r in regions.values()])) / 2))
    held = _held_back(scene, regions, foreign, patches, config)
    weight_D, bias = fit_detector(scene, regions, foreign, config)
    score_I = np.asarray([top_mean(t @ weight_D + bias, patches) for t in scene.all_cases()])
    raw_D = weight_D / scene.scale_D
    marked = {(m.row, m.concept) for m in own}  # a mark may be here in two parts
    concepts = [concept for _, concept in marked]
    return RejectedCue(
        concepts=tuple(sorted(set(concepts), key=lambda k: (-concepts.count(k), k))),
        weight_D=raw_D.astype(np.float32),
        bias=float(bias - raw_D @ scene.mean_D),
        threshold=_threshold(score_I, held.present, held.absent),
        patches=patches,
        heldback_auc=held.auc,
        regions=len(marked),
        rows=tuple(sorted(regions)),
    )


def _union(marks: Sequence[MarkedRegion]) -> dict[int, BoolArray]:
    """Row -> union of its marked regions."""
    regions: dict[int, BoolArray] = {}
    for mark in marks:
        known = regions.get(mark.row, np.zeros_like(mark.region_P))
        regions[mark.row] = known | mark.region_P
    return regions


@dataclass(frozen=True, eq=False)
class _HeldBack:
    """What detectors say of marked cases that they were not learnt from."""

    auc: float
    present: Float64Array  # case scores of the marked cases
    absent: Float64Array  # the same of what is left of them without the region


def _held_back(
    scene: Scene,
    regions: Mapping[int, BoolArray],
    foreign: Sequence[tuple[int, BoolArray]],
    patches: int,
    config: DetectorConfig,
) -> _HeldBack:
    """Case-wise cross-validation: no token of a tested case was seen in learning."""
    rows = np.random.default_rng(config.seed).permutation(sorted(regions))
    up: list[Float64Array] = []
    down: list[Float64Array] = []
    present, absent = [], []
    for fold in np.array_split(rows, min(config.folds, len(rows))):
        out = {int(row) for row in fold}
        learnt = {row: region for row, region in regions.items() if row not in out}
        elsewhere = [(row, region) for row, region in foreign if row not in out]
        weight_D, bias = fit_detector(scene, learnt, elsewhere, config)
        for row in sorted(out):
            score_P = scene.marked[row] @ weight_D + bias
            rest_P = score_P[outside(regions[row], scene.grid)]
            up.append(score_P[regions[row]])
            down.append(rest_P)
            present.append(top_mean(score_P, patches))
            # What scores like the marked part is taken for an unmarked part of the same thing.
            plain_P = rest_P[rest_P < np.quantile(score_P[regions[row]], 0.25)]
            absent.append(top_mean(plain_P if len(plain_P) else rest_P, patches))
    return _HeldBack(
        _auc(np.concatenate(up), np.concatenate(down)), np.asarray(present), np.asarray(absent)
    )


def _auc(up_T: Float64Array, down_T: Float64Array) -> float:
    truth = np.repeat((1, 0), (len(up_T), len(down_T)))
    return float(roc_auc_score(truth, np.concatenate((up_T, down_T))))


def _refuse_failed(
    cues: Sequence[RejectedCue],
    groups: Sequence[Sequence[MarkedRegion]],
    passed: Sequence[bool],
    config: DetectorConfig,
    names: Mapping[int, str],
) -> None:
    """Raise for the worst failed cue, unless its marks are told by other cues.

    Part of a region may be skin beside the thing that was meant. Such parts form a group that
    cannot be recognised; that is no failure as long as the other parts of the same marks are.
    """
    told = {
        (mark.row, mark.concept)
        for group, good in zip(groups, passed, strict=True)
        for mark in group
        if good
    }
    failed = [
        cue
        for cue, group, good in zip(cues, groups, passed, strict=True)
        if not good
        and len({m.row for m in group if (m.row, m.concept) not in told}) >= config.min_regions
    ]
    if not failed and any(passed):
        return
    worst = min(failed or cues, key=lambda cue: cue.heldback_auc)
    called = ", ".join(names.get(k, f"concept {k}") for k in worst.concepts[:3])
    raise DetectorFailed(
        f"the cue marked as {called} (in {len(worst.rows)} cases) could not be recognised in "
        f"marked cases that were held back: AUC {worst.heldback_auc:.2f}, needed "
        f"{config.min_auc:.2f}; nothing was changed. Check these verdicts, or mark more cases"
    )


def _threshold(score_I: Float64Array, present: Float64Array, absent: Float64Array) -> float:
    """The case score that best splits cases with the cue from cases without.

    It lies between the bulk of `absent` and the weakest quarter of `present`; there it minimises
    the error of two normal distributions, one on each side (Kittler and Illingworth 1986), which
    unlike Otsu's rule does not drift towards the larger side. A gap is cut in its middle: a case
    on the wrong side weighs most in the smallest group.
    """
    low, high = float(np.median(absent)), float(np.quantile(present, 0.25))
    if not low < high:
        return (low + high) / 2
    cut_K = np.linspace(low, high, CUTS + 2)[1:-1]
    cost_K = np.asarray([_split_cost(score_I, float(cut)) for cut in cut_K])
    best = np.flatnonzero(cost_K <= cost_K.min() + 1e-9)
    return float(cut_K[best].mean())


def _split_cost(score_I: Float64Array, cut: float) -> float:
    """Kittler and Illingworth's criterion; infinite where a side has fewer than two cases."""
    cost = 0.0
    for side in (score_I[score_I > cut], score_I[score_I <= cut]):
        if len(side) < 2:
            return float("inf")
        share = len(side) / len(score_I)
        cost += share * (float(np.log(side.std() + 1e-6)) - float(np.log(share)))
    return cost


def presence(
    cues: Sequence[RejectedCue], tokens_of: TokensOf, rows: Sequence[int]
) -> NDArray[np.bool_]:
    """Which cues show in which cases, bool [I, R], by the detectors alone."""
    found = np.zeros((len(rows), len(cues)), dtype=np.bool_)
    for i, row in enumerate(rows):
        tokens_PD = np.asarray(tokens_of(row))
        found[i] = [cue.case_score(tokens_PD) > cue.threshold for cue in cues]
    return found
