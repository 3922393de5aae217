"""The auxiliary loss for dead latents (AuxK), with explicit gradients for these latents only.

e = residual of the full reconstruction, detached; e^ = decode, without bias, of the aux_k
strongest dead latents of each token; loss = min(Q / aux_k, 1) * ||e - e^||^2 / ||e - mean||^2
(Gao et al. 2024, arXiv 2406.04093). A dead latent's pre-activation is above 0 for about half of
the tokens, so these are dense products, in the precision of the encoder's.

Legend: M tokens, D dimension, N latents, Q dead latents.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from core.sae.config import SAEConfig
from core.sae.forward import TINY, Decoded, Encoded, Weights, as_tensor
from core.sae.kernels import Array, miss
from core.sae.updates import DeadGradients
from core.sae.workers import Workers

ROWS: Final = 256
"""Tokens per task on the way to the residual."""
DEAD: Final = 128
"""Dead latents per task on the way to the weights."""


def auxiliary_gradients(
    config: SAEConfig,
    weights: Weights,
    workers: Workers,
    dead_Q: Array,
    encoded: Encoded,
    decoded: Decoded,
) -> tuple[float, DeadGradients]:
    """The loss (without its coefficient) and the gradients of the dead latents' parameters.

    Args:
        dead_Q: int64, latents; their activations are encoded.acts_MQ.
    """
    if not len(dead_Q):
        return 0.0, no_gradients(*weights.dec_ND.shape)
    tokens_MD = as_tensor(encoded.bits_MD)
    kind, shift = tokens_MD.dtype, weights.shift
    rows, width = tokens_MD.shape
    decoder_QD = torch.from_numpy(weights.dec_ND[dead_Q]).to(kind)
    acts_MQ = torch.empty(encoded.acts_MQ.shape, dtype=kind)
    slope_MQ = torch.empty_like(acts_MQ)
    rebuilt_MD, miss_MD = np.empty_like(encoded.bits_MD), np.empty_like(encoded.bits_MD)
    grad_MD = decoded.entries.grad_LMD[-1]

    def towards_residual(start: int, stop: int) -> tuple[float, float, Array]:
        here = slice(start, stop)
        sum_D = np.empty(width, np.float32)
        acts_MQ[here] = torch.from_numpy(encoded.acts_MQ[here])
        torch.mm(acts_MQ[here], decoder_QD, out=as_tensor(rebuilt_MD[here]))
        scale = np.float32(-1 / decoded.scale)
        squares = miss(rebuilt_MD[here], grad_MD[here], shift, scale, miss_MD[here], sum_D)
        torch.mm(as_tensor(miss_MD[here]), decoder_QD.T, out=slope_MQ[here])
        slope_MQ[here] *= acts_MQ[here] > 0
        return *squares, sum_D

    parts = workers.map(towards_residual, rows, ROWS)
    total_D = np.stack([part[2] for part in parts]).sum(0, dtype=np.float64)
    spread = sum(part[1] for part in parts) - float(total_D @ total_D) / rows
    weight = min(len(dead_Q) / config.aux_latents, 1.0) / max(spread, TINY)

    def towards_weights(start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        own = slice(start, stop)
        enc_QD = torch.mm(slope_MQ[:, own].T, tokens_MD)
        dec_QD = torch.mm(acts_MQ[:, own].T, as_tensor(miss_MD))
        return enc_QD.float(), dec_QD.float(), slope_MQ[:, own].sum(0, dtype=torch.float32)

    done = workers.map(towards_weights, len(dead_Q), DEAD)
    enc_QD, dec_QD, bias_Q = (torch.cat(part).numpy() for part in zip(*done, strict=True))
    slot_N = np.full(len(weights.dec_ND), -1, np.int32)
    slot_N[dead_Q] = np.arange(len(dead_Q))
    scale = np.float32(2 * config.aux_coefficient * weight)
    loss = weight * sum(part[0] for part in parts)
    return loss, DeadGradients(slot_N, scale, enc_QD, dec_QD, bias_Q)


def no_gradients(n: int, d: int) -> DeadGradients:
    """What `auxiliary_gradients` gives without dead latents."""
    none_QD = np.zeros((0, d), np.float32)
    slot_N = np.full(n, -1, np.int32)
    return DeadGradients(slot_N, np.float32(0), none_QD, none_QD, np.zeros(0, np.float32))
