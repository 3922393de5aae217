"""Causal effect of a concept: how far a logit moves when the concept is taken away.

A contribution says what the head adds up; it is blind to redundancy. Here the concept's decoded
part is subtracted from every token, the tokens are encoded anew and pooled again. Where another
concept takes over, the logit moves less than the contribution promised; where the concept
carried others with it, it moves more.

Shape legend: P patches; D embedding; N concepts; K concepts asked for; F patches on which a
concept fires; C classes.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core.heads import Float64Array, LinearHead

# Rows encoded at once: bounds memory to rows x N floats.
MAX_ROWS = 2048


class Dictionary(Protocol):
    """What causal tests and explanations need of a sparse autoencoder."""

    @property
    def n(self) -> int: ...

    @property
    def decoder_ND(self) -> Tensor: ...

    def encode_dense(self, tokens_MD: Tensor) -> Tensor:
        """Inference activations float32 [M, N], >= 0."""


@torch.no_grad()
def causal_effects(
    sae: Dictionary,
    head: LinearHead,
    tokens_PD: Tensor,
    concepts: Sequence[int],
    class_index: int,
    *,
    acts_PN: Tensor | None = None,
) -> Float64Array:
    """Logit minus the logit after each concept alone is removed, float64 [K], logit units.

    Removal of concept k: tokens_p - a_pk * d_k for every patch p, then encode, max-pool, head.
    Only patches on which k fires change, so only they are encoded again, all concepts together.

    Args:
        tokens_PD: float32 tokens of one image.
        acts_PN: its inference activations, if they are at hand already.
    """
    acts = sae.encode_dense(tokens_PD) if acts_PN is None else acts_PN
    base_N = acts.amax(0)
    removed_FD, owner_F = _without(sae, tokens_PD, acts, concepts)
    fresh_FN = _encode_chunked(sae, removed_FD)
    pooled = np.empty((len(concepts) + 1, sae.n), dtype=np.float64)
    for k, concept in enumerate(concepts):
        silent_P = acts[:, concept] == 0
        parts = torch.cat((acts[silent_P], fresh_FN[owner_F == k]))
        pooled[k] = parts.amax(0).double().numpy()
    pooled[-1] = base_N.double().numpy()
    weight_N = head.weight_CN[class_index].astype(np.float64)
    score = pooled @ weight_N
    return np.asarray(score[-1] - score[:-1], dtype=np.float64)


def _without(
    sae: Dictionary, tokens_PD: Tensor, acts_PN: Tensor, concepts: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The changed tokens of all removals [F, D] and the position in `concepts` of each [F]."""
    chosen = torch.as_tensor(list(concepts), dtype=torch.long)
    acts_PK = acts_PN[:, chosen]
    owner_F, patch_F = (acts_PK > 0).T.nonzero(as_tuple=True)
    component_FD = acts_PK[patch_F, owner_F, None] * sae.decoder_ND[chosen[owner_F]]
    return tokens_PD[patch_F] - component_FD, owner_F


def _encode_chunked(sae: Dictionary, tokens_FD: Tensor) -> Tensor:
    if tokens_FD.shape[0] == 0:
        return torch.zeros(0, sae.n)
    return torch.cat([sae.encode_dense(part) for part in torch.split(tokens_FD, MAX_ROWS)])
