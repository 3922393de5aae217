"""Data of strategies on the synthetic tokens of tests.unit.core.tiny."""

from dataclasses import replace

import numpy as np

from core.cue_marks import DetectorConfig, MarkedRegion
from core.heads import LinearHead
from core.strategies.data import FitData
from tests.unit.core.tiny import PATCHES, SIDE, TokenWorld

CLASSES = ("a", "b")
CONFIG = DetectorConfig(min_regions=2, rescue=True, background=40)


def codes_of(tokens_PD: np.ndarray) -> np.ndarray:
    """The codes of TokenWorld.pooled, of one case."""
    both = np.concatenate((tokens_PD, -tokens_PD), axis=1)
    return np.maximum(both, 0).max(0).astype(np.float32)


def honest(world: TokenWorld, count: int) -> list[MarkedRegion]:
    """Marks on the artefact in the first cases that show it, and on as many true signs."""
    marks = [world.mark(row, 0, 3) for row in world.rows_with(0, count)]
    return [*marks, *(sign(world, row) for row in range(count))]


def sign(world: TokenWorld, row: int) -> MarkedRegion:
    """A mark "correct" on the patches that carry the case's true sign."""
    axes = np.linalg.qr(np.random.default_rng(99).normal(size=(16, 16)))[0]
    score = world.tokens_IPD[row] @ axes[int(world.labels_I[row])]
    region = np.zeros(PATCHES, dtype=np.bool_)
    region[np.argsort(-score)[:5]] = True
    return MarkedRegion(row, 20 + int(world.labels_I[row]), region, "correct")


def turned(marks: list[MarkedRegion]) -> list[MarkedRegion]:
    """The same marks with the other word."""
    return [replace(m, verdict="correct" if m.verdict == "spurious" else "spurious") for m in marks]


def misplaced(marks: list[MarkedRegion], seed: int = 0) -> list[MarkedRegion]:
    """The same marks on places drawn at random."""
    rng = np.random.default_rng(seed)
    shifted = []
    for mark in marks:
        steps = (int(rng.integers(1, SIDE)), int(rng.integers(1, SIDE)))
        region = np.roll(mark.region_P.reshape(SIDE, SIDE), steps, axis=(0, 1)).ravel()
        shifted.append(replace(mark, region_P=region))
    return shifted


def fit_data(world: TokenWorld, marks: list[MarkedRegion], train: int, **more) -> FitData:
    """The first `train` cases of a world."""
    return FitData(
        world.pooled()[:train],
        world.labels_I[:train],
        CLASSES,
        tuple(range(train)),
        tokens_of=world.tokens_of,
        grid=(SIDE, SIDE),
        marks=tuple(marks),
        detector=CONFIG,
        codes_of=codes_of,
        **more,
    )


def conflicting(head: LinearHead, world: TokenWorld, start: int) -> float:
    """Accuracy on later cases in which the artefact points at the other label."""
    rows = np.arange(start, len(world.labels_I))
    against = world.present_IR[rows, 0] == (world.labels_I[rows] != 0)
    rows = rows[against]
    right = head.logits(world.pooled()[rows]).argmax(1) == world.labels_I[rows]
    return float(right.mean())
