"""Which marks point at the same thing.

A rejected cue is rarely one concept: a ruler has ticks, a strip and numbers, and one concept may
fire on rulers and dark corners alike, even in the same case. So the marks, not the concepts, are
grouped. First every region is split into two kinds of tokens; then the parts belong together
whose small detectors, learnt from each alone, fire in the same cases. What was split needlessly
comes together again here.

Shape legend: P patches; D embedding; M marks; I cases.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.cluster import KMeans

from core.drawn import NO_CONCEPT, is_place
from core.errors import ConfigError
from core.types import BoolArray, FloatArray

Float64Array = NDArray[np.float64]
TokensOf = Callable[[int], FloatArray]
MIN_PART = 3
"""Patches that a part of a region needs."""


@dataclass(frozen=True)
class MarkedRegion:
    """One verdict on one cue or drawn place, with the patches that it speaks of.

    row      the case, as `tokens_of` knows it
    concept  the cue's; below 0 for a place that people drew where no concept shows what they
             rejected (core.drawn.NO_CONCEPT, counting down within the case)
    region_P bool [P], the cue's region on the patch grid (row-major)
    weight   how sure the people are together, (0, 1]; a detector listens to it in that measure
    """

    row: int
    concept: int
    region_P: BoolArray
    verdict: Literal["spurious", "correct"]
    weight: float = 1.0

    @property
    def shows(self) -> int:
        """The concept, NO_CONCEPT for any drawn place: what a cue learnt from it is known by."""
        return NO_CONCEPT if is_place(self.concept) else self.concept


@dataclass(frozen=True)
class DetectorConfig:
    """How rejected cues are learnt.

    min_regions  cases with a marked region that a cue needs, >= 2
    min_auc      held-back AUC under which a detector is refused, (0.5, 1]
    folds        of the case-wise cross-validation; with fewer cases each is left out once
    c            inverse L2 penalty of the detector on standardised tokens; small, because the
                 tokens of a handful of regions are many but far from independent
    link         correlation of case scores from which two marks point at the same thing
    loose        the same for marks that find too few partners at `link`
    trim         share of the marked tokens that may be wrong (skin inside a ruler's region),
                 and quantile above which unmarked tokens count as unmarked parts of the cue
    background   cases sampled as further negatives and to compare marks
    per_case     tokens sampled from each of them
    rescue       whether a cue that fails may be tried again without its odd marks
    seed         of the sampling
    """

    min_regions: int = 3
    min_auc: float = 0.9
    folds: int = 5
    c: float = 3e-4
    link: float = 0.5
    loose: float = 0.3
    trim: float = 0.1
    background: int = 300
    per_case: int = 40
    rescue: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.min_regions < 2 or self.folds < 2:
            raise ConfigError("a detector needs at least two marked cases and two folds")
        if not 0.5 < self.min_auc <= 1:
            raise ConfigError(f"the smallest AUC must lie in (0.5, 1], got {self.min_auc}")
        if not 0 <= self.trim < 0.5:
            raise ConfigError(f"the trimmed share must lie in [0, 0.5), got {self.trim}")


def top_mean(score_P: Float64Array, patches: int) -> float:
    """Mean of the `patches` highest values."""
    count = min(max(patches, 1), score_P.shape[0])
    return float(np.partition(score_P, -count)[-count:].mean())


@dataclass(frozen=True, eq=False)
class Scene:
    """The tokens a detector is learnt from, standardised per dimension.

    marked        row -> tokens [P, D] of the cases with a verdict
    background    tokens [P, D] of sampled cases without a verdict
    mean_D, scale_D  of all of them: standardised = (token - mean) / scale
    """

    marked: Mapping[int, Float64Array]
    background: tuple[Float64Array, ...]
    mean_D: Float64Array
    scale_D: Float64Array
    grid: tuple[int, int] | None

    def all_cases(self) -> list[Float64Array]:
        """Tokens of every case, marked ones first, float64 [P, D] each."""
        return [*self.marked.values(), *self.background]


def build_scene(
    tokens_of: TokensOf,
    marks: Sequence[MarkedRegion],
    background_rows: Sequence[int],
    grid: tuple[int, int] | None,
    config: DetectorConfig,
) -> Scene:
    """Load and standardise the tokens of all marked and some unmarked cases."""
    rows = sorted({mark.row for mark in marks})
    rest = np.setdiff1d(np.asarray(background_rows, dtype=np.int64), rows)
    rng = np.random.default_rng(config.seed)
    chosen = rng.permutation(rest)[: config.background]
    raw = {row: np.asarray(tokens_of(row), dtype=np.float64) for row in rows}
    others = [np.asarray(tokens_of(int(row)), dtype=np.float64) for row in chosen]
    stacked = np.concatenate([*raw.values(), *others])
    mean_D, scale_D = stacked.mean(0), stacked.std(0) + 1e-6
    patches = next(iter(raw.values())).shape[0]
    side = round(patches**0.5)
    if grid is None and side * side == patches:
        grid = (side, side)
    return Scene(
        {row: (tokens - mean_D) / scale_D for row, tokens in raw.items()},
        tuple((tokens - mean_D) / scale_D for tokens in others),
        mean_D,
        scale_D,
        grid,
    )


def split_marks(
    scene: Scene, marks: Sequence[MarkedRegion], config: DetectorConfig
) -> list[MarkedRegion]:
    """Every mark in two parts of unlike tokens (2-means), where both are large enough.

    Parts under MIN_PART patches are dropped: they are the odd patches of the other part.
    """
    parts = []
    for mark in marks:
        inside = np.flatnonzero(mark.region_P)
        tokens_TD = scene.marked[mark.row][inside]
        if len(inside) < 2 * MIN_PART or not np.ptp(tokens_TD, axis=0).any():
            parts.append(mark)
            continue
        means = KMeans(n_clusters=2, n_init=5, random_state=config.seed)
        side = means.fit_predict(tokens_TD)
        for which in (0, 1):
            own = inside[side == which]
            if len(own) >= MIN_PART:
                region_P = np.zeros_like(mark.region_P)
                region_P[own] = True
                parts.append(replace(mark, region_P=region_P))
    return parts


def group_marks(
    scene: Scene, marks: Sequence[MarkedRegion], config: DetectorConfig
) -> list[list[MarkedRegion]]:
    """Group spurious marks that point at the same thing, largest group first.

    Every mark gives a small detector (linear discriminant of its region against all tokens).
    Two marks belong together where the case scores of their detectors correlate over all cases
    at hand: average linkage, cut at `config.link`. Marks that end up in groups too small for a
    detector are grouped once more, by the looser `config.loose`: things that look different from
    case to case (stickers of many colours) hold together less, and a single loose cut would glue
    a few odd marks to the clear groups.
    """
    if len(marks) == 1:
        return [list(marks)]
    score_MI = _case_scores(scene, _directions(scene, marks), marks)
    with np.errstate(invalid="ignore", divide="ignore"):
        alike_MM: Float64Array = np.asarray(np.nan_to_num(np.corrcoef(score_MI)))
    firm, rest = [], []
    for group in _cut(alike_MM, list(range(len(marks))), config.link):
        enough = len({marks[k].row for k in group}) >= config.min_regions
        firm += [group] if enough else []
        rest += [] if enough else group
    numbers = [*firm, *_cut(alike_MM, sorted(rest), config.loose)]
    groups = [[marks[k] for k in group] for group in numbers]
    return sorted(groups, key=lambda group: (-len(group), group[0].row))


def _cut(alike_MM: Float64Array, chosen: list[int], link: float) -> list[list[int]]:
    """Average linkage of the chosen marks, cut where the mean correlation falls under `link`."""
    if len(chosen) < 2:
        return [chosen] if chosen else []
    distance = np.clip(1 - alike_MM[np.ix_(chosen, chosen)], 0, 2)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), method="average")
    number_M = fcluster(tree, t=1 - link, criterion="distance")
    return [
        [k for k, own in zip(chosen, number_M, strict=True) if own == number]
        for number in np.unique(number_M)
    ]


def _directions(scene: Scene, marks: Sequence[MarkedRegion]) -> Float64Array:
    """Discriminant directions [M, D]: inv(covariance + ridge) (region mean - mean of all)."""
    stacked = np.concatenate(scene.all_cases())
    covariance_DD = np.cov(stacked, rowvar=False)
    # Strong: with one region per direction, whitening would follow its noise.
    ridge = 10 * np.trace(covariance_DD) / len(covariance_DD)
    centre_MD = np.stack([scene.marked[m.row][m.region_P].mean(0) for m in marks])
    offset_MD = centre_MD - stacked.mean(0)
    system = covariance_DD + ridge * np.eye(len(covariance_DD))
    return np.asarray(np.linalg.solve(system, offset_MD.T).T)


def _case_scores(
    scene: Scene, direction_MD: Float64Array, marks: Sequence[MarkedRegion]
) -> Float64Array:
    """Case scores [M, I] of every mark's detector: mean over as many patches as it has."""
    size_M = [int(np.clip(mark.region_P.sum(), 3, 8)) for mark in marks]
    columns = []
    for tokens_PD in scene.all_cases():
        score_PM = tokens_PD @ direction_MD.T
        columns.append([top_mean(score_PM[:, k], size) for k, size in enumerate(size_M)])
    return np.asarray(columns).T
