"""How much of a decision is drawn from the places that people called spurious.

The head adds activation x weight over concepts, and pooling says where each activation comes from,
so every part of a logit has a place:

    max   a concept's whole part lies on the patch where it fires most (the first of equal ones)
    mean  each patch has its share, activation x weight / P

    spurious mass of a case = sum over rejected patches of |part| / sum over all patches of |part|

for the decided class. A patch's code is worked out from a token that has seen its surroundings, so
this says where the evidence was read off, not what in the picture caused it.

Legend: P patches; N concepts.
"""

from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.heads import LinearHead


def region_mass(
    head: LinearHead, acts_PN: NDArray[Any], region_P: NDArray[np.bool_]
) -> tuple[float, float]:
    """|part| of the decided logit inside a region, and everywhere; logit units, >= 0.

    Args:
        acts_PN: inference activations of one image, >= 0.
        region_P: True for the rejected patches.

    Raises ConfigError where shapes do not fit the head or the grid.
    """
    acts: NDArray[np.float64] = np.asarray(acts_PN, dtype=np.float64)
    if acts.ndim != 2 or acts.shape[1] != head.n or region_P.shape != (acts.shape[0],):
        raise ConfigError(f"codes {acts.shape} and region {region_P.shape} do not fit the head")
    match head.pooling:
        case "max":
            pooled_N, place_N = acts.max(axis=0), acts.argmax(axis=0)
        case "mean":
            pooled_N, place_N = acts.mean(axis=0), None
        case _:
            assert_never(head.pooling)
    chosen = int(head.logits(pooled_N[None])[0].argmax())
    part_N = np.abs(head.contributions(pooled_N, chosen))
    if place_N is not None:
        return float(part_N[region_P[place_N]].sum()), float(part_N.sum())
    size_N = np.abs(head.weight_CN[chosen].astype(np.float64))
    inside = float((acts[region_P] * size_N).sum()) / len(acts)
    return inside, float(part_N.sum())
