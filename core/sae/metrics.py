"""How well a sparse autoencoder rebuilds tokens, with its inference activations.

Legend: M tokens, D dimension, N latents.
"""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from core.sae.model import SparseAutoencoder

CHUNK: Final = 8192


def evaluate_sae(model: SparseAutoencoder, tokens_MD: Tensor) -> dict[str, Any]:
    """Figures on held-out tokens (at least two that differ).

    Returns:
        fvu: fraction of variance unexplained, sum ||x - x^||^2 / sum ||x - mean||^2, [0, inf).
        cosine: mean cosine between token and reconstruction, [-1, 1].
        l0: mean count of active latents per token.
        dead: share of latents that fire on none of the tokens, [0, 1].
        per_prefix_fvu: fvu of every nested prefix, general to specific; the last equals fvu.
        tokens: M.

    Raises:
        ValueError: no tokens.
    """
    if not len(tokens_MD):
        raise ValueError("no tokens to evaluate on")
    tokens_MD = tokens_MD.float()
    mean_D = tokens_MD.mean(0)
    spread = 0.0
    cosine = 0.0
    active = 0
    errors = torch.zeros(len(model.groups), dtype=torch.float64)
    fired_N = torch.zeros(model.n, dtype=torch.bool)
    for block_MD in torch.split(tokens_MD, CHUNK):
        acts_MN = model.encode_dense(block_MD)
        rebuilt = prefix_reconstructions(model, acts_MN)
        spread += float((block_MD - mean_D).double().square().sum())
        errors += torch.stack([(block_MD - r).double().square().sum() for r in rebuilt])
        cosine += float(F.cosine_similarity(block_MD, rebuilt[-1]).sum())
        active += int(torch.count_nonzero(acts_MN))
        fired_N |= (acts_MN > 0).any(0)
    per_prefix = (errors / max(spread, 1e-12)).tolist()
    return {
        "fvu": per_prefix[-1],
        "cosine": cosine / len(tokens_MD),
        "l0": active / len(tokens_MD),
        "dead": 1.0 - float(fired_N.float().mean()),
        "per_prefix_fvu": per_prefix,
        "tokens": len(tokens_MD),
    }


def prefix_reconstructions(model: SparseAutoencoder, acts_MN: Tensor) -> list[Tensor]:
    """Tokens rebuilt from each nested prefix of the dictionary: [M, D] per prefix."""
    out = []
    with torch.no_grad():
        rebuilt_MD = model.b_dec.expand(len(acts_MN), -1)
        start = 0
        for stop in model.groups:
            rebuilt_MD = rebuilt_MD + acts_MN[:, start:stop] @ model.W_dec[start:stop]
            out.append(rebuilt_MD)
            start = stop
    return out
