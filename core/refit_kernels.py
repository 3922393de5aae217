"""Loss and slope of a logistic regression in one pass over sparse rows, compiled.

A row is read once: its logits, its error and its share of the slope are made while its entries are
in the cache. Rows are cut into a fixed number of blocks, each with a slope of its own, which are
added in order: the result does not depend on how many cores there are.

Legend: I cases; N concepts; C classes; B blocks; Z stored entries.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array

Float64Array = NDArray[np.float64]
BLOCKS = 8
LEAST = 2_000_000
"""Stored entries below which threads cost more than they bring."""
FOUR = 4
"""Classes of the kernel that is written out; more go through a loop."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Sparse rows ready for the kernels; nothing is copied but to float32 and int32."""

    start_I: NDArray[np.int64]
    index_Z: NDArray[np.int32]
    value_Z: NDArray[np.float32]
    label_I: NDArray[np.int64]
    weight_I: Float64Array
    n: int
    cuts: tuple[int, ...]  # B + 1 row numbers: blocks of about equal numbers of entries
    threads: int

    @classmethod
    def of(
        cls,
        codes_IN: csr_array,
        label_I: NDArray[Any],
        weight_I: NDArray[Any],
        threads: int | None = None,
    ) -> "Rows":
        """From CSR; entries of a row in any order. None: as many threads as pay."""
        start = np.asarray(codes_IN.indptr, dtype=np.int64)
        wanted = np.linspace(0, start[-1], BLOCKS + 1)[1:-1]
        inner = np.searchsorted(start, wanted, side="left")
        cuts = (0, *(int(k) for k in inner), codes_IN.shape[0])
        if threads is None:
            threads = _cores() if start[-1] >= LEAST else 1
        return cls(
            start,
            np.asarray(codes_IN.indices, dtype=np.int32),
            np.asarray(codes_IN.data, dtype=np.float32),
            np.asarray(label_I, dtype=np.int64),
            np.asarray(weight_I, dtype=np.float64),
            int(codes_IN.shape[1]),
            cuts,
            min(threads, BLOCKS),
        )


def binary(rows: Rows, weight_N: Float64Array, bias: float) -> tuple[float, Float64Array, float]:
    """sum_i s_i log(1 + exp(-y_i f_i)), f = x w + b, y in {-1, 1}; slopes by w [N] and b."""
    parts = _spread(rows, _binary_block, (weight_N, bias), (rows.n,))
    slope_N = np.sum([part[1] for part in parts], axis=0)
    return sum(p[0] for p in parts), slope_N, sum(p[2] for p in parts)


def multinomial(
    rows: Rows, weight_NC: Float64Array, bias_C: Float64Array
) -> tuple[float, Float64Array, Float64Array]:
    """sum_i s_i (logsumexp(f_i) - f_i,label), f = x W + b; slopes by W [N, C] and b [C]."""
    classes = weight_NC.shape[1]
    if classes <= FOUR:
        return _up_to_four(rows, weight_NC, bias_C, classes)
    parts = _spread(rows, _multinomial_block, (weight_NC, bias_C), weight_NC.shape)
    slope_NC = np.sum([part[1] for part in parts], axis=0)
    return sum(p[0] for p in parts), slope_NC, np.sum([p[2] for p in parts], axis=0)


def _up_to_four(
    rows: Rows, weight_NC: Float64Array, bias_C: Float64Array, classes: int
) -> tuple[float, Float64Array, Float64Array]:
    """`multinomial` with classes that are never right to fill up to FOUR: three times as fast.

    Four sums stay in registers, where a loop over classes goes through memory for every entry.
    """
    weight_N4 = np.zeros((rows.n, FOUR))
    weight_N4[:, :classes] = weight_NC
    bias_4 = np.full(FOUR, -np.inf)
    bias_4[:classes] = bias_C
    parts = _spread(rows, _four_block, (weight_N4, bias_4), weight_N4.shape)
    slope_N4 = np.sum([part[1] for part in parts], axis=0)
    slope_4 = np.sum([part[2] for part in parts], axis=0)
    return sum(p[0] for p in parts), slope_N4[:, :classes].copy(), slope_4[:classes]


def squares(rows: Rows) -> Float64Array:
    """sum_i s_i x_in^2 of every concept, float64 [N]."""
    total_N: Float64Array = np.zeros(rows.n)
    _squares(rows.start_I, rows.index_Z, rows.value_Z, rows.weight_I, total_N)
    return total_N


def _spread(
    rows: Rows, kernel: Any, weights: Sequence[Any], shape: tuple[int, ...]
) -> list[tuple[Any, ...]]:
    """(loss, slope, slope of the bias) of every block, in order."""

    def one(block: int) -> tuple[Any, ...]:
        first, last = rows.cuts[block], rows.cuts[block + 1]
        slope = np.zeros(shape)
        loss, by_bias = kernel(
            first, last, rows.start_I, rows.index_Z, rows.value_Z, rows.label_I, rows.weight_I,
            *weights, slope,
        )  # fmt: skip
        return loss, slope, by_bias

    if rows.threads == 1:
        return [one(block) for block in range(BLOCKS)]
    with ThreadPoolExecutor(rows.threads) as pool:
        return list(pool.map(one, range(BLOCKS)))


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@njit(cache=True, nogil=True)
def _binary_block(
    first: int, last: int, start: Any, index: Any, value: Any, label: Any, share: Any,
    weight: Any, bias: float, slope: Any,
) -> Any:  # fmt: skip
    loss, by_bias = 0.0, 0.0
    for i in range(first, last):
        s = share[i]
        if s == 0.0:
            continue
        f = bias
        for z in range(start[i], start[i + 1]):
            f += weight[index[z]] * value[z]
        # -y f, and log(1 + exp(.)) without overflow
        g = -f if label[i] == 1 else f
        if g > 0:
            e = np.exp(-g)
            loss += s * (g + np.log1p(e))
            error = 1.0 / (1.0 + e)
        else:
            e = np.exp(g)
            loss += s * np.log1p(e)
            error = e / (1.0 + e)
        error = s * (-error if label[i] == 1 else error)
        by_bias += error
        for z in range(start[i], start[i + 1]):
            slope[index[z]] += error * value[z]
    return loss, by_bias


@njit(cache=True, nogil=True)
def _multinomial_block(
    first: int, last: int, start: Any, index: Any, value: Any, label: Any, share: Any,
    weight: Any, bias: Any, slope: Any,
) -> Any:  # fmt: skip
    classes = len(bias)
    loss, by_bias, f = 0.0, np.zeros(classes), np.zeros(classes)
    for i in range(first, last):
        s = share[i]
        if s == 0.0:
            continue
        f[:] = bias
        for z in range(start[i], start[i + 1]):
            n, x = index[z], value[z]
            for c in range(classes):
                f[c] += weight[n, c] * x
        top = f[0]
        for c in range(1, classes):
            top = max(top, f[c])
        own, total = f[label[i]], 0.0
        for c in range(classes):
            f[c] = np.exp(f[c] - top)
            total += f[c]
        loss += s * (np.log(total) + top - own)
        for c in range(classes):
            f[c] = s * (f[c] / total - (1.0 if c == label[i] else 0.0))
            by_bias[c] += f[c]
        for z in range(start[i], start[i + 1]):
            n, x = index[z], value[z]
            for c in range(classes):
                slope[n, c] += f[c] * x
    return loss, by_bias


@njit(cache=True, nogil=True)
def _four_block(
    first: int, last: int, start: Any, index: Any, value: Any, label: Any, share: Any,
    weight: Any, bias: Any, slope: Any,
) -> Any:  # fmt: skip
    loss, by_bias, f = 0.0, np.zeros(4), np.zeros(4)
    for i in range(first, last):
        s = share[i]
        if s == 0.0:
            continue
        f0, f1, f2, f3 = bias[0], bias[1], bias[2], bias[3]
        for z in range(start[i], start[i + 1]):
            n, x = index[z], np.float64(value[z])
            f0 += weight[n, 0] * x
            f1 += weight[n, 1] * x
            f2 += weight[n, 2] * x
            f3 += weight[n, 3] * x
        f[0], f[1], f[2], f[3] = f0, f1, f2, f3
        top = max(max(f0, f1), max(f2, f3))
        own, total = f[label[i]], 0.0
        for c in range(4):
            f[c] = np.exp(f[c] - top)
            total += f[c]
        loss += s * (np.log(total) + top - own)
        for c in range(4):
            f[c] = s * (f[c] / total - (1.0 if c == label[i] else 0.0))
            by_bias[c] += f[c]
        f0, f1, f2, f3 = f[0], f[1], f[2], f[3]
        for z in range(start[i], start[i + 1]):
            n, x = index[z], np.float64(value[z])
            slope[n, 0] += f0 * x
            slope[n, 1] += f1 * x
            slope[n, 2] += f2 * x
            slope[n, 3] += f3 * x
    return loss, by_bias


@njit(cache=True, nogil=True)
def _squares(start: Any, index: Any, value: Any, share: Any, total: Any) -> None:
    for i in range(len(start) - 1):
        for z in range(start[i], start[i + 1]):
            x = np.float64(value[z])
            total[index[z]] += share[i] * x * x
