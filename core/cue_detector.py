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
from sklearn.metrics import roc_auc_score

from core.cue_fit import fit_detector, outside
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
from core.drawn import called
from core.errors import DetectorFailed, TooFewVerdicts
from core.types import BoolArray, FloatArray

CUTS = 101
"""Thresholds tried."""
ODD = 0.75
"""Held-back AUC of one case under which its mark is unlike the others."""
FIRM = 0.6
"""Share of the marked cases that must be left when odd ones are dropped."""


@dataclass(frozen=True, eq=False)
class RejectedCue:
    """Something experts rejected, and how to recognise it.

    concepts      the concepts that were marked, most often marked first; NO_CONCEPT among them
                  where places were drawn that no concept shows
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
    study = study_rejected_cues(
        tokens_of, marks, background_rows=background_rows, grid=grid, config=settings
    )
    untold = [cue for cue in study.failed if cue.untold >= settings.min_regions]
    if untold or not study.cues:
        raise DetectorFailed(_failure(untold or study.failed, settings, names or {}))
    return study.cues


@dataclass(frozen=True, eq=False)
class FailedCue:
    """Marks that belong together, but whose detector did not prove itself.

    untold  cases among them whose marks no good detector tells either: part of a region may be
            skin beside the thing that was meant, and such parts may fail without harm
    """

    cue: RejectedCue
    untold: int


@dataclass(frozen=True, eq=False)
class CueStudy:
    """What was learnt from the marks, good and bad; most often marked first.

    told   (row, concept) of the marks that a good detector was learnt from
    """

    cues: tuple[RejectedCue, ...]
    failed: tuple[FailedCue, ...]
    told: frozenset[tuple[int, int]]


def study_rejected_cues(
    tokens_of: TokensOf,
    marks: Sequence[MarkedRegion],
    *,
    background_rows: Sequence[int] = (),
    grid: tuple[int, int] | None = None,
    config: DetectorConfig | None = None,
) -> CueStudy:
    """As `learn_rejected_cues`, but detectors that fail are handed back beside the good ones.

    With `config.rescue`, a cue that fails is tried once more without the marks that the held-back
    check finds unlike the others, as long as most marks are left (one person may have slipped).

    Raises:
        TooFewVerdicts: nothing was marked spurious in at least `min_regions` cases.
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
    pairs = []
    for own in kept:
        others = [m for g in kept if g is not own for m in g]
        pairs.append(_learn_firm(scene, own, [*correct, *others], settings))
    good = [(cue, group) for cue, group in pairs if cue.heldback_auc >= settings.min_auc]
    told = frozenset((m.row, m.concept) for _, group in good for m in group)
    failed = [
        FailedCue(cue, len({m.row for m in group if (m.row, m.concept) not in told}))
        for cue, group in pairs
        if cue.heldback_auc < settings.min_auc
    ]
    return CueStudy(tuple(cue for cue, _ in good), tuple(failed), told)


def learn_from_one(
    tokens_of: TokensOf,
    mark: MarkedRegion,
    others: Sequence[MarkedRegion],
    *,
    background_rows: Sequence[int] = (),
    grid: tuple[int, int] | None = None,
    config: DetectorConfig | None = None,
) -> RejectedCue:
    """A detector from a single mark; its `heldback_auc` is NaN, since nothing was held back.

    The caller must check it in some other way.

    Args:
        others: marks on other things, correct ones and other rejected cues.
    """
    settings = config or DetectorConfig()
    scene = build_scene(tokens_of, [mark, *others], background_rows, grid, settings)
    foreign = [(m.row, m.region_P) for m in others]
    weight_D, bias = fit_detector(scene, {mark.row: mark.region_P}, foreign, settings)
    patches = max(2, round(float(mark.region_P.sum()) / 2))
    score_P = scene.marked[mark.row] @ weight_D + bias
    rest_P = score_P[outside(mark.region_P, scene.grid)]
    held = _HeldBack(
        float("nan"), frozenset(), np.array([top_mean(score_P, patches)]),
        np.array([top_mean(rest_P if len(rest_P) else score_P, patches)]),
    )  # fmt: skip
    score_I = np.asarray([top_mean(t @ weight_D + bias, patches) for t in scene.all_cases()])
    raw_D = weight_D / scene.scale_D
    return RejectedCue(
        (mark.shows,), raw_D.astype(np.float32), float(bias - raw_D @ scene.mean_D),
        _threshold(score_I, held.present, held.absent), patches, held.auc, 1, (mark.row,),
    )  # fmt: skip


def _learn_firm(
    scene: Scene,
    own: Sequence[MarkedRegion],
    foreign_marks: Sequence[MarkedRegion],
    config: DetectorConfig,
) -> tuple[RejectedCue, Sequence[MarkedRegion]]:
    """A detector and the marks it was learnt from: all, or those that hold together."""
    cue, odd = _learn_one(scene, own, foreign_marks, config)
    rest = [mark for mark in own if mark.row not in odd]
    rows, left = {m.row for m in own}, {m.row for m in rest}
    enough = len(left) >= max(config.min_regions, FIRM * len(rows)) and len(left) < len(rows)
    if cue.heldback_auc >= config.min_auc or not config.rescue or not enough:
        return cue, own
    second, _ = _learn_one(scene, rest, foreign_marks, config)
    return (second, rest) if second.heldback_auc >= config.min_auc else (cue, own)


def _learn_one(
    scene: Scene,
    own: Sequence[MarkedRegion],
    foreign_marks: Sequence[MarkedRegion],
    config: DetectorConfig,
) -> tuple[RejectedCue, frozenset[int]]:
    """A detector, and the rows whose marks the held-back check finds unlike the others."""
    regions = _union(own)
    foreign = [(m.row, m.region_P) for m in foreign_marks]
    patches = max(2, round(float(np.median([r.sum() for r in regions.values()])) / 2))
    sure = {row: max(m.weight for m in own if m.row == row) for row in regions}
    held = _held_back(scene, regions, foreign, patches, config)
    weight_D, bias = fit_detector(scene, regions, foreign, config, sure)
    score_I = np.asarray([top_mean(t @ weight_D + bias, patches) for t in scene.all_cases()])
    raw_D = weight_D / scene.scale_D
    marked = {(m.row, m.concept): m.shows for m in own}  # a mark may be here in two parts
    concepts = list(marked.values())
    cue = RejectedCue(
        concepts=tuple(sorted(set(concepts), key=lambda k: (-concepts.count(k), k))),
        weight_D=raw_D.astype(np.float32),
        bias=float(bias - raw_D @ scene.mean_D),
        threshold=_threshold(score_I, held.present, held.absent),
        patches=patches,
        heldback_auc=held.auc,
        regions=len(marked),
        rows=tuple(sorted(regions)),
    )
    return cue, held.odd


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
    odd: frozenset[int]  # rows whose marked tokens alone score an AUC under ODD
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
    odd: set[int] = set()
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
            if len(rest_P) and _auc(up[-1], rest_P) < ODD:
                odd.add(row)
            present.append(top_mean(score_P, patches))
            if not len(rest_P):
                continue  # marked from edge to edge: nothing is left that could be without it
            # What scores like the marked part is taken for an unmarked part of the same thing.
            plain_P = rest_P[rest_P < np.quantile(score_P[regions[row]], 0.25)]
            absent.append(top_mean(plain_P if len(plain_P) else rest_P, patches))
    auc = _auc(np.concatenate(up), np.concatenate(down))
    return _HeldBack(auc, frozenset(odd), np.asarray(present), np.asarray(absent))


def _auc(up_T: Float64Array, down_T: Float64Array) -> float:
    if not len(up_T) or not len(down_T):
        return 0.5  # nothing to tell apart: as good as a coin
    truth = np.repeat((1, 0), (len(up_T), len(down_T)))
    return float(roc_auc_score(truth, np.concatenate((up_T, down_T))))


def _failure(failed: Sequence[FailedCue], config: DetectorConfig, names: Mapping[int, str]) -> str:
    """Words for the worst of the cues that failed."""
    worst = min(failed, key=lambda one: one.cue.heldback_auc).cue
    name = ", ".join(called(k, names) for k in worst.concepts[:3])
    return (
        f"the cue marked as {name} (in {len(worst.rows)} cases) could not be recognised in "
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
    # Where every marked case is marked from edge to edge, the lowest case stands for "without".
    low = float(np.median(absent)) if len(absent) else float(score_I.min())
    high = float(np.quantile(present, 0.25))
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
