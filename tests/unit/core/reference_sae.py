"""Slow, dense reference of the objective, written from the formulas without any shortcut.

Used to compare loss and gradients with `core.sae.objective`; never by the product.
"""

import torch
from torch import Tensor

from core.sae.model import SparseAutoencoder


def reference_loss(model: SparseAutoencoder, tokens_MD: Tensor, dead_N: Tensor) -> Tensor:
    """The objective by full top-k, dense masks and one dense decode per prefix."""
    m, n = len(tokens_MD), model.n
    pre_MN = (tokens_MD - model.b_dec) @ model.W_enc + model.b_enc
    acts_MN = torch.relu(pre_MN)
    kept = torch.zeros(m * n, dtype=torch.bool)
    kept[torch.topk(acts_MN.detach().flatten(), min(model.k * m, m * n)).indices] = True
    acts_MN = acts_MN * kept.view(m, n)
    spread = ((tokens_MD - tokens_MD.mean(0)) ** 2).sum()
    losses = []
    for prefix in model.groups:
        mask_N = torch.arange(n) < prefix
        rebuilt_MD = (acts_MN * mask_N) @ model.W_dec + model.b_dec
        losses.append(((tokens_MD - rebuilt_MD) ** 2).sum() / spread)
    reconstruction = sum(losses[1:], losses[0]) / len(losses)
    rebuilt_MD = acts_MN @ model.W_dec + model.b_dec
    residual_MD = (tokens_MD - rebuilt_MD).detach()
    return reconstruction + _auxiliary(model, pre_MN, residual_MD, dead_N)


def _auxiliary(
    model: SparseAutoencoder, pre_MN: Tensor, residual_MD: Tensor, dead_N: Tensor
) -> Tensor:
    count = int(dead_N.sum())
    if count == 0:
        return torch.zeros(())
    aux_k = model.config.aux_latents
    dead_MN = torch.relu(pre_MN) * dead_N
    keep = torch.zeros_like(dead_MN)
    for row in range(len(dead_MN)):
        strongest = torch.topk(dead_MN[row].detach(), min(aux_k, count)).indices
        keep[row, strongest] = 1.0
    error = residual_MD - (dead_MN * keep) @ model.W_dec
    spread = ((residual_MD - residual_MD.mean(0)) ** 2).sum()
    scale = min(count / aux_k, 1.0)
    return model.config.aux_coefficient * scale * (error**2).sum() / spread


def selected_by_reference(pre_MN: Tensor, keep: int) -> Tensor:
    """Flat positions of the `keep` largest positive entries, ascending, by a full sort."""
    flat = pre_MN.flatten()
    order = torch.argsort(flat, descending=True, stable=True)[:keep]
    return order[flat[order] > 0].sort().values
