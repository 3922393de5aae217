"""Loss and slope of a logistic regression in one pass over sparse rows, compiled.

A row is read once: its logits, its error and its share of the slope are made while its entries are
in the cache. Rows are cut into a fixed number of blocks, each with a slope of its own, which are
added in order: the result does not depend on how many cores there are.

Legend: I cases; N concepts; C classes; B blocks; Z stored entries.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from core import refit_loops as loops

Float64Array = NDArray[np.float64]
BLOCKS = 8
LEAST = 2_000_000
"""Stored entries below which threads cost more than they bring."""
WRITTEN_OUT: Mapping[int, Any] = MappingProxyType(
    {2: loops.two_block, 3: loops.three_block, 4: loops.four_block}
)
"""Classes -> the loop that is written out for them; more go through a loop over classes."""
Made = TypeVar("Made")


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
    loss, slope_N, slope_1 = _summed(rows, loops.binary_block, weight_N, np.array([bias]))
    return loss, slope_N, float(slope_1[0])


def multinomial(
    rows: Rows, weight_NC: Float64Array, bias_C: Float64Array
) -> tuple[float, Float64Array, Float64Array]:
    """sum_i s_i (logsumexp(f_i) - f_i,label), f = x W + b; slopes by W [N, C] and b [C]."""
    block = WRITTEN_OUT.get(weight_NC.shape[1], loops.many_block)
    flat = np.ascontiguousarray(weight_NC, dtype=np.float64).ravel()
    loss, slope, slope_C = _summed(rows, block, flat, np.asarray(bias_C, np.float64))
    return loss, slope.reshape(weight_NC.shape), slope_C


def moments(rows: Rows, classes: int) -> tuple[Float64Array, Float64Array]:
    """sum_i s_i x_in over the cases of each class, [C, N], and sum_i s_i x_in^2, [N]; float64."""

    def one(block: int) -> tuple[Float64Array, Float64Array]:
        once_CN, twice_N = np.zeros((classes, rows.n)), np.zeros(rows.n)
        loops.moments_block(
            rows.cuts[block], rows.cuts[block + 1], rows.start_I, rows.index_Z, rows.value_Z,
            rows.label_I, rows.weight_I, once_CN, twice_N,
        )  # fmt: skip
        return once_CN, twice_N

    parts = _each_block(rows, one)
    return np.sum([p[0] for p in parts], axis=0), np.sum([p[1] for p in parts], axis=0)


def _summed(
    rows: Rows, loop: Any, weight: Float64Array, bias_C: Float64Array
) -> tuple[float, Float64Array, Float64Array]:
    """Loss, slope and slope of the bias over all blocks, added in their order."""

    def one(block: int) -> tuple[float, Float64Array, Float64Array]:
        slope, slope_C = np.zeros(len(weight)), np.zeros(len(bias_C))
        loss = loop(
            rows.cuts[block], rows.cuts[block + 1], rows.start_I, rows.index_Z, rows.value_Z,
            rows.label_I, rows.weight_I, weight, bias_C, slope, slope_C,
        )  # fmt: skip
        return loss, slope, slope_C

    parts = _each_block(rows, one)
    return (
        sum(part[0] for part in parts),
        np.sum([part[1] for part in parts], axis=0),
        np.sum([part[2] for part in parts], axis=0),
    )


def _each_block(rows: Rows, one: Callable[[int], Made]) -> list[Made]:
    """What is made of every block, in order."""
    if rows.threads == 1:
        return [one(block) for block in range(BLOCKS)]
    with ThreadPoolExecutor(rows.threads) as pool:
        return list(pool.map(one, range(BLOCKS)))


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
