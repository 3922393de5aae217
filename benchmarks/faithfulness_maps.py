"""Maps of the whole decision against the picture: the part of `faithfulness` that re-encodes.

A map has one value per patch. Patches are painted in the picture's mean colour in the map's order
(deletion), or shown one after the other on a picture of that colour (insertion), and the picture is
encoded anew; the score is the probability of the predicted class. All methods of a case share the
same random orders.

Legend: I cases, P patches, G, V patch grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.attribution import AttributionModel, Settings, attribute, methods
from core.encoder import OpenClipEncoder, load_encoder
from core.faithfulness import (
    CaseScore,
    Mode,
    Paired,
    areas,
    gather,
    max_sensitivity,
    randomisation_check,
    single_deletion,
)
from core.heads import Float64Array, LinearHead
from core.removal_scores import patch_removal
from core.sae import SparseAutoencoder

STEPS = 8  # points of a curve after the first: 18 of 144 patches each
DRAWS = 3  # random orders
BLOCK = 2  # single deletions paint blocks of 2 x 2 patches
RADIUS = 8.0  # of the noise of max-sensitivity, grey levels of 255
SAMPLES = 4
# Cheap enough for a benchmark over seeds; the defaults are 32, 256 and 6 x 6.
SETTINGS = Settings(steps=16, samples=96)
OURS = "concepts"
CHEAP = (OURS, "grad-cam", "lrp", "rollout")  # also run on the encoder with shuffled weights


@dataclass(frozen=True, eq=False)
class Case:
    """One picture, uint8 [H, W, 3], and the class that is explained."""

    image: NDArray[np.uint8]
    class_index: int
    seed: int


@dataclass(frozen=True, eq=False)
class Subject:
    """The model under test."""

    encoder: OpenClipEncoder
    sae: SparseAutoencoder
    head: LinearHead

    @property
    def model(self) -> AttributionModel:
        """As the attribution methods take it."""
        return AttributionModel(self.encoder, self.sae, self.head)


@dataclass(frozen=True, eq=False)
class MethodFigures:
    """One method on some cases."""

    values_IP: Float64Array
    deletion: Paired
    insertion: Paired


def decision_maps(method: str, subject: Subject, cases: Sequence[Case]) -> Float64Array:
    """A method's maps of all cases, float64 [I, P]."""
    model = subject.model
    found = [
        attribute(method, model, case.image, case.class_index, seed=case.seed, settings=SETTINGS)
        for case in cases
    ]
    return np.stack([one.values_GV.ravel().astype(np.float64) for one in found])


def evaluate_methods(subject: Subject, cases: Sequence[Case], few: int) -> dict[str, MethodFigures]:
    """Every registered method on the first `few` cases, our own on all of them."""
    names = [OURS, *(info.name for info in methods() if info.name != OURS)]
    maps = {n: decision_maps(n, subject, cases if n == OURS else cases[:few]) for n in names}
    rows: dict[tuple[str, Mode], list[CaseScore]] = {}
    modes: tuple[Mode, Mode] = ("deletion", "insertion")
    for i, case in enumerate(cases):
        orders = {n: np.argsort(-m[i], kind="stable") for n, m in maps.items() if i < len(m)}
        for mode in modes:
            for name, score in _case_areas(subject, case, orders, mode).items():
                rows.setdefault((name, mode), []).append(score)
    return {
        name: MethodFigures(
            maps[name],
            gather(rows[name, "deletion"], "lower"),
            gather(rows[name, "insertion"], "higher"),
        )
        for name in names
    }


def _case_areas(
    subject: Subject, case: Case, orders: Mapping[str, NDArray[np.int64]], mode: Mode
) -> dict[str, CaseScore]:
    """Area of each order, beside the mean area of the same random orders."""
    rng = np.random.default_rng(case.seed)
    patches = subject.model.grid[0] * subject.model.grid[1]
    chance = [rng.permutation(patches) for _ in range(DRAWS)]
    found = areas(_score(subject, case), [*orders.values(), *chance], mode, steps=STEPS)
    control = float(found[len(orders) :].mean())
    return {n: CaseScore(float(a), control) for n, a in zip(orders, found, strict=False)}


def single_deletions(subject: Subject, cases: Sequence[Case], values_IP: Float64Array) -> Paired:
    """Spearman of a map with the drop when one block of patches alone is painted."""
    block_P = blocks(subject.model.grid, BLOCK)
    rows = []
    for case, values_P in zip(cases, values_IP, strict=True):
        score = _score(subject, case)
        sums_K = np.bincount(block_P, weights=values_P)

        def of_blocks(keep_SK: NDArray[np.bool_], score: Any = score) -> Float64Array:
            return np.asarray(score(keep_SK[:, block_P]))

        rows.append(single_deletion(of_blocks, sums_K, seed=case.seed))
    return gather(rows, "higher")


def blocks(grid: tuple[int, int], side: int) -> NDArray[np.int64]:
    """Number of the square block of `side` patches that each patch lies in, int64 [P]."""
    rows, columns = grid
    wide = -(-columns // side)
    row_G, column_V = np.arange(rows) // side, np.arange(columns) // side
    return np.asarray((row_G[:, None] * wide + column_V[None]).ravel(), np.int64)


def sensitivities(subject: Subject, cases: Sequence[Case]) -> Paired:
    """Max-sensitivity of our own map: uniform noise of RADIUS grey levels, SAMPLES draws."""
    rows = []
    for case in cases:
        rows.append(
            max_sensitivity(
                _explainer(subject, case), case.image, radius=RADIUS, samples=SAMPLES,
                seed=case.seed, bounds=(0.0, 255.0),
            )
        )  # fmt: skip
    return gather(rows, "lower")


def encoder_randomisation(
    subject: Subject, cases: Sequence[Case], maps: Mapping[str, Float64Array], seed: int
) -> dict[str, Paired]:
    """Likeness of maps with those after all weights of the encoder's blocks were shuffled."""
    other = Subject(shuffled_encoder(seed), subject.sae, subject.head)
    return {
        name: randomisation_check(maps[name][: len(cases)], decision_maps(name, other, cases))
        for name in CHEAP
    }


def shuffled_encoder(seed: int) -> OpenClipEncoder:
    """The demo encoder with the entries of every weight of its blocks in random order."""
    encoder = load_encoder("demo")
    generator = torch.Generator().manual_seed(seed)
    for block in encoder.blocks:
        for weight in block.parameters():
            order = torch.randperm(weight.numel(), generator=generator)
            weight.data.copy_(weight.data.flatten()[order].view_as(weight))
    return encoder


def _score(subject: Subject, case: Case) -> Callable[[NDArray[np.bool_]], Float64Array]:
    return patch_removal(subject.encoder, subject.sae, subject.head, case.image, case.class_index)


def _explainer(
    subject: Subject, case: Case
) -> Callable[[NDArray[np.float64]], NDArray[np.float32]]:
    def explain(pixels: NDArray[np.float64]) -> NDArray[np.float32]:
        image = np.round(pixels).astype(np.uint8)
        return attribute(OURS, subject.model, image, case.class_index).values_GV

    return explain
