"""The Matryoshka BatchTopK sparse autoencoder, as used after training.

Everything is in raw token units: token = b_dec + sum of (value x unit decoder row) + rest, so a
concept is removed from a token by subtracting value x row.

Legend: M tokens, D dimension, N latents, Z stored entries.
Sources: Bussmann et al. 2025, Matryoshka SAE (arXiv 2503.17547); Bussmann et al. 2024,
BatchTopK SAE (arXiv 2412.06410).
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.codes import Codes
from core.sae.config import SAEConfig

ENCODE_ROWS: Final = 256
"""Tokens per matrix product in encode. Always the same shape (the last block is padded), so
that a token gives the same bits alone, within its image and within a large batch."""
FP16_MAX: Final = 65504.0


class SparseAutoencoder(nn.Module):
    """N concepts as directions in token space, with levels from general to specific."""

    threshold: Tensor  # scalar float32: an activation below or at it is zero

    def __init__(self, config: SAEConfig) -> None:
        super().__init__()
        self.config = config
        self.W_enc = nn.Parameter(torch.zeros(config.d, config.n))
        self.b_enc = nn.Parameter(torch.zeros(config.n))
        self.W_dec = nn.Parameter(torch.zeros(config.n, config.d))
        self.b_dec = nn.Parameter(torch.zeros(config.d))
        self.register_buffer("threshold", torch.zeros(()))

    @property
    def d(self) -> int:
        """Dimension of the tokens."""
        return self.config.d

    @property
    def n(self) -> int:
        """Count of latents (concepts)."""
        return self.config.n

    @property
    def k(self) -> int:
        """Mean count of active latents per token that it was trained for."""
        return self.config.k

    @property
    def groups(self) -> tuple[int, ...]:
        """Cumulative prefix sizes, general to specific; the last one is n."""
        return self.config.prefixes

    @property
    def levels_N(self) -> Tensor:
        """Level of every latent, int64 [N]; 0 is the most general group."""
        sizes = torch.tensor(self.config.groups)
        return torch.repeat_interleave(torch.arange(len(sizes)), sizes)

    @property
    def decoder_ND(self) -> Tensor:
        """Unit direction of every concept in token space, float32 [N, D], detached."""
        return self.W_dec.detach()

    def pre_activations(self, tokens_MD: Tensor) -> Tensor:
        """(x - b_dec) W_enc + b_enc, before ReLU and selection, [M, N]; differentiable."""
        return torch.addmm(self.b_enc - self.b_dec @ self.W_enc, tokens_MD, self.W_enc)

    def encode(self, tokens_MD: Tensor) -> Codes:
        """Sparse activations of tokens.

        JumpReLU on the scalar threshold; values are rounded to fp16 here, so that codes from
        disk and live codes agree.

        Args:
            tokens_MD: float [M, D], raw (not normalised).

        Returns:
            Codes of M tokens over N concepts.
        """
        parts = [self._fired(pre_MN) for pre_MN in self._blocks(tokens_MD)]
        return Codes.concat(parts, self.n)

    def encode_dense(self, tokens_MD: Tensor) -> Tensor:
        """The same activations, dense: float32 [M, N], already rounded to fp16."""
        parts = [self.activate(pre_MN) for pre_MN in self._blocks(tokens_MD)]
        return torch.cat([self.W_dec.new_zeros(0, self.n), *parts])

    def encode_with_pre(self, tokens_MD: Tensor) -> tuple[Codes, Tensor]:
        """The codes of `encode` and the pre-activations float32 [M, N] that they come from."""
        pre = list(self._blocks(tokens_MD))
        codes = Codes.concat([self._fired(pre_MN) for pre_MN in pre], self.n)
        if len(pre) == 1:
            return codes, pre[0]
        return codes, torch.cat([self.W_dec.new_zeros(0, self.n), *pre])

    def activate(self, pre: Tensor) -> Tensor:
        """Inference activations of pre-activations of any shape: float32, rounded to fp16."""
        kept = torch.where(pre > self.threshold, pre, 0.0).clamp_(0.0, FP16_MAX)
        return kept.half().float()

    def decode(self, codes: Codes | Tensor) -> Tensor:
        """Tokens rebuilt from codes (or dense activations [M, N]): float32 [M, D], raw units."""
        with torch.no_grad():
            if isinstance(codes, Tensor):
                return torch.addmm(self.b_dec, codes.float(), self.W_dec)
            out = self.b_dec.expand(len(codes), -1).clone()
            return out + torch.from_numpy(codes.csr() @ self.W_dec.numpy())

    def _blocks(self, tokens_MD: Tensor) -> Iterator[Tensor]:
        """Pre-activations [up to ENCODE_ROWS, N] of consecutive blocks of tokens."""
        if tokens_MD.ndim != 2 or tokens_MD.shape[1] != self.d:
            raise ValueError(f"expected tokens [M, {self.d}], got {list(tokens_MD.shape)}")
        with torch.no_grad():
            for block in torch.split(tokens_MD.detach().float(), ENCODE_ROWS):
                rows = len(block)
                if rows == 0:
                    continue
                padded = F.pad(block, (0, 0, 0, ENCODE_ROWS - rows))
                yield self.pre_activations(padded)[:rows]

    def _fired(self, pre_MN: Tensor) -> Codes:
        """Codes of pre-activations; only the few that fire are ever rounded or copied."""
        limit = max(float(self.threshold), 0.0)
        pre_MN = pre_MN.cpu()
        flat_Z = np.flatnonzero((pre_MN > limit).numpy())
        value_Z = pre_MN.reshape(-1)[torch.from_numpy(flat_Z)].clamp_(max=FP16_MAX).half()
        keep_Z = value_Z.numpy() > 0  # a tiny value may round to zero
        rows, columns = np.divmod(flat_Z[keep_Z], self.n)
        return Codes.from_entries(
            torch.from_numpy(rows), torch.from_numpy(columns), value_Z[torch.from_numpy(keep_Z)],
            len(pre_MN), self.n,
        )  # fmt: skip


def from_state(config: SAEConfig, state: dict[str, Tensor]) -> SparseAutoencoder:
    """A trained autoencoder from its settings and `state_dict()`, frozen and in eval mode.

    Raises:
        RuntimeError: names or shapes do not fit the settings.
    """
    model = SparseAutoencoder(config)
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)
