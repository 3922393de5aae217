"""The part of an encoder that is tuned, with the concepts and the head behind it.

    prefix (output of the frozen blocks) -> last blocks -> norm, projection -> tokens
    -> frozen dictionary (JumpReLU) -> pooled activations -> linear head -> logits

Only the last blocks (or low-rank changes of their matrices) and the head have parameters that
change. The norm, the projection and the dictionary stay, so that tokens remain in the space of the
texts and concepts keep their meaning as far as the loss lets them.

Source of the low-rank changes: LoRA (Hu et al. 2021, arXiv 2106.09685): W + (scale / rank) B A with
B = 0 at the start, merged into W at the end.

Legend: B images, T tokens (class token first), P patches = T - 1, W width, D embedding,
N concepts, C classes, R rank.
"""

from __future__ import annotations

import copy
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from core.encoder import OpenClipEncoder
from core.encoders.vit import AFFINITY_BLOCK, fp32_copy, patch_tokens, pool_alike, taken
from core.errors import ConfigError, EncoderError
from core.finetuning.losses import Read
from core.heads import LinearHead, Pooling, pool
from core.sae import SparseAutoencoder

LOW_RANK_SCALE: Final = 2.0
"""Factor on the low-rank change (alpha / R in LoRA, whose authors set alpha to twice R)."""
ADAPTED: Final = (
    ("attn", "in_proj_weight"),
    ("attn.out_proj", "weight"),
    ("mlp.c_fc", "weight"),
    ("mlp.c_proj", "weight"),
)
"""Matrices of a block that get a low-rank change: module and name."""


class LowRank(nn.Module):
    """A parametrization W -> W + scale * B A."""

    def __init__(self, shape: torch.Size, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = int(shape[0]), int(shape[1])
        start_RW = torch.randn(rank, columns, generator=generator) / columns**0.5
        self.A = nn.Parameter(start_RW)
        self.B = nn.Parameter(torch.zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed matrix, of the shape of the given one."""
        return weight + LOW_RANK_SCALE * (self.B @ self.A)


class ConceptTower(nn.Module):
    """See the module. A `core.finetuning.losses.Reads`; inputs are prefixes [B, T, W].

    Args:
        encoder: a plain ViT tower without sliding windows.
        sae: concepts; frozen here.
        head: start of the linear head.
        blocks: last blocks that change, 1 .. all of them.
        rank: of the low-rank changes; None changes the blocks' own weights.
        seed: of the low-rank start.

    Raises:
        EncoderError: another kind of tower, or one whose pooling looks at frozen blocks.
        ConfigError: sizes that do not fit.
    """

    def __init__(
        self,
        encoder: OpenClipEncoder,
        sae: SparseAutoencoder,
        head: LinearHead,
        *,
        blocks: int,
        rank: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        vit = encoder.vit
        if vit is None:
            raise EncoderError(
                f"encoder {encoder.info.spec} cannot be tuned: use a plain ViT without windows, "
                "such as ViT-B-16/laion2b_s34b_b88k"
            )
        if vit.blocks[-1].ln_1.weight.dtype != torch.float32:
            raise ConfigError("load the encoder in fp32 to tune it: half precision loses bits")
        _check(len(vit.blocks), vit.dense, blocks, rank, sae, head, encoder.info.dim)
        self.blocks = nn.ModuleList(copy.deepcopy(vit.blocks[len(vit.blocks) - blocks :])).float()
        norm, proj_WD = vit.head
        self.norm = fp32_copy(norm)
        self.register_buffer("proj_WD", proj_WD.clone())
        self.dictionary = copy.deepcopy(sae).requires_grad_(False)
        self.weight_CN = nn.Parameter(torch.from_numpy(head.weight_CN.copy()))
        self.bias_C = nn.Parameter(torch.from_numpy(head.bias_C.copy()))
        self.pooling: Pooling = head.pooling
        self._dense, self._patches = vit.dense, encoder.info.grid[0] * encoder.info.grid[1]
        self._names = tuple(self.blocks.state_dict())
        self.blocks.requires_grad_(rank is None)
        if rank is not None:
            _adapt(self.blocks, rank, seed)
        self.cpu()

    def forward(self, prefix_BTW: Tensor) -> Tensor:
        """Logits float32 [B, C]."""
        return self.read(prefix_BTW).logits_BC

    def tokens(self, prefix_BTW: Tensor) -> Tensor:
        """Dense tokens float32 [B, P, D], as the encoder gives them; with gradients."""
        x_BTW, images = prefix_BTW, len(prefix_BTW)
        before_BTW, outputs = x_BTW, []
        for block in self.blocks:
            before_BTW, x_BTW = x_BTW, _through(block, x_BTW)
            outputs.append(x_BTW)
        raw_BTW = taken(self._dense, self.blocks[-1], before_BTW, x_BTW)
        raw_BPW = patch_tokens(raw_BTW, images, self._patches).float()
        with torch.autocast(raw_BPW.device.type, enabled=False):
            proj_WD: Tensor = self.proj_WD  # type: ignore[assignment]
            tokens_BPD: Tensor = self.norm(raw_BPW) @ proj_WD
            if self._dense == "dinoised":
                middle_BPW = patch_tokens(outputs[AFFINITY_BLOCK], images, self._patches)
                tokens_BPD = pool_alike(tokens_BPD, middle_BPW.float())
        return tokens_BPD

    def read(self, prefix_BTW: Tensor) -> Read:
        """Logits, activations and tokens of prefixes, float32 whatever the blocks computed in.

        The threshold decides what fires, so nothing behind the tokens runs in half precision.
        """
        tokens_BPD = self.tokens(prefix_BTW)
        with torch.autocast(tokens_BPD.device.type, enabled=False):
            flat_MN = self.dictionary.pre_activations(tokens_BPD.flatten(0, 1))
            pre_BPN = flat_MN.view(*tokens_BPD.shape[:2], -1)
            acts_BPN = torch.where(pre_BPN > self.dictionary.threshold.clamp_min(0), pre_BPN, 0.0)
            pooled_BN = pool(acts_BPN, self.pooling)
            logits_BC = pooled_BN @ self.weight_CN.T + self.bias_C
        return Read(logits_BC, acts_BPN, tokens_BPD, self.weight_CN, self.pooling)

    def linear_head(self, former: LinearHead) -> LinearHead:
        """The head as it stands now, without temperature and conformal rule."""
        weight_CN = self.weight_CN.detach().cpu().numpy().copy()
        bias_C = self.bias_C.detach().cpu().numpy().copy()
        return LinearHead(weight_CN, bias_C, former.classes, pooling=former.pooling)

    def merged(self) -> dict[str, Tensor]:
        """Weights of the blocks by name, "0.attn.in_proj_weight", low-rank changes merged in."""
        found = {}
        for name in self._names:
            path, _, last = name.rpartition(".")
            value: Tensor = getattr(self.blocks.get_submodule(path), last)
            found[name] = value.detach().cpu().clone()
        return found


def _through(block: Any, x_BTW: Tensor) -> Tensor:
    """A block, batch-first whatever its own layout."""
    out: Tensor
    if getattr(block.attn, "batch_first", True):
        out = block(x_BTW)
    else:
        out = block(x_BTW.transpose(0, 1)).transpose(0, 1)
    return out


def _adapt(blocks: nn.ModuleList, rank: int, seed: int) -> None:
    """Give every matrix in ADAPTED a low-rank change; all else stays frozen."""
    generator = torch.Generator().manual_seed(seed)
    for block in blocks:
        for path, name in ADAPTED:
            module = block.get_submodule(path)
            weight: Tensor = getattr(module, name)
            change = LowRank(weight.shape, rank, generator)
            parametrize.register_parametrization(module, name, change)


def _check(
    count: int, dense: str, blocks: int, rank: int | None, sae: SparseAutoencoder,
    head: LinearHead, dim: int,
) -> None:  # fmt: skip
    if not 1 <= blocks <= count:
        raise ConfigError(f"this encoder has {count} blocks: tune 1 to {count} of them")
    if rank is not None and rank < 1:
        raise ConfigError("the rank must be at least 1, or left out")
    if sae.d != dim or head.n != sae.n:
        raise ConfigError("encoder, concepts and head do not fit together")
    if dense == "dinoised" and blocks < min(-AFFINITY_BLOCK, count):
        raise ConfigError(
            f"dense=dinoised looks at block {-AFFINITY_BLOCK} from the end: tune at least so many"
        )
