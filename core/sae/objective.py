"""The training objective: global BatchTopK, nested prefixes, auxiliary loss for dead latents.

loss = mean over prefixes g of  sum ||x - x^_g||^2 / sum ||x - mean(x)||^2
     + coefficient * min(dead / aux_k, 1) * sum ||e - e^||^2 / sum ||e - mean(e)||^2

x^_g decodes the latents of the first g groups; one selection, of the k*M largest activations of
the whole batch over the whole dictionary, serves every prefix (Bussmann et al. 2025, arXiv
2502.20578). e = x - x^ is the detached residual of the full dictionary and e^ the decode,
without bias, of the aux_k strongest dead latents per token (Gao et al. 2024, arXiv 2406.04093).
Only the selected entries are decoded, forwards and backwards: k of N latents fire per token.

Legend: M tokens, D dimension, N latents, Z selected entries, Q dead latents.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from core.sae.model import SparseAutoencoder

SAMPLE_STRIDE: Final = 61
"""Every 61st activation is sampled: a prime, so that no dictionary size aliases with it."""
TINY: Final = 1e-12


@dataclass(frozen=True)
class Loss:
    """One evaluation of the objective."""

    total: Tensor  # scalar, differentiable
    reconstruction: Tensor  # scalar: mean fraction of variance unexplained over the prefixes
    auxiliary: Tensor  # scalar: the second term without its coefficient, 0 without dead latents
    columns_Z: Tensor  # int64, latent of every selected entry
    smallest: Tensor | None  # smallest kept activation, scalar; None where nothing fired


def objective(model: SparseAutoencoder, tokens_MD: Tensor, dead_N: Tensor) -> Loss:
    """Loss of one batch (at least one token).

    Args:
        model: in the units of the tokens.
        tokens_MD: float32 [M, D].
        dead_N: bool [N], latents that count as dead.
    """
    rows = len(tokens_MD)
    pre_MN = model.pre_activations(tokens_MD)
    flat_Z = select_largest(pre_MN.detach(), model.k * rows)
    value_Z = pre_MN.flatten().gather(0, flat_Z)
    columns_Z = flat_Z % model.n
    spread = _sum_of_squares(tokens_MD - tokens_MD.mean(0)).clamp_min(TINY)
    rebuilt_MD = tokens_MD  # replaced in the loop: there is at least one prefix
    losses = []
    for rebuilt_MD in _nested(model, flat_Z // model.n, columns_Z, value_Z, rows):
        losses.append(_sum_of_squares(tokens_MD - rebuilt_MD) / spread)
    reconstruction = torch.stack(losses).mean()
    auxiliary = _auxiliary(model, pre_MN, (tokens_MD - rebuilt_MD).detach(), dead_N)
    return Loss(
        total=reconstruction + model.config.aux_coefficient * auxiliary,
        reconstruction=reconstruction.detach(),
        auxiliary=auxiliary.detach(),
        columns_Z=columns_Z,
        smallest=value_Z.detach().min() if len(value_Z) else None,
    )


def select_largest(pre_MN: Tensor, keep: int) -> Tensor:
    """Flat positions of the `keep` largest positive values, ascending, int64 [Z <= keep].

    Exact. A full top-k over M*N values is slow on a CPU, so a sample first gives a floor that
    is almost surely below the answer; the top-k then runs over what lies above it, and over all
    positive values where the floor was too high after all.
    """
    flat = pre_MN.flatten()
    floor = _sampled_floor(flat, keep)
    above = torch.nonzero(flat > floor).squeeze(1)
    if len(above) < keep and floor > 0:
        above = torch.nonzero(flat > 0).squeeze(1)
    if len(above) > keep:
        chosen = torch.topk(flat[above], keep, sorted=False).indices
        above = above[chosen.sort().values]
    return above


def _sampled_floor(flat: Tensor, keep: int) -> float:
    """A value that about 1.2 * keep entries (and 4 standard deviations more) exceed, or 0."""
    sample = flat[::SAMPLE_STRIDE]
    expected = keep / SAMPLE_STRIDE
    rank = math.ceil(1.2 * expected + 4 * math.sqrt(expected) + 4)
    if rank >= len(sample):
        return 0.0
    return max(0.0, float(torch.topk(sample, rank).values[-1]))


def _nested(
    model: SparseAutoencoder, rows_Z: Tensor, columns_Z: Tensor, value_Z: Tensor, rows: int
) -> Iterator[Tensor]:
    """Reconstructions [M, D] from growing prefixes of the dictionary; entries are row-major."""
    rebuilt_MD = model.b_dec.expand(rows, -1)
    level_Z = model.levels_N[columns_Z]
    for level in range(len(model.groups)):
        own = torch.nonzero(level_Z == level).squeeze(1)
        if len(own):
            counts = torch.bincount(rows_Z[own], minlength=rows)
            rebuilt_MD = rebuilt_MD + F.embedding_bag(
                columns_Z[own],
                model.W_dec,
                F.pad(counts.cumsum(0)[:-1], (1, 0)),
                mode="sum",
                per_sample_weights=value_Z[own],
            )
        yield rebuilt_MD


def _auxiliary(
    model: SparseAutoencoder, pre_MN: Tensor, residual_MD: Tensor, dead_N: Tensor
) -> Tensor:
    """Loss of the dead latents on the residual, times min(dead / aux_k, 1)."""
    dead_Q = torch.nonzero(dead_N).squeeze(1)
    if not len(dead_Q):
        return pre_MN.new_zeros(())
    aux_k = model.config.aux_latents
    acts_MQ = pre_MN.index_select(1, dead_Q).relu()
    if len(dead_Q) > aux_k:
        top = torch.topk(acts_MQ, aux_k, dim=1, sorted=False)
        acts_MQ = torch.zeros_like(acts_MQ).scatter(1, top.indices, top.values)
    error = residual_MD - acts_MQ @ model.W_dec[dead_Q]
    spread = _sum_of_squares(residual_MD - residual_MD.mean(0)).clamp_min(TINY)
    return min(len(dead_Q) / aux_k, 1.0) * _sum_of_squares(error) / spread


def _sum_of_squares(x: Tensor) -> Tensor:
    return x.square().sum()
