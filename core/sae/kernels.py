"""Loops of a training step in numba: selection, sparse decode, sparse gradients, Adam.

Every kernel works on a range of rows or latents, is single-threaded and lets go of the
interpreter lock, so that `core.sae.workers` can run ranges in threads; the ranges are fixed, so
the results do not depend on how many threads there are. Entries are the selected activations of
a batch, ordered by row and, within a row, by level.

Legend: M tokens, D dimension, N latents, L levels, Z entries, Q dead latents, C columns.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import llvmlite.ir as ir
import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Array = NDArray[Any]
Float = float | np.floating[Any]

LANES: Final = 16
"""Pre-activations that one comparison looks at; rows of pre-activations are padded to it."""
_ZERO, _ONE = np.float32(0), np.float32(1)


def compiled(function: Function) -> Function:
    """Compile on first use; kept on disk where there is a folder to write to.

    Sums may be reordered, which is what lets them use vectors; NaN and infinity keep their
    meaning. Divisions by zero do not raise: the check would keep vectors out as well.
    """
    flags = {"reassoc", "contract", "nsz", "arcp"}
    options: dict[str, Any] = {"nogil": True, "fastmath": flags, "error_model": "numpy"}
    try:
        return cast(Function, numba.njit(cache=True, **options)(function))
    except RuntimeError:  # no folder that could hold the cache
        return cast(Function, numba.njit(**options)(function))


def _above_code(typing_context: Any, keys: Any, at: Any, bias: Any, start: Any, floor: Any) -> Any:
    """Bit i is set where value(keys[at + i]) + bias[start + i] > floor, for LANES values.

    uint16 keys are the bits of bfloat16 values, uint32 keys those of float32 values. LLVM turns
    this into one vector comparison where the processor has one; the loop in plain numba was
    three times slower.
    """
    signature = types.uint32(keys, types.int64, bias, types.int64, types.float32)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        def vector(array: Any, kind: Any, index: Any, scalar: Any) -> Any:
            data = context.make_array(kind)(context, builder, array).data
            wide = ir.VectorType(scalar, LANES).as_pointer()
            return builder.load(builder.bitcast(builder.gep(data, [index]), wide), align=2)

        keys_, at_, bias_, start_, floor_ = arguments
        bits, lanes = ir.IntType(keys.dtype.bitwidth), ir.VectorType(ir.IntType(32), LANES)
        raw = vector(keys_, sig.args[0], at_, bits)
        if keys.dtype.bitwidth == 16:
            raw = builder.shl(builder.zext(raw, lanes), ir.Constant(lanes, [16] * LANES))
        floats = ir.VectorType(ir.FloatType(), LANES)
        shift = vector(bias_, sig.args[2], start_, ir.FloatType())
        value = builder.fadd(builder.bitcast(raw, floats), shift)
        floors = ir.Constant(floats, ir.Undefined)
        for lane in range(LANES):
            floors = builder.insert_element(floors, floor_, ir.Constant(ir.IntType(32), lane))
        mask = builder.bitcast(builder.fcmp_ordered(">", value, floors), ir.IntType(LANES))
        return builder.zext(mask, ir.IntType(32))

    return signature, generate


def _lowest_bit_code(typing_context: Any, mask: Any) -> Any:
    """Place of the lowest bit that is set in a uint32 other than 0."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        place = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.zext(place, ir.IntType(64))

    return types.int64(types.uint32), generate


_above: Any = intrinsic(_above_code)
_lowest_bit: Any = intrinsic(_lowest_bit_code)


@compiled
def value_of(bits: int, shift: int) -> Any:
    """The float32 of its bits: shift is 0 for uint32, 16 for the bits of a bfloat16 in uint16."""
    return np.uint32(np.uint32(bits) << np.uint32(shift)).view(np.float32)


@compiled
def store_bits(out_D: Array, factor: Float, values_D: Array, shift: int) -> None:
    """Write the bits of factor * float32 values: as they are (shift 0), or rounded to bfloat16
    (shift 16; nearest, ties to even)."""
    half, odd = np.uint32((1 << shift) >> 1), np.uint32(shift >> 4)
    half = np.uint32(half - odd)
    for d in range(len(values_D)):
        bits = np.float32(factor * values_D[d]).view(np.uint32)
        carry = np.uint32(half + ((bits >> np.uint32(shift)) & odd))
        out_D[d] = np.uint32(bits + carry) >> np.uint32(shift)


@compiled
def scan(
    keys_MC: Array, shift: int, bias_C: Array, floor: Float, at_Z: Array, value_Z: Array
) -> int:
    """Collect the pre-activations above the floor, in flat order.

    Args:
        keys_MC: uint16 or uint32 bits of the products, C a multiple of LANES.
        bias_C: float32, minus infinity in padded columns.
        at_Z, value_Z: get the flat positions (int64) and values; no more than they hold.

    Returns:
        How many there are, which may be more than fit.
    """
    count = 0
    rows, columns = keys_MC.shape
    flat = keys_MC.reshape(-1)
    for row in range(rows):
        for start in range(0, columns, LANES):
            at = row * columns + start
            mask = _above(flat, at, bias_C, start, np.float32(floor))
            while mask:
                lane = _lowest_bit(mask)
                mask &= mask - np.uint32(1)
                if count < len(at_Z):
                    at_Z[count] = at + lane
                    value_Z[count] = value_of(flat[at + lane], shift) + bias_C[start + lane]
                count += 1
    return count


@compiled
def scan_rows(
    keys_MC: Array, shift: int, bias_C: Array, column_MK: Array, value_MK: Array, count_M: Array
) -> None:
    """The K largest positive pre-activations of every row, strongest first; ties: left first."""
    rows, columns = keys_MC.shape
    keep = column_MK.shape[1]
    flat = keys_MC.reshape(-1)
    for row in range(rows):
        count = 0
        floor = _ZERO
        for start in range(0, columns, LANES):
            at = row * columns + start
            mask = _above(flat, at, bias_C, start, floor)
            while mask:
                lane = _lowest_bit(mask)
                mask &= mask - np.uint32(1)
                value = value_of(flat[at + lane], shift) + bias_C[start + lane]
                if value > floor:
                    count = min(count + 1, keep)
                    _insert(column_MK[row], value_MK[row], count, start + lane, value)
                    if count == keep:
                        floor = value_MK[row, keep - 1]
        count_M[row] = count


@compiled
def _insert(column_K: Array, value_K: Array, count: int, column: int, value: Float) -> None:
    """Put a value into a falling list of which the first `count` places are in use after it."""
    place = count - 1
    while place > 0 and value_K[place - 1] < value:
        column_K[place], value_K[place] = column_K[place - 1], value_K[place - 1]
        place -= 1
    column_K[place], value_K[place] = column, value


@compiled
def keep_largest(value_Z: Array, cut: Float, ties: int, kept_Z: Array) -> int:
    """Indices of the values above the cut and of the first `ties` equal to it; returns how many."""
    count = 0
    for z in range(len(value_Z)):
        if value_Z[z] >= cut:
            if value_Z[z] == cut:
                if ties == 0:
                    continue
                ties -= 1
            kept_Z[count] = z
            count += 1
    return count


@compiled
def gather_dead(
    keys_MC: Array, shift: int, bias_C: Array, dead_Q: Array, keep: int, acts_MQ: Array
) -> None:
    """Activations of the dead latents, per row only the `keep` strongest: float32, 0 elsewhere."""
    for row in range(keys_MC.shape[0]):
        acts_Q = acts_MQ[row]
        positive = 0
        for q in range(len(dead_Q)):
            column = dead_Q[q]
            acts_Q[q] = max(value_of(keys_MC[row, column], shift) + bias_C[column], _ZERO)
            positive += acts_Q[q] > _ZERO
        if keep < positive:
            _keep_strongest(acts_Q, keep)


@compiled
def _keep_strongest(acts_Q: Array, keep: int) -> None:
    """Zero all but the `keep` largest of non-negative values (radix selection on their bits)."""
    bits_Q = acts_Q.view(np.uint32)
    prefix, known, left = np.uint32(0), np.uint32(0), keep
    counts = np.zeros(256, np.int32)
    for level in range(4):
        shift = np.uint32(24 - 8 * level)
        counts[:] = 0
        for q in range(len(bits_Q)):
            if (bits_Q[q] & known) == prefix:
                counts[(bits_Q[q] >> shift) & np.uint32(255)] += 1
        digit = 255
        while counts[digit] < left:
            left -= counts[digit]
            digit -= 1
        prefix = np.uint32(prefix | (np.uint32(digit) << shift))
        known = np.uint32(known | (np.uint32(255) << shift))
    for q in range(len(bits_Q)):
        if bits_Q[q] < prefix:
            acts_Q[q] = _ZERO
        elif bits_Q[q] == prefix:
            left -= 1
            if left < 0:
                acts_Q[q] = _ZERO


@compiled
def centre(tokens_MD: Array, b_dec_D: Array, centred_MD: Array, low_MD: Array, sum_D: Array) -> Any:
    """Subtract the decoder's bias; also as bfloat16 bits; sums per dimension and of squares."""
    squares = 0.0
    sum_D[:] = _ZERO
    for m in range(len(tokens_MD)):
        total = _ZERO
        for d in range(len(b_dec_D)):
            value = tokens_MD[m, d] - b_dec_D[d]
            centred_MD[m, d] = value
            sum_D[d] += value
            total += value * value
        store_bits(low_MD[m], _ONE, centred_MD[m], 16)
        squares += np.float64(total)
    return squares


@compiled
def decode(
    start: int,
    stop: int,
    first_M: Array,
    column_Z: Array,
    level_Z: Array,
    centred_MD: Array,
    enc_ND: Array,
    b_enc_N: Array,
    dec_ND: Array,
    scale: Float,
    value_Z: Array,
    slope_Z: Array,
    grad_LMD: Array,
    shift: int,
    error_L: Array,
    bias_D: Array,
) -> None:
    """Forwards and backwards through the decoder for the rows start..stop.

    With r_l the residual after the entries of levels 0..l, the gradient of the loss with respect
    to what an entry of level l adds to the reconstruction is g_l = -scale * sum of r_l' over
    l' >= l, because the decode is cumulative. So one walk down and one walk up the levels give
    everything: values (recomputed in float32), squared errors, slopes d loss / d value.

    Args:
        first_M: int64 [M + 1], first entry of every row.
        scale: 2 / (L * spread).
        value_Z, slope_Z: get the value and d loss / d value of every entry.
        grad_LMD: gets the bits (see `store_bits`) of g_l for the last level and where the row has
            entries of level l.
        error_L: gets the sums of squared residuals, float64.
        bias_D: gets the sum of g_0 over the rows, which is what the decoder's bias receives.
    """
    levels, _, width = grad_LMD.shape
    rest_LD = np.empty((levels, width), np.float32)
    error_L[:] = 0.0
    bias_D[:] = _ZERO
    factor = np.float32(-scale)
    for m in range(start, stop):
        z = first_M[m]
        for level in range(levels):
            rest_D = rest_LD[level]
            rest_D[:] = centred_MD[m] if level == 0 else rest_LD[level - 1]
            while z < first_M[m + 1] and level_Z[z] == level:
                column = column_Z[z]
                value_Z[z] = max(_dot(centred_MD[m], enc_ND[column]) + b_enc_N[column], _ZERO)
                _add(rest_D, -value_Z[z], dec_ND[column])
                z += 1
            error_L[level] += np.float64(_dot(rest_D, rest_D))
        for level in range(levels - 1, -1, -1):
            rest_D = rest_LD[level]
            if level + 1 < levels:
                _add(rest_D, _ONE, rest_LD[level + 1])
            used = level + 1 == levels
            while z > first_M[m] and level_Z[z - 1] == level:
                z -= 1
                slope = factor * _dot(rest_D, dec_ND[column_Z[z]])
                slope_Z[z] = slope if value_Z[z] > _ZERO else _ZERO
                used = True
            if used:
                store_bits(grad_LMD[level, m], factor, rest_D, shift)
        _add(bias_D, factor, rest_LD[0])


@compiled
def _dot(a_D: Array, b_D: Array) -> Any:
    total = _ZERO
    for d in range(len(a_D)):
        total += a_D[d] * b_D[d]
    return total


@compiled
def _add(out_D: Array, factor: Float, b_D: Array) -> None:
    for d in range(len(out_D)):
        out_D[d] += factor * b_D[d]


@compiled
def sort_by_column(column_Z: Array, first_N: Array, order_Z: Array) -> None:
    """Counting sort, stable: first_N [N + 1] gets each column's first place in order_Z."""
    first_N[:] = 0
    for z in range(len(column_Z)):
        first_N[column_Z[z] + 1] += 1
    for n in range(1, len(first_N)):
        first_N[n] += first_N[n - 1]
    place_N = first_N[:-1].copy()
    for z in range(len(column_Z)):
        order_Z[place_N[column_Z[z]]] = z
        place_N[column_Z[z]] += 1


@compiled
def miss(
    rebuilt_MD: Array,
    grad_MD: Array,
    shift: int,
    scale: Float,
    out_MD: Array,
    sum_D: Array,
) -> tuple[float, float]:
    """How far the dead latents' decode is from the residual (see `core.sae.auxiliary`).

    Args:
        rebuilt_MD: bits of the decode.
        grad_MD: bits of the gradients of the last level, residual / scale.
        out_MD: gets the bits of decode - residual.
        sum_D: gets the sums of the residuals, float32.

    Returns:
        sums of squares of decode - residual and of the residual.
    """
    gap_D = np.empty(len(sum_D), np.float32)
    sum_D[:] = _ZERO
    gaps = rests = 0.0
    for m in range(len(rebuilt_MD)):
        gap_2 = rest_2 = _ZERO
        for d in range(len(sum_D)):
            rest = scale * value_of(grad_MD[m, d], shift)
            gap = value_of(rebuilt_MD[m, d], shift) - rest
            gap_D[d] = gap
            sum_D[d] += rest
            gap_2 += gap * gap
            rest_2 += rest * rest
        store_bits(out_MD[m], _ONE, gap_D, shift)
        gaps += np.float64(gap_2)
        rests += np.float64(rest_2)
    return gaps, rests
