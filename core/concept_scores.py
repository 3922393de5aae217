"""How well activations tell where something is: AUC and IoU of many concepts at once.

Both are computed for every pair of concept and target. Sparse activations are >= 0 and only
their entries are touched, so the cost is (entries) x T, not M x N x T.

Legend: M places (patches or images), N concepts, T targets, Z entries of one concept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Scores: TypeAlias = NDArray[np.floating] | sparse.csr_array | sparse.csr_matrix
Truth = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks of sparse activations, to score them against many truths.

    Places without an entry are tied at 0 and share the rank `floor_N`; `above_NM` holds how far
    the rank of each entry (ties averaged) lies above it.
    """

    above_NM: sparse.csr_array  # float64
    floor_N: Floats

    @staticmethod
    def of(scores_MN: sparse.csr_array | sparse.csr_matrix) -> "Ranks":
        """Rank activations >= 0 once."""
        places, concepts = scores_MN.shape
        floor_N = np.full(concepts, (places + 1) / 2)
        starts, rows, above = [0], [np.zeros(0, np.int64)], [np.zeros(0)]
        for concept, (rows_Z, values_Z) in enumerate(_columns(scores_MN)):
            rest = places - len(rows_Z)
            floor_N[concept] = (rest + 1) / 2
            rows.append(rows_Z)
            above.append(rest + rankdata(values_Z) - floor_N[concept])
            starts.append(starts[-1] + len(rows_Z))
        content = np.concatenate(above), np.concatenate(rows), starts
        return Ranks(sparse.csr_array(content, shape=(concepts, places)), floor_N)

    def auc(self, truth_MT: Truth) -> Floats:
        """See `core.concept_scores.auc`."""
        places = self.above_NM.shape[1]
        positive_T = truth_MT.sum(axis=0).astype(np.float64)
        sums_NT = self.above_NM @ truth_MT.astype(np.float64) + np.outer(self.floor_N, positive_T)
        won_NT = sums_NT - positive_T * (positive_T + 1) / 2
        pairs_T = positive_T * (places - positive_T)
        out_NT = np.full(won_NT.shape, np.nan)
        np.divide(won_NT, pairs_T, out=out_NT, where=pairs_T > 0)
        return out_NT


def auc(scores_MN: Scores, truth_MT: Truth) -> Floats:
    """Area under the ROC curve of each concept for each target, [N, T] in [0, 1].

    The Mann-Whitney statistic, ties counted as one half (Hanley and McNeil 1982).

    Args:
        scores_MN: activations; a sparse matrix holds values >= 0, absent entries are 0.
        truth_MT: where each target is.

    Returns:
        NaN where a target is everywhere or nowhere.

    Raises:
        ValueError: sizes that do not fit, or a negative entry in a sparse matrix.
    """
    places = _check(scores_MN, truth_MT)
    if sparse.issparse(scores_MN):
        return Ranks.of(scores_MN).auc(truth_MT)
    positive_T = truth_MT.sum(axis=0).astype(np.float64)
    pairs_T = positive_T * (places - positive_T)
    out_NT = np.full((scores_MN.shape[1], truth_MT.shape[1]), np.nan)
    for concept, (_, values_M) in enumerate(_columns(scores_MN)):
        won_T = rankdata(values_M) @ truth_MT - positive_T * (positive_T + 1) / 2
        np.divide(won_T, pairs_T, out=out_NT[concept], where=pairs_T > 0)
    return out_NT


def best_iou(scores_MN: Scores, truth_MT: Truth) -> tuple[Floats, Floats]:
    """The largest intersection over union that a threshold reaches, and that threshold.

    A place is marked where its activation is above the threshold. For sparse activations the
    threshold is never below 0: what does not fire is not marked.

    Args:
        scores_MN: activations; a sparse matrix holds values >= 0, absent entries are 0.
        truth_MT: where each target is.

    Returns:
        (iou_NT in [0, 1], threshold_NT). A threshold lies midway between two activations. It is
        infinite, and the IoU 0, where the concept never fires.
    """
    _check(scores_MN, truth_MT)
    positive_T = truth_MT.sum(axis=0)
    shape = (scores_MN.shape[1], truth_MT.shape[1])
    iou_NT, threshold_NT = np.zeros(shape), np.full(shape, np.inf)
    for concept, (rows_Z, values_Z) in enumerate(_columns(scores_MN)):
        if not len(rows_Z):
            continue
        order_Z = np.argsort(-values_Z, kind="stable")
        falling_Z = values_Z[order_Z]
        last = 0.0 if sparse.issparse(scores_MN) else falling_Z[-1] - 1.0
        below_Z = np.append(falling_Z[1:], last)
        ends = np.flatnonzero(falling_Z > below_Z)  # a threshold cannot part equal values
        if not len(ends):
            continue
        hits_ZT = np.cumsum(truth_MT[rows_Z[order_Z]], axis=0)[ends]
        marked_Z1 = (ends + 1)[:, None]
        found_ZT = hits_ZT / np.maximum(marked_Z1 + positive_T - hits_ZT, 1)
        best_T = found_ZT.argmax(axis=0)
        iou_NT[concept] = found_ZT.max(axis=0)
        middle_Z = (falling_Z[ends] + below_Z[ends]) / 2
        threshold_NT[concept] = middle_Z[best_T]
    return iou_NT, threshold_NT


def iou_at(scores_MN: Scores, truth_MT: Truth, threshold_NT: Floats) -> Floats:
    """Intersection over union of "activation above the threshold" with each target, [N, T].

    0 where neither marks anything.
    """
    _check(scores_MN, truth_MT)
    positive_T = truth_MT.sum(axis=0)
    out_NT = np.zeros((scores_MN.shape[1], truth_MT.shape[1]))
    for concept, (rows_Z, values_Z) in enumerate(_columns(scores_MN)):
        marked_ZT = values_Z[:, None] > threshold_NT[concept]
        both_T = (marked_ZT & truth_MT[rows_Z]).sum(axis=0)
        either_T = marked_ZT.sum(axis=0) + positive_T - both_T
        out_NT[concept] = both_T / np.maximum(either_T, 1)
    return out_NT


def _columns(scores_MN: Scores) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Rows and values of each concept: the entries above 0, or all of a dense matrix."""
    if not sparse.issparse(scores_MN):
        rows = np.arange(scores_MN.shape[0])
        for column_M in np.asarray(scores_MN, np.float64).T:
            yield rows, column_M
        return
    by_concept = sparse.csc_array(scores_MN)
    for start, stop in zip(by_concept.indptr[:-1], by_concept.indptr[1:], strict=True):
        values_Z = by_concept.data[start:stop].astype(np.float64)
        if len(values_Z) and values_Z.min() < 0:
            raise ValueError("sparse activations must not be negative")
        fires = values_Z > 0
        yield by_concept.indices[start:stop][fires].astype(np.int64), values_Z[fires]


def _check(scores_MN: Scores, truth_MT: Truth) -> int:
    """M; raises ValueError where the rows do not fit."""
    if truth_MT.ndim != 2 or scores_MN.shape[0] != truth_MT.shape[0]:
        raise ValueError(f"activations {scores_MN.shape} and truth {truth_MT.shape} do not fit")
    return int(truth_MT.shape[0])
