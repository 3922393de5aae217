"""From tokens to selected entries with values and slopes: the first half of a fast step.

Legend: M tokens, D dimension, N latents, C latents padded to whole vectors, L levels, Z entries,
Q dead latents.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from core.sae.config import SAEConfig
from core.sae.kernels import Array, centre, decode, gather_dead, sort_by_column
from core.sae.selection import Chosen, make_selector
from core.sae.updates import Sorted
from core.sae.workers import Workers

ROWS: Final = 256
"""Tokens per encoder product: 16 blocks in a batch of 4096, small enough to scan from the cache."""
DECODE_ROWS: Final = 128
TINY: Final = 1e-12
"""Least spread that a loss is divided by, as in `core.sae.objective`."""


@dataclass(frozen=True)
class Weights:
    """The parameters as the kernels see them; all share the model's memory.

    The rows beyond the N latents are zero and their bias is minus infinity.
    """

    enc_CD: Array  # float32
    low_CD: Array | None  # uint16: the bits of the encoder in bfloat16; None in float32
    bias_C: Array  # float32
    dec_ND: Array  # float32
    b_dec_D: Array  # float32

    @property
    def shift(self) -> int:
        """Of the bits of pre-activations, see `core.sae.kernels.scan`."""
        return 0 if self.low_CD is None else 16

    def product(self) -> Tensor:
        """The encoder that pre-activations are made with, transposed: [D, C]."""
        return as_tensor(self.enc_CD.view(np.uint32) if self.low_CD is None else self.low_CD).T


@dataclass(frozen=True)
class Encoded:
    """One batch, encoded."""

    chosen: Chosen
    spread: float  # sum of squared distances from the mean token
    centred_MD: Array  # float32, tokens less the decoder's bias
    bits_MD: Array  # the same in the precision of the product: uint16 or uint32 bits
    acts_MQ: Array  # float32, activations of the dead latents, the strongest per row


@dataclass(frozen=True)
class Decoded:
    """One batch, decoded, and the gradients on the way back to the entries."""

    entries: Sorted
    errors_L: Array  # float64, sums of squared residuals
    scale: float  # 2 / (L * spread)
    bias_D: Array  # float32, gradient of the decoder's bias through the reconstructions


class Forward:
    """Encodes and decodes batches; keeps its memory from one to the next."""

    def __init__(self, config: SAEConfig, weights: Weights, workers: Workers) -> None:
        self._config, self._weights, self._workers = config, weights, workers
        self._selector = make_selector(config, weights.bias_C, weights.shift)
        self._rows = 0

    def encode(self, tokens_MD: Array, dead_Q: Array) -> Encoded:
        """Choose the entries of a batch (float32 [M, D]); dead_Q: int64 indices of latents."""
        rows, weights = len(tokens_MD), self._weights
        self._make_room(rows)
        keys_MC = self._keys_MC[:rows]
        centred_MD, low_MD = self._centred_MD[:rows], self._low_MD[:rows]
        bits_MD = low_MD if weights.shift else centred_MD.view(np.uint32)
        product_DC = weights.product()
        acts_MQ = np.empty((rows, len(dead_Q)), np.float32)
        self._selector.start(rows, ROWS)

        def task(start: int, stop: int) -> tuple[float, Array]:
            here = slice(start, stop)
            sum_D = np.empty(tokens_MD.shape[1], np.float32)
            given = tokens_MD[here], weights.b_dec_D, centred_MD[here], low_MD[here]
            squares = centre(*given, sum_D)
            torch.mm(as_tensor(bits_MD[here]), product_DC, out=as_tensor(keys_MC[here]))
            self._selector.see(start // ROWS, keys_MC[here])
            if len(dead_Q):
                keep = self._config.aux_latents
                bits = keys_MC[here], weights.shift, weights.bias_C
                gather_dead(*bits, dead_Q, keep, acts_MQ[here])
            return squares, sum_D

        parts = self._workers.map(task, rows, ROWS)
        spread = _spread(centred_MD, parts)
        chosen = self._selector.finish(keys_MC)
        return Encoded(chosen, max(spread, TINY), centred_MD, bits_MD, acts_MQ)

    def decode(self, encoded: Encoded) -> Decoded:
        """Values, residuals and slopes of the chosen entries."""
        chosen, weights, levels = encoded.chosen, self._weights, self._config.losses
        rows, width = encoded.centred_MD.shape
        count = len(chosen.row_Z)
        value_Z, slope_Z = np.empty(count, np.float32), np.empty(count, np.float32)
        grad_LMD = self._grad_LMD[:, :rows]
        scale = 2 / (levels * encoded.spread)

        def task(start: int, stop: int) -> tuple[Array, Array]:
            error_L, bias_D = np.empty(levels, np.float64), np.empty(width, np.float32)
            where = chosen.first_M, chosen.column_Z, chosen.level_Z
            using = encoded.centred_MD, weights.enc_CD, weights.bias_C, weights.dec_ND
            given = *where, *using, np.float32(scale), value_Z, slope_Z
            decode(start, stop, *given, grad_LMD, weights.shift, error_L, bias_D)
            return error_L, bias_D

        parts = self._workers.map(task, rows, DECODE_ROWS)
        first_N = np.empty(len(weights.dec_ND) + 1, np.int64)
        order_Z = np.empty(count, np.int32)
        sort_by_column(chosen.column_Z, first_N, order_Z)
        sources = weights.shift, encoded.bits_MD, grad_LMD
        where = first_N, order_Z, chosen.row_Z, chosen.level_Z
        return Decoded(
            Sorted(*where, value_Z, slope_Z, *sources),
            np.sum([part[0] for part in parts], axis=0),
            scale,
            np.sum([part[1] for part in parts], axis=0),
        )

    def _make_room(self, rows: int) -> None:
        if rows <= self._rows:
            return
        self._rows, levels = rows, self._config.losses
        columns, width = self._weights.enc_CD.shape
        kind = np.uint16 if self._weights.shift else np.uint32
        self._keys_MC = np.empty((rows, columns), kind)
        self._centred_MD = np.empty((rows, width), np.float32)
        self._low_MD = np.empty((rows, width), np.uint16)
        self._grad_LMD = np.empty((levels, rows, width), kind)


def _spread(centred_MD: Array, parts: Sequence[tuple[float, Array]]) -> float:
    """Sum of squared distances from the mean, from sums of squares and sums per block.

    Where the mean is so far from the decoder's bias that little is left of the difference, the
    distances are taken one by one.
    """
    squares = sum(part[0] for part in parts)
    if not math.isfinite(squares):
        return math.nan  # and so is the loss, which the trainer refuses
    total_D = np.stack([part[1] for part in parts]).sum(0, dtype=np.float64)
    spread = squares - float(total_D @ total_D) / len(centred_MD)
    if spread > 1e-3 * squares:
        return spread
    return float(np.square(centred_MD - centred_MD.mean(0), dtype=np.float64).sum())


def as_tensor(bits: Array) -> Tensor:
    """Share memory with torch: uint16 are the bits of bfloat16 values, uint32 of float32."""
    if bits.dtype == np.uint16:
        return torch.from_numpy(bits).view(torch.bfloat16)
    return torch.from_numpy(bits.view(np.float32))
