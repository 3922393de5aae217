"""Does a region still reconstruct when a concept is removed?

The autoencoder rebuilds a token as x^ = b + sum_i a_i d_i. Without concept j it lacks a_j d_j, so
the squared error of that token grows from |r|^2 (r = x - x^) to |r + a_j d_j|^2: by

    cost_j = 2 a_j <r, d_j> + a_j^2 |d_j|^2      (exact; nothing is encoded again)

Summed over the patches where a child is present, and divided by what all concepts explain there,
|x - b|^2 - |r|^2, this is the share of the child's region that is lost without the parent. Where
it is small, child and parent merely lie in one place: the child's region does not rest on the
parent. (The idea is METHOD.md's; no published code has it.)

Two controls. `chance`: what the same removal costs as many patches drawn at random from all; a
parent that costs the child's region no more is everybody's parent. `other`: what it costs the
child's region to remove one of the other concepts that fire there instead, drawn anew on each
patch. (A control of equal activation would say nothing: for unit directions and a rest nearly
orthogonal to them the cost is a_j^2, whatever the direction.)

Legend: M patches, P patches of one image, N concepts, D embedding, Z entries, E edges.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from core.errors import ConfigError

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Removal:
    """What removing any one active concept costs each patch, in squared token units.

    Attributes:
        cost_MN: growth of the squared error, float64 CSC with the codes' entries; negative where
            a concept fires too strongly.
        explained_M: |token - bias|^2 less the squared error with all concepts, float64; negative
            where the concepts do harm.
    """

    cost_MN: sparse.csc_array
    explained_M: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Losses:
    """Per edge, shares of what all concepts explain in the child's region (1 = all of it)."""

    loss_E: NDArray[np.float64]  # lost without the parent
    chance_E: NDArray[np.float64]  # lost by as many patches drawn at random from all
    other_E: NDArray[np.float64]  # lost without another concept that fires on the patch


def removal_costs(
    codes_MN: sparse.csr_array, tokens: Iterable[Floats], decoder_ND: Floats, bias_D: Floats
) -> Removal:
    """Costs of removing any one concept from any one patch.

    Args:
        codes_MN: inference activations of all patches, image after image, CSR.
        tokens: dense tokens [P, D] of the same patches in the same order, a run of patches (such
            as an image) at a time; never held together.
        decoder_ND: decoder rows.
        bias_D: decoder bias.

    Raises:
        ConfigError: there are more or fewer tokens than codes.
    """
    codes = sparse.csr_array(codes_MN)
    cost_Z, explained_M = np.zeros(codes.nnz), np.zeros(codes.shape[0])
    decoder_ND = np.ascontiguousarray(decoder_ND, np.float32)
    bias_D = np.asarray(bias_D, np.float32)
    value_Z, start_M = codes.data.astype(np.float32), codes.indptr.astype(np.int64)
    concept_Z, start = codes.indices.astype(np.int64), 0
    for run in tokens:
        rest_PD = np.asarray(run, np.float32) - bias_D
        stop = start + len(rest_PD)
        if stop > codes.shape[0]:
            raise ConfigError("there are more tokens than codes")
        spans_P = start_M[start : stop + 1]
        _costs(rest_PD, spans_P, concept_Z, value_Z, decoder_ND, cost_Z, explained_M[start:stop])
        start = stop
    if start != codes.shape[0]:
        raise ConfigError(f"tokens of {start} patches for codes of {codes.shape[0]}")
    cost_MN = sparse.csr_array((cost_Z, codes.indices, codes.indptr), codes.shape)
    return Removal(cost_MN.tocsc(), explained_M)


@njit(cache=True, nogil=True)
def _costs(
    rest_PD: Any, start_P: Any, concept_Z: Any, value_Z: Any, decoder_ND: Any,
    cost_Z: Any, explained_P: Any,
) -> None:  # fmt: skip
    """Fill cost_Z and explained_P; rest_PD (token less bias) becomes the residual."""
    dims = rest_PD.shape[1]
    for p in range(len(rest_PD)):
        whole = 0.0
        for d in range(dims):
            whole += rest_PD[p, d] * rest_PD[p, d]
        for z in range(start_P[p], start_P[p + 1]):
            for d in range(dims):
                rest_PD[p, d] -= value_Z[z] * decoder_ND[concept_Z[z], d]
        left = 0.0
        for d in range(dims):
            left += rest_PD[p, d] * rest_PD[p, d]
        explained_P[p] = whole - left
        for z in range(start_P[p], start_P[p + 1]):
            along, square = 0.0, 0.0
            for d in range(dims):
                along += rest_PD[p, d] * decoder_ND[concept_Z[z], d]
                square += decoder_ND[concept_Z[z], d] * decoder_ND[concept_Z[z], d]
            cost_Z[z] = value_Z[z] * (2.0 * along + value_Z[z] * square)


def region_losses(
    removal: Removal, present_MN: sparse.csr_array, child_E: Indices, parent_E: Indices
) -> Losses:
    """How much of each child's region is lost without the parent, beside the two controls.

    Args:
        removal: of `removal_costs`.
        present_MN: where each concept is present (any entry), see
            `core.cooccurrence.strong_part`.
        child_E: child of each edge.
        parent_E: parent of each edge.

    Returns:
        Zeros for a child that is nowhere present, or in whose region nothing is explained.
    """
    region_MN, cost_MN = sparse.csc_array(present_MN), removal.cost_MN
    patches = max(cost_MN.shape[0], 1)
    everywhere_N = np.asarray(cost_MN.sum(axis=0)).ravel() / patches
    all_M = np.asarray(cost_MN.sum(axis=1)).ravel()
    active_M = np.bincount(cost_MN.indices, minlength=cost_MN.shape[0])
    losses = np.zeros((3, len(child_E)))
    parent_M, child_M = np.zeros(len(all_M)), np.zeros(len(all_M))
    for edge, (child, parent) in enumerate(zip(child_E, parent_E, strict=True)):
        region = _rows(region_MN, child)
        explained = removal.explained_M[region].sum()
        if explained <= 0:
            continue
        for out_M, concept in ((parent_M, parent), (child_M, child)):
            out_M[_rows(cost_MN, concept)] = _values(cost_MN, concept)
        beside = all_M[region] - parent_M[region] - child_M[region]
        others = active_M[region] - (parent_M[region] != 0) - (child_M[region] != 0)
        other = np.divide(beside, others, out=np.zeros_like(beside), where=others > 0).sum()
        chance = len(region) * everywhere_N[parent]
        losses[:, edge] = np.array([parent_M[region].sum(), chance, other]) / explained
        parent_M[_rows(cost_MN, parent)] = 0.0
        child_M[_rows(cost_MN, child)] = 0.0
    return Losses(*losses)


def _rows(matrix: sparse.csc_array, column: int) -> Indices:
    rows: Indices = matrix.indices[matrix.indptr[column] : matrix.indptr[column + 1]]
    return rows


def _values(matrix: sparse.csc_array, column: int) -> Floats:
    values: Floats = matrix.data[matrix.indptr[column] : matrix.indptr[column + 1]]
    return values
