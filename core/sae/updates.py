"""Loops over latents in numba: gradients of encoder and decoder rows, Adam, unit rows.

Entries come sorted by column, so each latent's gradients are sums that one thread makes in a
fixed order: no atomics, the same bits for any number of threads. Each row of parameters is read
and written once per step: gradient, removal of its parallel part, Adam, unit length and the
bfloat16 copy for the next encoder product happen while it lies in the cache.

Legend: M tokens, D dimension, N latents, L levels, Z entries, Q dead latents.
Sources: Kingma and Ba 2015 (Adam, arXiv 1412.6980).
"""

import math
from typing import Any, NamedTuple

import numpy as np

from core.sae.kernels import Array, Float, compiled, store_bits, value_of

BETA1, BETA2, EPSILON = np.float32(0.9), np.float32(0.999), np.float32(1e-8)
"""Adam's constants: torch's defaults."""
_REST1, _REST2 = np.float32(1 - 0.9), np.float32(1 - 0.999)
_ZERO, _TINY = np.float32(0), np.float32(1e-12)


class Sorted(NamedTuple):
    """The entries of a batch by column, with what their gradients are made of."""

    first_N: Array  # int64 [N + 1], first place of each column in order_Z
    order_Z: Array  # int32, entries by column
    row_Z: Array  # int32
    level_Z: Array  # uint8
    value_Z: Array  # float32
    slope_Z: Array  # float32, d loss / d value
    shift: int  # of the bits of the next two, see `core.sae.kernels.value_of`
    centred_MD: Array  # bits, tokens less the decoder's bias
    grad_LMD: Array  # bits, d loss / d reconstruction, summed over the levels from l on


class DeadGradients(NamedTuple):
    """Gradients of the auxiliary loss, for the dead latents only."""

    slot_N: Array  # int32, place of the latent in the arrays below, -1: not dead
    scale: Any  # float32, factor on all of them
    enc_QD: Array  # float32
    dec_QD: Array  # float32
    bias_Q: Array  # float32


class Rows(NamedTuple):
    """One float32 array per parameter that has a row per latent: weights, moments or gradients."""

    enc_ND: Array
    dec_ND: Array
    bias_N: Array


class Adam(NamedTuple):
    """Factors of one update."""

    rate: Any  # float32, learning rate / (1 - beta1 ^ t)
    root: Any  # float32, 1 / sqrt(1 - beta2 ^ t)


def adam(lr: float, count: int) -> Adam:
    """The factors of the update number `count`, from 1."""
    rate = lr / (1 - 0.9**count)
    return Adam(np.float32(rate), np.float32(1 / math.sqrt(1 - 0.999**count)))


@compiled
def gradient_rows(
    start: int, stop: int, entries: Sorted, dead: DeadGradients, enc_ND: Array, out: Rows
) -> Array:
    """Write the gradients of the latents start..stop into `out`.

    Returns:
        what these latents' pre-activations give to the decoder's bias, float32 [D].
    """
    bias_D = np.zeros(enc_ND.shape[1], np.float32)
    for n in range(start, stop):
        out.bias_N[n] = _gradient(n, entries, dead, out.enc_ND[n], out.dec_ND[n])
        _subtract(bias_D, out.bias_N[n], enc_ND[n])
    return bias_D


@compiled
def update_rows(
    start: int,
    stop: int,
    entries: Sorted,
    dead: DeadGradients,
    weights: Rows,
    first: Rows,
    second: Rows,
    low_ND: Array,
    factors: Adam,
) -> Array:
    """`gradient_rows` and `apply_rows` in one pass that keeps no gradients."""
    width = weights.enc_ND.shape[1]
    enc_D, dec_D = np.empty(width, np.float32), np.empty(width, np.float32)
    bias_D = np.zeros(width, np.float32)
    for n in range(start, stop):
        bias = _gradient(n, entries, dead, enc_D, dec_D)
        _subtract(bias_D, bias, weights.enc_ND[n])
        _apply(n, enc_D, dec_D, bias, weights, first, second, low_ND, factors)
    return bias_D


@compiled
def apply_rows(
    start: int,
    stop: int,
    gradients: Rows,
    weights: Rows,
    first: Rows,
    second: Rows,
    low_ND: Array,
    factors: Adam,
) -> None:
    """One Adam update of the latents start..stop; low_ND gets the bfloat16 bits of the encoder."""
    dec_D = np.empty(weights.enc_ND.shape[1], np.float32)
    for n in range(start, stop):
        dec_D[:] = gradients.dec_ND[n]
        bias = gradients.bias_N[n]
        _apply(n, gradients.enc_ND[n], dec_D, bias, weights, first, second, low_ND, factors)


@compiled
def adam_row(weight_D: Array, grad_D: Array, first_D: Array, second_D: Array, by: Adam) -> None:
    """Adam on one row, in place."""
    for d in range(len(weight_D)):
        grad = grad_D[d]
        first = BETA1 * first_D[d] + _REST1 * grad
        second = BETA2 * second_D[d] + _REST2 * (grad * grad)
        first_D[d] = first
        second_D[d] = second
        weight_D[d] -= by.rate * first / (np.sqrt(second) * by.root + EPSILON)


@compiled
def _gradient(n: int, entries: Sorted, dead: DeadGradients, enc_D: Array, dec_D: Array) -> Any:
    """Gradients of one latent's rows; returns that of its bias."""
    enc_D[:] = _ZERO
    dec_D[:] = _ZERO
    bias = _ZERO
    for place in range(entries.first_N[n], entries.first_N[n + 1]):
        z = entries.order_Z[place]
        row = entries.row_Z[z]
        grad_D = entries.grad_LMD[entries.level_Z[z], row]
        centred_D = entries.centred_MD[row]
        value, slope = entries.value_Z[z], entries.slope_Z[z]
        _add_bits(dec_D, value, grad_D, entries.shift)
        _add_bits(enc_D, slope, centred_D, entries.shift)
        bias += slope
    slot = dead.slot_N[n]
    if slot >= 0:
        _subtract(dec_D, -dead.scale, dead.dec_QD[slot])
        _subtract(enc_D, -dead.scale, dead.enc_QD[slot])
        bias += dead.scale * dead.bias_Q[slot]
    return bias


@compiled
def _apply(
    n: int,
    enc_D: Array,
    dec_D: Array,
    bias: Float,
    weights: Rows,
    first: Rows,
    second: Rows,
    low_ND: Array,
    factors: Adam,
) -> None:
    """Adam on one latent; dec_D loses the part that would only change the row's length."""
    row_D = weights.dec_ND[n]
    along = _ZERO
    for d in range(len(row_D)):
        along += dec_D[d] * row_D[d]
    for d in range(len(row_D)):
        dec_D[d] -= along * row_D[d]
    adam_row(row_D, dec_D, first.dec_ND[n], second.dec_ND[n], factors)
    squares = _ZERO
    for d in range(len(row_D)):
        squares += row_D[d] * row_D[d]
    shrink = np.float32(1) / max(np.sqrt(squares), _TINY)
    for d in range(len(row_D)):
        row_D[d] *= shrink
    adam_row(weights.enc_ND[n], enc_D, first.enc_ND[n], second.enc_ND[n], factors)
    store_bits(low_ND[n], np.float32(1), weights.enc_ND[n], 16)
    moment = BETA1 * first.bias_N[n] + _REST1 * bias
    spread = BETA2 * second.bias_N[n] + _REST2 * (bias * bias)
    first.bias_N[n] = moment
    second.bias_N[n] = spread
    weights.bias_N[n] -= factors.rate * moment / (np.sqrt(spread) * factors.root + EPSILON)


@compiled
def _subtract(out_D: Array, factor: Float, b_D: Array) -> None:
    for d in range(len(out_D)):
        out_D[d] -= factor * b_D[d]


@compiled
def _add_bits(out_D: Array, factor: Float, bits_D: Array, shift: int) -> None:
    for d in range(len(out_D)):
        out_D[d] += factor * value_of(bits_D[d], shift)
