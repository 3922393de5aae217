"""Causal effect of a region: how far a logit moves when its pixels are filled in.

Taking a concept out of the tokens (core.causal) trusts that the concept lies where its map says.
Here the picture itself is changed: the cue's region is filled from its surroundings, the picture
is encoded anew, and the logit is compared. Filling anything changes a picture, so the same shape
is also filled elsewhere in it: the random-region control. What the two say together is a doubt of
core.agreement. It costs one encoding per cue and control, so it is done on demand.

Shape legend: H, W pixels; G, V rows and columns of the patch grid; K cues; S controls of one cue;
B pictures of one batch; C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from core.agreement import region_doubt
from core.encoder import Encoder
from core.explanation import Explainable
from core.filling import Fill, fill_region
from core.heads import Float64Array
from core.narrative import narrate
from core.reading import read_image
from core.types import BoolArray, Cue, Doubt, Explanation

CONTROLS = 4
"""Random regions per cue."""
OVERLAP = 0.25
"""Share of the cue's own region that a control may cover."""
_BATCH = 16


@dataclass(frozen=True)
class RegionEffect:
    """What filling a cue's region does to the explained class."""

    concept: int
    effect: float  # logit before minus logit after, logit units
    controls: tuple[float, ...]  # the same for random regions of its shape; () where none fits
    doubt: Doubt | None  # against the effect of removing the concept


@torch.no_grad()
def region_effects(
    encoder: Encoder,
    bundle: Explainable,
    image_HW3: NDArray[np.uint8],
    cues: Sequence[Cue],
    class_index: int,
    *,
    how: Fill = "surroundings",
    controls: int = CONTROLS,
    seed: int = 0,
) -> tuple[RegionEffect, ...]:
    """Fill each cue's region, encode and read the picture anew; one result per cue, in order.

    Args:
        encoder: the one that the bundle was made with.
        image_HW3: RGB uint8, any size; it is first brought to the encoder's own size.
        cues: of an explanation of this picture.
        class_index: whose logit; the effects of the cues must be on the same.
        how: see core.filling.
        controls: random regions per cue, >= 0.
        seed: of the random regions.
    """
    small_HW3 = to_input(image_HW3, encoder.info.grid, encoder.info.image_size)
    rng = np.random.default_rng(seed)
    regions = [[c.region_GV, *random_regions(c.region_GV, controls, rng)] for c in cues]
    pictures = [small_HW3] + [fill_region(small_HW3, r, how) for own in regions for r in own]
    logit_B = _logits(encoder, bundle, pictures)[:, class_index]
    change = iter((logit_B[0] - logit_B[1:]).tolist())
    largest = max((abs(cue.causal_effect) for cue in cues), default=0.0)
    found = []
    for cue, own in zip(cues, regions, strict=True):
        effect, *others = [next(change) for _ in own]
        doubt = region_doubt(cue.causal_effect, effect, others, largest)
        found.append(RegionEffect(cue.concept, effect, tuple(others), doubt))
    return tuple(found)


def with_regions(explanation: Explanation, effects: Sequence[RegionEffect]) -> Explanation:
    """The explanation with these effects and the doubts that they raise, told anew."""
    tested = {effect.concept: effect for effect in effects}
    cues = tuple(
        _tested(cue, tested[cue.concept]) if cue.concept in tested else cue
        for cue in explanation.cues
    )
    told = narrate(
        probabilities=explanation.probabilities,
        prediction=explanation.prediction,
        explained=explanation.probabilities[explanation.class_index][0],
        logit=explanation.logit,
        bias=explanation.bias,
        cues=cues,
        reconstruction=explanation.reconstruction,
        class_set=explanation.class_set,
        counterfactual=explanation.counterfactual,
        rank_agreement=explanation.rank_agreement,
    )
    return replace(explanation, cues=cues, narrative=told)


def _tested(cue: Cue, found: RegionEffect) -> Cue:
    former = tuple(doubt for doubt in cue.doubts if not doubt.startswith("region"))
    return replace(
        cue,
        region_effect=found.effect,
        control_effects=found.controls,
        doubts=former if found.doubt is None else (*former, found.doubt),
    )


def random_regions(
    region_GV: BoolArray, count: int, rng: np.random.Generator
) -> tuple[BoolArray, ...]:
    """Regions of the same size and shape elsewhere on the grid, at most `count`.

    The region is moved round the grid (what leaves it on one side comes in on the other); only
    moves that leave at most OVERLAP of the region's own patches covered are drawn from. A region
    that fills most of the grid has none.
    """
    area = int(region_GV.sum())
    if area == 0:
        return ()
    moves = [
        (y, x)
        for y in range(region_GV.shape[0])
        for x in range(region_GV.shape[1])
        if int((np.roll(region_GV, (y, x), (0, 1)) & region_GV).sum()) <= OVERLAP * area
    ]
    drawn = rng.permutation(len(moves))[:count]
    return tuple(np.roll(region_GV, moves[i], (0, 1)) for i in drawn)


def to_input(image_HW3: NDArray[np.uint8], grid: tuple[int, int], rows: int) -> NDArray[np.uint8]:
    """The picture at the encoder's input size, resized as encoders do (bicubic, squashed)."""
    columns = rows * grid[1] // grid[0]
    picture = Image.fromarray(image_HW3).resize((columns, rows), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _logits(
    encoder: Encoder, bundle: Explainable, pictures: Sequence[NDArray[np.uint8]]
) -> Float64Array:
    """Logits float64 [B, C], on tokens rounded as stored ones are."""
    pooled = []
    for start in range(0, len(pictures), _BATCH):
        tokens_BPD = encoder.encode_images(pictures[start : start + _BATCH]).tokens_BPD
        pooled += [
            read_image(bundle.sae, tokens_PD.half().float(), bundle.head.pooling).pooled_N
            for tokens_PD in tokens_BPD
        ]
    return bundle.head.logits(np.stack(pooled))
