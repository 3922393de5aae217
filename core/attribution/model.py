"""The decision that is attributed: encoder, dictionary and head as one differentiable function.

    score_c(image) = sum_n w_cn pool_p a_pn + b_c,    a = JumpReLU(tokens W_enc + ...)

with the inference activations, rounded as the explanation's own. JumpReLU is a step at its
threshold: it is differentiated on its active side (slope 1 where a concept fires, 0 elsewhere), so
gradient methods do not see that a concept could switch on or off.

Legend: B images; Y, X input pixels; G, V patch grid (P = G*V patches); D embedding; N concepts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.encoders.rules import EXACT, Rules
from core.errors import ConfigError
from core.heads import LinearHead, pool
from core.types import EncoderInfo

Baseline = Literal["image-mean", "encoder-mean"]
"""The picture that stands for "nothing there": the image's own mean colour, or the mean colour of
the encoder's normalisation."""


class DifferentiableEncoder(Protocol):
    """An encoder whose tokens have gradients (core.encoder.OpenClipEncoder is one)."""

    @property
    def info(self) -> EncoderInfo:
        """Identity, dimensions and grid."""
        ...

    def prepare(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Images as network input, float32 [B, 3, Y, X]; Y, X multiples of the grid's G, V."""
        ...

    def dense(self, pixels_BCYX: Tensor, rules: Rules = EXACT) -> Tensor:
        """Dense tokens float32 [B, P, D] with gradients."""
        ...


class ActivationDictionary(Protocol):
    """What attribution needs of a sparse autoencoder (core.sae.SparseAutoencoder has it)."""

    @property
    def n(self) -> int:
        """Count of concepts N."""
        ...

    @property
    def decoder_ND(self) -> Tensor:
        """Directions float32 [N, D], on the dictionary's device."""
        ...

    def pre_activations(self, tokens_MD: Tensor) -> Tensor:
        """Linear pre-activations [M, N], with gradients."""
        ...

    def activate(self, pre: Tensor) -> Tensor:
        """Inference activations of pre-activations, >= 0."""
        ...


@dataclass(frozen=True, eq=False)
class AttributionModel:
    """Encoder, dictionary and head of one model version; raises ConfigError if they do not fit."""

    encoder: DifferentiableEncoder
    sae: ActivationDictionary
    head: LinearHead

    def __post_init__(self) -> None:
        if self.head.n != self.sae.n:
            raise ConfigError(f"a head for {self.head.n} concepts does not fit {self.sae.n}")

    @property
    def grid(self) -> tuple[int, int]:
        """(G, V)."""
        return self.encoder.info.grid

    def activations(self, tokens_BPD: Tensor) -> Tensor:
        """Inference activations [B, P, N]; their gradient is that of the firing concepts alone."""
        pre_MN = self.sae.pre_activations(tokens_BPD.flatten(0, 1))
        pre_BPN = pre_MN.view(*tokens_BPD.shape[:2], -1)
        acts_BPN = self.sae.activate(pre_BPN.detach())
        active_BPN = torch.where(acts_BPN > 0, pre_BPN, 0.0)
        return acts_BPN + (active_BPN - active_BPN.detach())

    def score_tokens(self, tokens_BPD: Tensor, class_index: int) -> Tensor:
        """Logit of a class, float32 [B], with gradients; on the dictionary's device."""
        tokens_BPD = tokens_BPD.to(self.sae.decoder_ND.device)
        pooled_BN = pool(self.activations(tokens_BPD), self.head.pooling)
        weight_N = torch.from_numpy(self.head.weight_CN[class_index]).to(pooled_BN.device)
        return pooled_BN @ weight_N + float(self.head.bias_C[class_index])

    def score(self, pixels_BCYX: Tensor, class_index: int, rules: Rules = EXACT) -> Tensor:
        """Logit of a class for prepared images, float32 [B], with gradients."""
        return self.score_tokens(self.encoder.dense(pixels_BCYX, rules), class_index)

    def cells(self, values_CYX: Tensor) -> Tensor:
        """Sum of pixel values over channels and over each patch, [G, V]."""
        rows, columns = self.grid
        high, wide = values_CYX.shape[1] // rows, values_CYX.shape[2] // columns
        return values_CYX.sum(0).reshape(rows, high, columns, wide).sum((1, 3))

    def spread(self, values_GV: Tensor) -> Tensor:
        """Every cell's value at each of its pixels, [Y, X], given an input size of the encoder."""
        rows, columns = self.grid
        _, height, width = self.blank.shape
        return values_GV.repeat_interleave(height // rows, 0).repeat_interleave(width // columns, 1)

    @property
    def blank(self) -> Tensor:
        """The input of the normalisation's mean colour: zeros [3, Y, X]."""
        return torch.zeros_like(self.encoder.prepare([np.zeros((8, 8, 3), np.uint8)])[0])

    def baseline(self, pixels_CYX: Tensor, kind: Baseline) -> Tensor:
        """The picture without content that methods compare with, [3, Y, X]."""
        match kind:
            case "image-mean":
                return pixels_CYX.mean((1, 2), keepdim=True).expand_as(pixels_CYX).clone()
            case "encoder-mean":
                return torch.zeros_like(pixels_CYX)
            case _:
                assert_never(kind)
