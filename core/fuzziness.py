"""How fuzzy concepts are, and a head's preference for those that are not.

A concept that stands for one thing marks it or does not. One that mixes several things, or stands
for the look of a whole class, fires strongly in one place and faintly over much of the rest: its
map has no clear inside, and where its maximum lies says little about what it means. With mu_p =
a_p / max_p a_p, the membership of patch p in the concept's map of one image,

    fuzziness = 2/P sum_p min(mu_p, 1 - mu_p),    mean over the images in which the concept fires

(the linear index of fuzziness, Kaufmann 1975): 0 where every patch has all or nothing, 1 where all
patches are half in. No label and no mask is looked at, so every user has it.

A head that may choose between evidence in a fuzzy and in a sharp concept should take the sharp one:
that is what a reviewer can check. Hence `sharpness_prior`, to be given to core.heads.fit_head: an
L2 penalty with a weight per concept from what is known before the fit (generalised ridge: Hoerl &
Kennard 1970; weights of one's own per feature as in the adaptive lasso: Zou 2006).

Legend: I images; P patches of one image; M = I*P patches; N concepts; Z stored entries; G pairs of
an image and a concept that fires in it.
"""

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from core.errors import ConfigError
from core.heads import Float64Array

FUZZY = 0.1
"""Fuzziness from which a concept counts little. Dermoscopy phantoms: most signs have .03 to .11,
the whole lesion .11, mixtures of signs .15 to .24."""
STEEPNESS = 4
"""Power of the fall beyond FUZZY. A power has no scale: where all concepts are far beyond FUZZY
their order still counts, but a common factor does not."""


def fuzziness(codes_MN: Any, patches: int) -> Float64Array:
    """Index of fuzziness of every concept's maps, float64 [N] in [0, 1]; 0 where it never fires.

    Args:
        codes_MN: activations >= 0 of whole images, P consecutive rows each, dense or scipy sparse.
        patches: P, >= 1.

    Raises:
        ConfigError: the rows are not whole images.
    """
    entries = csr_array(codes_MN).tocoo()
    rows, n = entries.shape
    if patches < 1 or rows % patches:
        raise ConfigError(f"{rows} rows are not whole images of {patches} patches")
    fires_Z = entries.data > 0
    image_Z = entries.row[fires_Z].astype(np.int64) // patches
    pair_Z = image_Z * n + entries.col[fires_Z]
    if not len(pair_Z):
        return np.zeros(n)
    order = np.argsort(pair_Z, kind="stable")
    pair_Z, value_Z = pair_Z[order], entries.data[fires_Z][order].astype(np.float64)
    first_G = np.flatnonzero(np.r_[True, np.diff(pair_Z) > 0])
    size_G = np.diff(np.r_[first_G, len(pair_Z)])
    member_Z = value_Z / np.repeat(np.maximum.reduceat(value_Z, first_G), size_G)
    index_G = 2 / patches * np.add.reduceat(np.minimum(member_Z, 1 - member_Z), first_G)
    concept_G = pair_Z[first_G] % n
    total_N = np.bincount(concept_G, weights=index_G, minlength=n)
    images_N = np.bincount(concept_G, minlength=n)
    return np.asarray(total_N / np.maximum(images_N, 1), np.float64)


def sharpness_prior(fuzziness_N: Float64Array, limit: float = FUZZY) -> Float64Array:
    """Prior standard deviation of a head's weights, float64 [N] in (0, 1]: 1 / (1 + (f / limit)^4).

    1 for a sharp concept, 1/2 (a fourfold penalty) at the limit, 1/17 at twice the limit.

    Args:
        fuzziness_N: in [0, 1], see `fuzziness`.
        limit: > 0.

    Raises:
        ConfigError: the limit is not positive.
    """
    if not limit > 0:
        raise ConfigError(f"the limit of fuzziness must be positive, got {limit}")
    return np.asarray(1 / (1 + (fuzziness_N / limit) ** STEEPNESS), np.float64)
