"""The classifier under a detector: marked tokens against everything else.

Shape legend: P patches; D embedding; T tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation
from sklearn.linear_model import LogisticRegression

from core.cue_marks import DetectorConfig, Float64Array, Scene
from core.types import BoolArray

_EIGHT = np.ones((3, 3), dtype=np.bool_)
TRIMS = 2
"""Fits after the first one, each on a sample cleaned by the one before."""


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
    sure: Mapping[int, float] | None = None,
) -> tuple[Float64Array, float]:
    """Weights [D] and bias, on standardised tokens, of a region against everything else.

    Positives are the marked tokens, every case weighing as much as people are sure of it.
    Negatives are the other tokens of the same cases (a ring around the region is left out:
    concepts seldom end at the edge of a thing), the regions of other cues, and tokens of sampled
    cases. After a first fit the negatives that look more marked than most marked tokens are taken
    for unmarked parts of the cue and dropped, and so are the least convincing marked tokens; then
    it is fitted again.

    Args:
        regions: row -> bool [P], union of the cue's marked regions in that case.
        foreign: regions that belong to something else (correct cues, other rejected cues).
        sure: row -> weight of its marks, > 0; None: all alike.
    """
    sample = _sample(scene, regions, foreign, config, sure or {})
    weight_D, bias = _fit(sample, config)
    for _ in range(TRIMS):
        weight_D, bias = _fit(_trimmed(sample, weight_D, bias, config), config)
    return weight_D, bias


def _sample(
    scene: Scene,
    regions: Mapping[int, BoolArray],
    foreign: Sequence[tuple[int, BoolArray]],
    config: DetectorConfig,
    sure: Mapping[int, float],
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
        np.concatenate(
            [
                np.full(len(part), sure.get(row, 1.0) / max(len(part), 1))
                for row, part in zip(regions, positive, strict=True)
            ]
        ),
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
