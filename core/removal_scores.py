"""What a model still says when parts of a case are taken away: scores for `core.faithfulness`.

Two spaces. Concepts: the decoded part of each removed concept is subtracted from every token, and
the tokens are read anew, so what other concepts take over counts (core.reading, as in core.causal).
Patches: the removed patches are painted in one colour, and the picture is encoded anew.

Shape legend: P patches; D embedding; N concepts; K features; S sets of kept features; C classes;
H, W pixels; G, V rows and columns of the patch grid.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.encoder import Encoder
from core.errors import ConfigError
from core.faithfulness import Score
from core.heads import Float64Array, LinearHead, pool
from core.reading import Dictionary, read_image


def concept_removal(
    sae: Dictionary,
    head: LinearHead,
    tokens_PD: Tensor,
    concepts: Sequence[int],
    class_index: int,
) -> Score:
    """The probability of a class with only some of `concepts` left in the tokens.

    Concepts outside the list always stay. Kept sets are bool [S, K] in the order of `concepts`.
    """
    reading = read_image(sae, tokens_PD, head.pooling)
    chosen = np.asarray(list(concepts), np.int64)

    def score(keep_SK: NDArray[np.bool_]) -> Float64Array:
        kept = np.asarray(keep_SK, bool)
        pooled = [reading.without(chosen[~keep_K].tolist()) for keep_K in kept]
        return head.probabilities(np.stack(pooled))[:, class_index]

    return score


def patch_removal(
    encoder: Encoder,
    sae: Dictionary,
    head: LinearHead,
    image_HW3: NDArray[np.uint8],
    class_index: int,
    *,
    fill: Sequence[int] | None = None,
) -> Score:
    """The probability of a class with only some patches of the picture left.

    Kept sets are bool [S, P], row-major over the encoder's grid, which is laid over the whole
    picture. Removed patches take the colour `fill`; None: the picture's mean colour.

    Raises ConfigError where the picture is smaller than the grid.
    """
    rows, columns = encoder.info.grid
    height, width = image_HW3.shape[:2]
    if height < rows or width < columns:
        raise ConfigError(f"a picture of {width} x {height} pixels is smaller than the grid")
    colour = image_HW3.reshape(-1, 3).mean(0) if fill is None else np.asarray(fill)
    row_H = np.arange(height) * rows // height
    column_W = np.arange(width) * columns // width
    place_HW = row_H[:, None] * columns + column_W[None, :]
    painted = np.broadcast_to(np.round(colour).astype(np.uint8), image_HW3.shape)

    @torch.no_grad()
    def score(keep_SP: NDArray[np.bool_]) -> Float64Array:
        kept = np.asarray(keep_SP, bool)
        pictures = [np.where(row_P[place_HW][..., None], image_HW3, painted) for row_P in kept]
        tokens_SPD = encoder.encode_images(pictures).tokens_BPD
        acts_MN = sae.encode_dense(tokens_SPD.flatten(0, 1))
        pooled_SN = pool(acts_MN.view(len(kept), rows * columns, -1), head.pooling)
        return head.probabilities(pooled_SN.double().numpy())[:, class_index]

    return score
