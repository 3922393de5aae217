"""The training objective of every variant, by autograd: the reference and the path for GPUs.

loss = mean over levels l of  sum ||x - x^_l||^2 / sum ||x - mean(x)||^2
     + coefficient * min(dead / aux_k, 1) * sum ||e - e^||^2 / sum ||e - mean(e)||^2

All variants are one list of entries (row, column, value, level), and x^_l decodes the entries of
levels 0..l. They differ in which entries are selected and what their level is:

matryoshka: the k*M largest of the batch; the level is the column's group (Bussmann et al. 2025,
    arXiv 2503.17547).
batch-topk: the k*M largest of the batch, one level (Bussmann et al. 2024, arXiv 2412.06410).
topk: the k largest of each token, one level (Gao et al. 2024, arXiv 2406.04093).
nested-k: the k largest of each token; the level is the tier of the entry's rank within its token
    (Zaigrajew et al. 2025, arXiv 2502.20578).

e = x - x^ is the detached residual of all entries and e^ the decode, without bias, of the aux_k
strongest dead latents per token (Gao et al. 2024). Only the selected entries are decoded,
forwards and backwards: k of N latents fire per token. `core.sae.fast` computes the same loss and
gradients without autograd on a CPU.

Legend: M tokens, D dimension, N latents, L levels, Z selected entries, Q dead latents.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, assert_never

import torch
import torch.nn.functional as F
from torch import Tensor

from core.sae.config import SAEConfig
from core.sae.model import SparseAutoencoder
from core.sae.selection import largest_per_row, select_largest

TINY: Final = 1e-12
"""Least spread that a loss is divided by: tokens that are all equal stay finite."""


@dataclass(frozen=True)
class Entries:
    """The selected activations of a batch, ordered by row."""

    rows_Z: Tensor  # int64, ascending
    columns_Z: Tensor  # int64
    values_Z: Tensor  # float32, above 0, differentiable
    levels_Z: Tensor  # int64, 0 is the most general


@dataclass(frozen=True)
class Loss:
    """One evaluation of the objective."""

    total: Tensor  # scalar, differentiable
    reconstruction: Tensor  # scalar: mean fraction of variance unexplained over the levels
    levels_L: Tensor  # fraction of variance unexplained by the entries of levels 0..l
    auxiliary: Tensor  # scalar: the second term without its coefficient, 0 without dead latents
    columns_Z: Tensor  # int64, latent of every selected entry
    smallest: Tensor | None  # smallest of the batch's k*M largest; None where nothing fired


def objective(model: SparseAutoencoder, tokens_MD: Tensor, dead_N: Tensor) -> Loss:
    """Loss of one batch (at least one token), differentiable in the four parameters.

    Args:
        model: in the units of the tokens.
        tokens_MD: float32 [M, D], on the model's device.
        dead_N: bool [N], latents that count as dead.
    """
    pre_MN = model.pre_activations(tokens_MD)
    entries = select_entries(model.config, pre_MN)
    spread = _sum_of_squares(tokens_MD - tokens_MD.mean(0)).clamp_min(TINY)
    rebuilt_MD = tokens_MD  # replaced in the loop: there is at least one level
    losses = []
    for rebuilt_MD in _nested(model, entries, len(tokens_MD)):
        losses.append(_sum_of_squares(tokens_MD - rebuilt_MD) / spread)
    levels_L = torch.stack(losses)
    reconstruction = levels_L.mean()
    auxiliary = _auxiliary(model, pre_MN, (tokens_MD - rebuilt_MD).detach(), dead_N)
    return Loss(
        total=reconstruction + model.config.aux_coefficient * auxiliary,
        reconstruction=reconstruction.detach(),
        levels_L=levels_L.detach(),
        auxiliary=auxiliary.detach(),
        columns_Z=entries.columns_Z,
        smallest=_smallest(model.config, pre_MN.detach(), entries),
    )


def _smallest(config: SAEConfig, pre_MN: Tensor, entries: Entries) -> Tensor | None:
    """What one threshold for all tokens has to be for k active latents per token on average."""
    if not len(entries.columns_Z):
        return None
    match config.variant:
        case "matryoshka" | "batch-topk":
            return entries.values_Z.detach().min()
        case "topk" | "nested-k":
            return pre_MN.flatten()[select_largest(pre_MN, config.k * len(pre_MN))].min()
        case _:
            assert_never(config.variant)


def select_entries(config: SAEConfig, pre_MN: Tensor) -> Entries:
    """What the variant keeps of the pre-activations [M, N], with levels (see the module)."""
    flat = pre_MN.detach()
    match config.variant:
        case "matryoshka" | "batch-topk":
            flat_Z = select_largest(flat, config.k * len(flat))
            columns_Z = flat_Z % config.n
            levels_Z = _column_levels(config, pre_MN.device)[columns_Z]
        case "topk":
            flat_Z, _ = largest_per_row(flat, config.k)
            columns_Z = flat_Z % config.n
            levels_Z = torch.zeros_like(flat_Z)
        case "nested-k":
            flat_Z, ranks_Z = largest_per_row(flat, config.k)
            columns_Z = flat_Z % config.n
            tiers = torch.tensor(config.tiers, device=pre_MN.device)
            levels_Z = torch.bucketize(ranks_Z, tiers, right=True)
        case _:
            assert_never(config.variant)
    values_Z = pre_MN.flatten().gather(0, flat_Z)
    return Entries(flat_Z // config.n, columns_Z, values_Z, levels_Z)


def _column_levels(config: SAEConfig, device: torch.device) -> Tensor:
    sizes = torch.tensor(config.groups, device=device)
    return torch.repeat_interleave(torch.arange(len(sizes), device=device), sizes)


def _nested(model: SparseAutoencoder, entries: Entries, rows: int) -> Iterator[Tensor]:
    """Reconstructions [M, D] from the entries of growing levels."""
    rebuilt_MD = model.b_dec.expand(rows, -1)
    for level in range(model.config.losses):
        own = torch.nonzero(entries.levels_Z == level).squeeze(1)
        if len(own):
            counts = torch.bincount(entries.rows_Z[own], minlength=rows)
            rebuilt_MD = rebuilt_MD + F.embedding_bag(
                entries.columns_Z[own],
                model.W_dec,
                F.pad(counts.cumsum(0)[:-1], (1, 0)),
                mode="sum",
                per_sample_weights=entries.values_Z[own],
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
