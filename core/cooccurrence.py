"""Which concepts fire on the same patches: sparse, exact counts over a whole data set.

D_ij = sum over patches p of a_i(p) * 1[a_j(p) > t_j], and D^_ij = D_ij / D_ii is an activation-
weighted P(j present | i) (Insight, arXiv 2601.13798). A patch with k active concepts touches k^2
of the n^2 pairs (144 of 67 million at k = 12, n = 8192), so the statistic is counted pair by pair:
for each concept, run through its patches and add up what else is present there. D, the joint
counts and the patches per image come from one pass over the same entries.

No n x n array is ever made: a thread holds one row of it (16 n bytes), and only the pairs that
occur (or, with `least`, whose D^ is at least that) are kept. With `least` at most L0 / least pairs
a concept survive on average, since the sum of D^_ij over j is the weighted mean count of concepts
on the patches of i. Each row is summed by one thread in the order of the patches, so the result
does not depend on the number of threads.

Shape legend: M patches (all images together), P patches of one image, I images, N concepts,
Z entries (active codes), E kept pairs.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from core.errors import ConfigError

Ints = NDArray[Any]  # uint32 or int64
Floats = NDArray[np.floating[Any]]
_USUAL_MAXIMUM = 0.99  # quantile
_MOST = 1 << 32  # positions are uint32: with signed ones the kernels are three times slower
_BLOCK = 1 << 20  # pairs (kept or not) per task, which bounds what a task may hold


@dataclass(frozen=True, eq=False)
class Cooccurrence:
    """Counts over all patches; `weight_NN` is D and `conditional_NN` is D^.

    Attributes:
        weight_NN: D, float64 CSR, activation units summed over patches.
        joint_NN: patches on which both concepts are present, float64 CSR, the same pairs.
        patches_N: patches on which each concept is present, int64.
        images_IN: patches of each image on which a concept is present, int64 CSC.
        patches: M.
    """

    weight_NN: sparse.csr_array
    patches_N: NDArray[np.int64]
    images_IN: sparse.csc_array
    joint_NN: sparse.csr_array
    patches: int

    @property
    def conditional_NN(self) -> sparse.csr_array:
        """D^ in [0, 1], float64 CSR; rows of concepts that never fire are empty."""
        own_N = self.weight_NN.diagonal()
        scale_N = np.divide(1.0, own_N, out=np.zeros_like(own_N), where=own_N > 0)
        scaled = self.weight_NN.copy()
        scaled.data = np.clip(scaled.data * np.repeat(scale_N, np.diff(scaled.indptr)), 0.0, 1.0)
        return scaled

    @property
    def found_IN(self) -> sparse.csc_array:
        """Whether an image has a patch with the concept, int64 0 or 1, CSC."""
        return self.images_IN.sign()


@dataclass(frozen=True, eq=False)
class _Entries:
    """Active codes twice: by patch (what else is here?) and by concept (where does it fire?)."""

    start_M: Ints  # [M + 1]
    concept_Z: Ints
    start_N: Ints  # [N + 1]
    patch_Z: Ints  # ascending within a concept
    value_Z: Floats  # in the order of patch_Z

    @property
    def n(self) -> int:
        return len(self.start_N) - 1


def cooccurrence(
    codes_MN: sparse.csr_array,
    patches: int,
    presence: float = 0.0,
    *,
    least: float = 0.0,
    threads: int | None = None,
) -> Cooccurrence:
    """Count which concepts fire together; costs about M * k^2 additions for k codes a patch.

    Args:
        codes_MN: activations >= 0 of all patches, image after image; CSR, float32 or float64.
        patches: P, patches per image; M is a multiple of it.
        presence: share of a concept's usual maximum (the .99 quantile of its activations) above
            which it is present, [0, 1); weaker activations count for neither side of a pair.
        least: pairs with a smaller D^ are left out, [0, 1); 0 keeps every pair that occurs.
        threads: tasks at a time; None: one per core. Never changes the result.

    Raises:
        ConfigError: M is not a multiple of P, or there are 2^32 codes or more.
    """
    rows, concepts = codes_MN.shape
    if codes_MN.nnz >= _MOST:
        raise ConfigError(f"{codes_MN.nnz} codes are too many to count at once")
    if patches < 1 or rows % patches:
        raise ConfigError(f"{rows} patches are not a whole number of images of {patches}")
    entries = _strong(_sorted_entries(codes_MN), presence)
    first_N = np.arange(0, concepts, max(1, _BLOCK // max(concepts, 1)))
    bounds = [*first_N.tolist(), concepts]
    with ThreadPoolExecutor(threads or _cores()) as pool:
        parts = list(pool.map(lambda b: _count(entries, b[0], b[1], least), _spans(bounds)))
    shape = (concepts, concepts)
    indptr = np.concatenate([np.zeros(1, np.int64), *(part[0] for part in parts)]).cumsum()
    pair_E = np.concatenate([np.zeros(0, np.int32), *(part[1] for part in parts)])
    weight_E = np.concatenate([np.zeros(0), *(part[2] for part in parts)])
    joint_E = np.concatenate([np.zeros(0), *(part[3] for part in parts)])
    return Cooccurrence(
        weight_NN=sparse.csr_array((weight_E, pair_E, indptr), shape=shape),
        patches_N=np.asarray(np.diff(entries.start_N.astype(np.int64)), np.int64),
        images_IN=_by_image(entries, patches, rows // patches),
        joint_NN=sparse.csr_array((joint_E, pair_E, indptr), shape=shape),
        patches=rows,
    )


def _spans(bounds: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(bounds))


def strong_part(codes_MN: sparse.csr_array, presence: float) -> sparse.csr_array:
    """The activations above a share of their concept's .99 quantile; the rest is left out.

    Args:
        codes_MN: activations >= 0, CSR.
        presence: share of the usual maximum, [0, 1); 0 keeps all that is above 0.

    Returns:
        CSR [M, N], float32 (float64 if the codes are).
    """
    entries = _strong(_sorted_entries(codes_MN), presence)
    by_concept = (entries.value_Z, entries.patch_Z, entries.start_N)
    return sparse.csc_array(by_concept, shape=codes_MN.shape).tocsr()


def _sorted_entries(codes_MN: sparse.csr_array) -> _Entries:
    """The entries above 0, by patch and by concept (a counting sort, stable)."""
    codes = sparse.csr_array(codes_MN)
    if not codes.has_canonical_format:  # a pair named twice would count twice
        codes = codes.copy()
        codes.sum_duplicates()
    value: Floats = np.asarray(codes.data, np.float64 if codes.dtype == np.float64 else np.float32)
    start, concept = codes.indptr.astype(np.uint32), codes.indices.astype(np.uint32)
    if len(value) and value.min() <= 0:
        start, concept, value = _above(start, concept, value, np.zeros(codes.shape[0]))
    return _transposed(start, concept, value, codes.shape[1])


def _strong(entries: _Entries, presence: float) -> _Entries:
    if presence <= 0.0:
        return entries
    least_N = presence * usual_maximum(entries.value_Z, entries.start_N)
    # Back to the order of the patches first: the values are kept by concept.
    start, patch, value = _above(entries.start_N, entries.patch_Z, entries.value_Z, least_N)
    by_patch = _transposed(start, patch, value, len(entries.start_M) - 1)
    return _Entries(by_patch.start_N, by_patch.patch_Z, start, patch, value)


def usual_maximum(value_Z: Floats, start_N: Ints) -> Floats:
    """The .99 quantile (numpy's linear rule) of each concept's activations, float64 [N].

    Args:
        value_Z: activations above 0, concept after concept.
        start_N: [N + 1], concept i owns value_Z[start_N[i]:start_N[i + 1]].

    Returns:
        0 for a concept that never fires.
    """
    found = np.zeros(len(start_N) - 1)
    for concept, (start, stop) in enumerate(_spans(start_N.tolist())):
        if stop > start:
            place = _USUAL_MAXIMUM * (stop - start - 1)
            low, high = int(np.floor(place)), int(np.ceil(place))
            part = np.partition(value_Z[start:stop], (low, high))
            below, above = float(part[low]), float(part[high])
            found[concept] = below + (above - below) * (place - low)
    return found


def _transposed(start: Ints, index: Ints, value: Floats, other: int) -> _Entries:
    begin, place, moved = _transpose(start, index, value, other)
    return _Entries(start, index, begin, place, moved)


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _count(entries: _Entries, first: int, last: int, least: float) -> tuple[Any, ...]:
    found: tuple[Any, ...] = _count_block(
        first, last, entries.start_N, entries.patch_Z, entries.value_Z,
        entries.start_M, entries.concept_Z, entries.n, least,
    )  # fmt: skip
    return found


def _by_image(entries: _Entries, patches: int, images: int) -> sparse.csc_array:
    """Patches of each image on which each concept is present, int64 CSC [I, N]."""
    start, image, count = _count_images(entries.start_N, entries.patch_Z, patches)
    return sparse.csc_array((count, image, start), shape=(images, entries.n))


@njit(cache=True, nogil=True)
def _transpose(start: Any, index: Any, value: Any, other: int) -> Any:
    """Counting sort of (row, index, value) by index; rows stay in order within an index."""
    begin = np.zeros(other + 1, np.uint32)
    for z in range(len(index)):
        begin[index[z] + 1] += 1
    for c in range(other):
        begin[c + 1] += begin[c]
    free = begin[:-1].copy()
    place, moved = np.empty(len(index), np.uint32), np.empty_like(value)
    for row in range(len(start) - 1):
        for z in range(start[row], start[row + 1]):
            at = free[index[z]]
            place[at], moved[at] = row, value[z]
            free[index[z]] = at + 1
    return begin, place, moved


@njit(cache=True, nogil=True)
def _above(start: Any, index: Any, value: Any, least: Any) -> Any:
    """Entries with value > least[row], in the same order."""
    begin, kept = np.zeros_like(start), 0
    place, moved = np.empty_like(index), np.empty_like(value)
    for row in range(len(start) - 1):
        for z in range(start[row], start[row + 1]):
            if value[z] > least[row]:
                place[kept], moved[kept] = index[z], value[z]
                kept += 1
        begin[row + 1] = kept
    return begin, place[:kept].copy(), moved[:kept].copy()


@njit(cache=True, nogil=True)
def _count_images(start: Any, patch: Any, patches: int) -> Any:
    """Per concept the images that hold it and on how many patches."""
    begin, kept = np.zeros_like(start), 0
    image, count = np.empty(len(patch), np.int32), np.empty(len(patch), np.int64)
    for concept in range(len(start) - 1):
        for z in range(start[concept], start[concept + 1]):
            at = patch[z] // patches
            if kept > begin[concept] and image[kept - 1] == at:
                count[kept - 1] += 1
            else:
                image[kept], count[kept] = at, 1
                kept += 1
        begin[concept + 1] = kept
    return begin, image[:kept].copy(), count[:kept].copy()


@njit(cache=True, nogil=True)
def _count_block(
    first: int, last: int, start_N: Any, patch_Z: Any, value_Z: Any,
    start_M: Any, concept_Z: Any, n: int, least: float,
) -> Any:  # fmt: skip
    """Rows first..last of D and of the joint counts: sizes, columns, weights, counts."""
    sums, both = np.zeros(n), np.zeros(n, np.int32)
    most = (last - first) * n
    size = np.zeros(last - first, np.int64)
    column, weight, joint = np.empty(most, np.int32), np.empty(most), np.empty(most)
    kept, one = 0, np.uint32(1)
    for i in range(first, last):
        for z in range(start_N[i], start_N[i + one]):
            a, patch = value_Z[z], patch_Z[z]
            for y in range(start_M[patch], start_M[patch + one]):
                j = concept_Z[y]
                sums[j] += a
                both[j] += one
        # What fires nowhere beside i has the sum 0, all else more than the smallest float.
        floor = max(least * sums[i], 5e-324)
        for j in range(n):
            if sums[j] >= floor:
                column[kept], weight[kept], joint[kept] = j, sums[j], both[j]
                kept += 1
        size[i - first] = kept
        sums[:] = 0.0
        both[:] = 0
    size[1:] -= size[:-1].copy()
    return size, column[:kept].copy(), weight[:kept].copy(), joint[:kept].copy()
