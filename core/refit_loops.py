"""The loops of core.refit_kernels: over rows of stored entries, compiled, without the lock.

Entries are float32 and weights float64; every sum is kept in float64. Weights and slopes lie in one
line, class after class of a concept. Up to four classes are written out: their sums stay in
registers, where a loop over classes goes through memory for every entry. Sums may be taken in
another order than written (reassoc), but always in the same one: the compiled code does not depend
on threads.

Legend: I cases; N concepts; C classes; Z stored entries.
"""

from typing import Any, Final

import numpy as np
from numba import njit

FREE: Final = {"contract", "reassoc", "nsz"}
"""What the compiler may do to sums; infinities and NaN keep their meaning."""
ONE, TWO, THREE, FOUR = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)


@njit(cache=True, nogil=True, fastmath=FREE)
def binary_block(
    first: int, last: int, start: Any, index: Any, value: Any, label: Any, share: Any,
    weight: Any, bias: Any, slope: Any, by_bias: Any,
) -> float:  # fmt: skip
    """Rows first to last - 1: the loss; `slope` [N] and `by_bias` [1] are added to."""
    loss = 0.0
    for i in range(first, last):
        s = share[i]
        if s == 0.0:
            continue
        f = bias[0]
        for z in range(np.uint64(start[i]), np.uint64(start[i + 1])):
            f += weight[np.uint64(index[z])] * np.float64(value[z])
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
        by_bias[0] += error
        for z in range(np.uint64(start[i]), np.uint64(start[i + 1])):
            slope[np.uint64(index[z])] += error * np.float64(value[z])
    return loss


@njit(cache=True, nogil=True, fastmath=FREE)
def errors_of(f: Any, label: int, s: float) -> float:
    """The loss of one case from its logits `f` [C], which become its errors s (p - y)."""
    top = f[0]
    for c in range(1, len(f)):
        top = max(top, f[c])
    own, total = f[label], 0.0
    for c in range(len(f)):
        f[c] = np.exp(f[c] - top)
        total += f[c]
    for c in range(len(f)):
        f[c] = s * (f[c] / total - (1.0 if c == label else 0.0))
    return float(s * (np.log(total) + top - own))


@njit(cache=True, nogil=True, fastmath=FREE)
def two_block(
    first: int, last: int, start: Any, index: Any, value: Any, label: Any, share: Any,
    weight: Any, bias: Any, slope: Any, by_bias: Any,
) -> float:  # fmt: skip
    """As `many_block`, two classes."""
    loss, f = 0.0, np.zeros(2)
    for i in range(first, last):
        if share[i] == 0.0:
            continue
        f0, f1 = bias[0], bias[1]
        for z in range(np.uint64(start[i]), np.uint64(start[i + 1])):
            n, x = np.uint64(index[z]) * TWO, np.float64(value[z])
            f0 += weight[n] * x
            f1 += weight[n + ONE] * x
        f[0], f[1] = f0, f1
        loss += errors_of(f, label[i], share[i])
        f0, f1 = f[0], f[1]
        by_bias += f
        for z in range(np.uint64(start[i]), np.uint64(start[i + 1])):
            n, x = np.uint64(index[z]) * TWO, np.float64(value[z])
            slope[n] += f0 * x
            slope[n + ONE] += f1 * x
    return loss


@njit(cache=True, nogil=True, fastmath=FREE)
def three_block(
    first: int, last: int, start: Any, index: Any, value: Any, label: Any, share: Any,
    weight: Any, bias: Any, slope: Any, by_bias: Any,
) -> float:  # fmt: skip
    """As `many_block`, three classes."""
    loss, f = 0.0, np.zeros(3)
    for i in range(first, last):
        if share[i] == 0.0:
            continue
        f0, f1, f2 = bias[0], bias[1], bias[2]
        for z in range(np.uint64(start[i]), np.uint64(start[i + 1])):
            n, x = np.uint64(index[z]) * THREE, np.float64(value[z])
            f0 += weight[n] * x
            f1 += weight[n + ONE] * x
            f2 += weight[n + TWO] * x
        f[0], f[1], f[2] = f0, f1, f2
        loss += errors_of(f, label[i], share[i])
        f0, f1, f2 = f[0], f[1], f[2]
        by_bias += f
        for z in range(np.uint64(start[i]), np.uint64(start[i + 1])):
            n, x = np.uint64(index[z]) * THREE, np.float64(value[z])
            slope[n] += f0 * x
            slope[n + ONE] += f1 * x
            slope[n + TWO] += f2 * x
    return loss


@njit(cache=True, nogil=True, fastmath=FREE)
def four_block(
    first: int, last: int, start: Any, index: Any, value: Any, label: Any, share: Any,
    weight: Any, bias: Any, slope: Any, by_bias: Any,
) -> float:  # fmt: skip
    """As `many_block`, four classes."""
    loss, f = 0.0, np.zeros(4)
    for i in range(first, last):
        if share[i] == 0.0:
            continue
        f0, f1, f2, f3 = bias[0], bias[1], bias[2], bias[3]
        for z in range(np.uint64(start[i]), np.uint64(start[i + 1])):
            n, x = np.uint64(index[z]) * FOUR, np.float64(value[z])
            f0 += weight[n] * x
            f1 += weight[n + ONE] * x
            f2 += weight[n + TWO] * x
            f3 += weight[n + THREE] * x
        f[0], f[1], f[2], f[3] = f0, f1, f2, f3
        loss += errors_of(f, label[i], share[i])
        f0, f1, f2, f3 = f[0], f[1], f[2], f[3]
        by_bias += f
        for z in range(np.uint64(start[i]), np.uint64(start[i + 1])):
            n, x = np.uint64(index[z]) * FOUR, np.float64(value[z])
            slope[n] += f0 * x
            slope[n + ONE] += f1 * x
            slope[n + TWO] += f2 * x
            slope[n + THREE] += f3 * x
    return loss


@njit(cache=True, nogil=True, fastmath=FREE)
def many_block(
    first: int, last: int, start: Any, index: Any, value: Any, label: Any, share: Any,
    weight: Any, bias: Any, slope: Any, by_bias: Any,
) -> float:  # fmt: skip
    """Rows first to last - 1: the loss; `slope` [N * C] and `by_bias` [C] are added to."""
    classes = len(bias)
    loss, f = 0.0, np.zeros(classes)
    for i in range(first, last):
        if share[i] == 0.0:
            continue
        f[:] = bias
        for z in range(start[i], start[i + 1]):
            n, x = index[z] * classes, np.float64(value[z])
            for c in range(classes):
                f[c] += weight[n + c] * x
        loss += errors_of(f, label[i], share[i])
        by_bias += f
        for z in range(start[i], start[i + 1]):
            n, x = index[z] * classes, np.float64(value[z])
            for c in range(classes):
                slope[n + c] += f[c] * x
    return loss


@njit(cache=True, nogil=True)
def moments_block(
    first: int, last: int, start: Any, index: Any, value: Any, label: Any, share: Any,
    once: Any, twice: Any,
) -> None:  # fmt: skip
    """Adds s x to `once` [C, N], at the label's row, and s x^2 to `twice` [N]."""
    for i in range(first, last):
        s, own = share[i], once[label[i]]
        for z in range(np.uint64(start[i]), np.uint64(start[i + 1])):
            n, x = np.uint64(index[z]), np.float64(value[z])
            own[n] += s * x
            twice[n] += s * x * x
