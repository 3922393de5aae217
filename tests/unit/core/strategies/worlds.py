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


def by_coin(marks: list[MarkedRegion], seed: int = 0) -> list[MarkedRegion]:
    """The same marks with words drawn by a coin."""
    words = np.random.default_rng(seed).integers(0, 2, len(marks))
    return [
        replace(m, verdict="correct" if word else "spurious")
        for m, word in zip(marks, words, strict=True)
    ]


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


def graded_world(count: int, strength: float, seed: int = 0) -> TokenWorld:
    """Signs that are clear in some cases and hardly to be seen in others, and an artefact that is
    always clear: it comes with label 0 in `strength` of the cases, with label 1 in the others."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(np.random.default_rng(99).normal(size=(16, 16)))[0]
    labels = np.arange(count) % 2
    tokens = rng.normal(size=(count, PATCHES, 16)) * 0.6
    shown = rng.random(count) < np.where(labels == 0, strength, 1 - strength)
    blocks = np.zeros((count, 1, PATCHES), dtype=np.bool_)
    for i in range(count):
        tokens[i, rng.permutation(PATCHES)[:8]] += rng.uniform(0.0, 4.0) * axes[labels[i]]
        if shown[i]:
            square = np.zeros((SIDE, SIDE), dtype=np.bool_)
            y, x = rng.integers(0, SIDE - 2), rng.integers(0, SIDE - 1)
            square[y : y + 3, x : x + 2] = True
            blocks[i, 0] = square.ravel()
            tokens[i, blocks[i, 0]] += 5.0 * axes[4]
    return TokenWorld(tokens.astype(np.float32), blocks, shown[:, None], labels)


def clear_marks(world: TokenWorld, count: int) -> list[MarkedRegion]:
    """Honest marks: `count` on the artefact, and signs in the `count` cases of each label where
    they are clearest."""
    marks = [world.mark(row, 0, 10) for row in world.rows_with(0, count)]
    axes = np.linalg.qr(np.random.default_rng(99).normal(size=(16, 16)))[0]
    for label in (0, 1):
        rows = np.flatnonzero(world.labels_I == label)
        clear = np.sort(world.tokens_IPD[rows] @ axes[label], axis=1)[:, -5:].mean(axis=1)
        marks += [sign(world, int(row)) for row in rows[np.argsort(-clear)[:count]]]
    return marks
