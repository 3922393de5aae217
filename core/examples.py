"""The images in which each concept fires most.

Legend: I images, N concepts.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class Example:
    """An image in which a concept fires strongly."""

    row: int  # into the items
    activation: float  # maximum over its patches, > 0


def top_examples(pooled_IN: sparse.csr_matrix, count: int = 12) -> tuple[tuple[Example, ...], ...]:
    """For each concept the images in which it fires most, strongest first."""
    by_concept = pooled_IN.tocsc()
    by_concept.sort_indices()
    found = []
    for start, stop in zip(by_concept.indptr[:-1], by_concept.indptr[1:], strict=True):
        rows, values = by_concept.indices[start:stop], by_concept.data[start:stop]
        order = np.argsort(-values, kind="stable")[:count]
        found.append(tuple(Example(int(rows[i]), float(values[i])) for i in order))
    return tuple(found)
