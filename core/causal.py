"""Causal effect of a concept: how far a logit moves when the concept is taken away.

A contribution says what the head adds up; it is blind to redundancy. Here the concept's decoded
part is subtracted from every token, the tokens are read anew (core.reading) and pooled again.
Where another concept takes over, the logit moves less than the contribution promised; where the
concept carried others with it, it moves more.

Shape legend: P patches; D embedding; N concepts; K concepts asked for; C classes.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from core.heads import Float64Array, LinearHead
from core.reading import Dictionary, Reading, read_image

__all__ = ["Dictionary", "causal_effects", "effects_of"]


def causal_effects(
    sae: Dictionary,
    head: LinearHead,
    tokens_PD: Tensor,
    concepts: Sequence[int],
    class_index: int,
) -> Float64Array:
    """Logit minus the logit after each concept alone is removed, float64 [K], logit units.

    Removal of concept k: tokens_p - a_pk * d_k for every patch p, then encode, pool, head.

    Args:
        tokens_PD: float32 tokens of one image.
        class_index: of the logit.
    """
    return effects_of(read_image(sae, tokens_PD, head.pooling), head, concepts, class_index)


def effects_of(
    reading: Reading, head: LinearHead, concepts: Sequence[int], class_index: int
) -> Float64Array:
    """The same for an image that was read already: float64 [K], logit units.

    Equal to a full re-encoding up to the rounding of its sums: an activation may come out one
    fp16 step apart, and one that lies on the threshold itself may be kept here and not there.
    """
    weight_N = head.weight_CN[class_index].astype(np.float64)
    before = float(reading.pooled_N @ weight_N)
    after = [float(reading.without([k]) @ weight_N) for k in concepts]
    return np.asarray([before - one for one in after], dtype=np.float64)
