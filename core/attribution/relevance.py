"""Layer-wise relevance and attention rollout through an open_clip ViT.

captum's LRP knows no attention, so the rules are here. Relevance follows Ali et al. 2022 (XAI for
Transformers, arXiv 2202.07304): the attention matrix and the divisor of each layer norm are held
constant, an activation function f(h) is h times the constant f(h)/h, and so the network is
piecewise linear in its input; relevance is gradient x input of that network (LRP-0). What is left
of the logit sits in biases, position embeddings and the class token.

Legend: M images (or windows); T tokens (class token first), P patches = T - 1; W width;
H heads, E = W/H; G, V grid.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attribution.concept_maps import contribution_map
from core.attribution.registry import Job, Values
from core.encoder import OpenClipEncoder
from core.encoders.rules import ExactRules
from core.encoders.spec import parse_spec
from core.errors import ConfigError


class RelevanceRules:
    """Rules (core.encoders.rules) that leave every value as it is and bend the gradients."""

    def block(self, block: Any, x_MTW: Tensor) -> Tensor:
        """A block with its attention matrix held constant."""
        normed_MTW = self.norm(block.ln_1, x_MTW)
        weight_MHTT = attention_weights(block, normed_MTW).detach()
        value_MHTE = _project(block, normed_MTW)[2]
        mixed_MTW = (weight_MHTT @ value_MHTE).transpose(1, 2).flatten(2)
        x_MTW = x_MTW + block.ls_1(block.attn.out_proj(mixed_MTW))
        out: Tensor = x_MTW + block.ls_2(self.mlp(block, self.norm(block.ln_2, x_MTW)))
        return out

    def norm(self, norm: Any, x_MTW: Tensor) -> Tensor:
        """A layer norm with its divisor held constant."""
        if not isinstance(norm, nn.LayerNorm):
            same: Tensor = norm(x_MTW)
            return same
        centred_MTW = x_MTW - x_MTW.mean(-1, keepdim=True)
        spread_MT1 = (x_MTW.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
        unit_MTW = centred_MTW / spread_MT1.detach()
        if norm.weight is not None:
            unit_MTW = unit_MTW * norm.weight
        return unit_MTW if norm.bias is None else unit_MTW + norm.bias

    def mlp(self, block: Any, x_MTW: Tensor) -> Tensor:
        """An MLP whose activation function is a constant factor."""
        for part in block.mlp:
            if isinstance(part, nn.Linear):
                x_MTW = part(x_MTW)
            elif isinstance(part, nn.LayerNorm):
                x_MTW = self.norm(part, x_MTW)
            else:
                ratio_MTW = torch.where(x_MTW == 0, 0.0, part(x_MTW) / x_MTW)
                x_MTW = x_MTW * ratio_MTW.detach()
        return x_MTW


class RolloutRules(ExactRules):
    """Exact rules that multiply up the attention of every block (Abnar and Zuidema 2020).

    R = prod_l (A_l + I) / 2 with A_l the mean over heads; rows sum to one. Residual connection and
    attention are taken to weigh the same.
    """

    def __init__(self, first: Any, last: Any | None) -> None:
        """Starts anew at block `first`; `last` is left out where its attention is not used."""
        self._first, self._last = first, last
        self.parts: list[Tensor] = []  # [M, T, T] per forward pass: of token t from input token u

    def block(self, block: Any, x_MTW: Tensor) -> Tensor:
        """A block as it is; its attention is recorded."""
        own_TT = torch.eye(x_MTW.shape[1], device=x_MTW.device)
        if block is self._first:
            self.parts.append(own_TT.expand(len(x_MTW), -1, -1))
        if block is not self._last:
            mean_MTT = attention_weights(block, block.ln_1(x_MTW)).float().mean(1)
            self.parts[-1] = (0.5 * mean_MTT + 0.5 * own_TT) @ self.parts[-1]
        return super().block(block, x_MTW)


def layer_relevance(job: Job) -> Values:
    """Relevance of every patch's pixels for the logit, from the mean colour of the encoder."""
    _vit(job)
    pixels_1CYX = job.pixels_CYX[None].clone().requires_grad_(True)
    score_1 = job.model.score(pixels_1CYX, job.class_index, RelevanceRules())
    (gradient_1CYX,) = torch.autograd.grad(score_1.sum(), pixels_1CYX)
    return Values(job.model.cells((gradient_1CYX * pixels_1CYX)[0].detach()))


@torch.no_grad()
def attention_rollout(job: Job) -> Values:
    """The concept map (core.attribution.concept_maps), carried back to input patches by rollout.

    Rollout by itself knows no class and is read from the class token. This decision is read from
    the patch tokens, so their signed contributions are what is rolled out.
    """
    encoder = _vit(job)
    dense = parse_spec(encoder.info.spec).dense
    if dense == "dinoised":
        raise ConfigError("attention rollout does not follow dinoised tokens: use another method")
    blocks = encoder.blocks
    rules = RolloutRules(blocks[0], None if dense == "projected" else blocks[-1])
    tokens_PD = encoder.dense(job.pixels_CYX[None], rules)[0]
    map_P = contribution_map(job.model, tokens_PD, job.class_index)
    geometry = encoder.geometry
    start_1GV = (map_P.cpu().view(geometry.grid) / geometry.counts_GV())[None]
    start_KP = geometry.cut_grid(start_1GV)
    rollout_KPP = torch.cat(rules.parts)[:, 1:, 1:].cpu()
    carried_KP = torch.einsum("kp,kpq->kq", start_KP, rollout_KPP)
    return Values(geometry.add_up(carried_KP[..., None]).view(geometry.grid))


def attention_weights(block: Any, normed_MTW: Tensor) -> Tensor:
    """softmax(q k / sqrt(E)) of a block's attention, [M, H, T, T]; rows sum to one.

    Raises:
        ConfigError: the block has attention of another kind than torch's.
    """
    query_MHTE, key_MHTE, _ = _project(block, normed_MTW)
    scaled_MHTT = query_MHTE @ key_MHTE.transpose(-1, -2) * query_MHTE.shape[-1] ** -0.5
    weight_MHTT: Tensor = scaled_MHTT.softmax(-1)
    return weight_MHTT


def _project(block: Any, normed_MTW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, [M, H, T, E] each."""
    attention = block.attn
    if not isinstance(attention, nn.MultiheadAttention):
        raise ConfigError("relevance and rollout need plain attention blocks: use another method")
    images, tokens, _ = normed_MTW.shape
    all_MTX = F.linear(normed_MTW, attention.in_proj_weight, attention.in_proj_bias)
    heads_3MHTE = all_MTX.view(images, tokens, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    return heads_3MHTE[0], heads_3MHTE[1], heads_3MHTE[2]


def _vit(job: Job) -> OpenClipEncoder:
    """The job's encoder, if it has the blocks of a plain ViT; else ConfigError."""
    encoder = job.model.encoder
    if not isinstance(encoder, OpenClipEncoder) or not encoder.blocks:
        raise ConfigError("relevance and rollout need an open_clip ViT encoder: use another method")
    return encoder
