"""The dense tokens of open_clip's own ViT towers.

Sources: MaskCLIP (Zhou et al. 2022, arXiv 2112.01071) in both published readings, see
`core.encoders.spec.Dense`; CLIP-DINOiser (Wysoczanska et al. 2024, arXiv 2312.12359) for the
pooling by affinity.

Legend: M images (or windows), T tokens (class token first), P patches = T - 1, W width, D shared
embedding; Y, X pixels.
"""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.encoders.rules import EXACT, Rules
from core.encoders.spec import Dense

AFFINITY_BLOCK: Final = -3
"""Block whose output gives the affinities of `dinoised`: the third from the end, as in
CLIP-DINOiser. Towers of fewer blocks use their first."""
AFFINITY_FLOOR: Final = 0.2
"""Cosines below it count as 0 (gamma in CLIP-DINOiser)."""


class VitTower:
    """A ViT with class token, norm and a plain projection, at any input size.

    `visual` is an open_clip VisionTransformer (frozen, already in the dtype to run in).
    """

    def __init__(self, visual: Any, dense: Dense, grid: tuple[int, int]) -> None:
        self._visual = visual
        self._dense = dense
        self._grid = grid
        self.blocks: tuple[Any, ...] = tuple(visual.transformer.resblocks)
        # The head stays in fp32 whatever the tower runs in: it is cheap and it sets the scale.
        self._ln_post = fp32_copy(visual.ln_post)
        self._proj_WD: Tensor = visual.proj.detach().float().clone()
        position_TW = visual.positional_embedding.detach()
        self._position_TW = resize_position(position_TW, visual.grid_size, grid)

    @property
    def dense(self) -> Dense:
        """How patch tokens are taken."""
        return self._dense

    @property
    def head(self) -> tuple[nn.LayerNorm, Tensor]:
        """The last norm and the projection [W, D], float32."""
        return self._ln_post, self._proj_WD

    def until(self, pixels_MCYX: Tensor, blocks: int) -> Tensor:
        """What goes into block number `blocks` (all tokens, class token first), [M, T, W]."""
        x_MTW: Tensor = self._visual.ln_pre(self._embed(pixels_MCYX))
        for block in self.blocks[:blocks]:
            x_MTW = EXACT.block(block, x_MTW)
        return x_MTW

    def forward(self, pixels_MCYX: Tensor, rules: Rules = EXACT) -> tuple[Tensor, Tensor]:
        """Tokens float32 [M, P, D], embeddings float32 [M, D]; not normalised; with gradients."""
        x_MTW = rules.norm(self._visual.ln_pre, self._embed(pixels_MCYX))
        affinity_at = max(len(self.blocks) + AFFINITY_BLOCK, 0)
        before_MTW = middle_MTW = x_MTW
        for number, block in enumerate(self.blocks):
            before_MTW, x_MTW = x_MTW, rules.block(block, x_MTW)
            if number == affinity_at:
                middle_MTW = x_MTW
        raw_MTW = taken(self._dense, self.blocks[-1], before_MTW, x_MTW, rules)
        patches = self._grid[0] * self._grid[1]
        raw_MPW = patch_tokens(raw_MTW, len(pixels_MCYX), patches).float()
        tokens_MPD = rules.norm(self._ln_post, raw_MPW) @ self._proj_WD
        if self._dense == "dinoised":
            feature_MPW = patch_tokens(middle_MTW, len(pixels_MCYX), patches).float()
            tokens_MPD = pool_alike(tokens_MPD, feature_MPW)
        return tokens_MPD, self._pooled(x_MTW.float(), rules)

    def _embed(self, pixels_MCYX: Tensor) -> Tensor:
        """Patches and class token with their positions, [M, T, W]."""
        visual = self._visual
        x_MPW = visual.conv1(pixels_MCYX).flatten(2).transpose(1, 2)
        first_M1W = visual.class_embedding.to(x_MPW.dtype).expand(len(x_MPW), 1, -1)
        return torch.cat([first_M1W, x_MPW], dim=1) + self._position_TW.to(x_MPW.dtype)

    def _pooled(self, x_MTW: Tensor, rules: Rules) -> Tensor:
        """open_clip's own image embedding, not normalised."""
        mean = self._visual.pool_type == "avg"
        if self._visual.final_ln_after_pool:
            pooled_MW = x_MTW[:, 1:].mean(1) if mean else x_MTW[:, 0]
            return rules.norm(self._ln_post, pooled_MW) @ self._proj_WD
        x_MTW = rules.norm(self._ln_post, x_MTW)
        return (x_MTW[:, 1:].mean(1) if mean else x_MTW[:, 0]) @ self._proj_WD


def taken(
    dense: Dense, block: Any, before_MTW: Tensor, after_MTW: Tensor, rules: Rules = EXACT
) -> Tensor:
    """What the final norm gets, of the last block's input and output."""
    if dense == "projected":
        return after_MTW
    value_MTW: Tensor = block.ls_1(value_path(block, rules.norm(block.ln_1, before_MTW)))
    if dense == "maskclip-value":
        return value_MTW
    x_MTW = before_MTW + value_MTW
    added_MTW: Tensor = block.ls_2(rules.mlp(block, rules.norm(block.ln_2, x_MTW)))
    return x_MTW + added_MTW


def value_path(block: Any, normed_MTW: Tensor) -> Tensor:
    """out_proj(V(y)) of a block's attention: what a token gets that attends to itself alone."""
    attention = block.attn
    width = normed_MTW.shape[-1]
    bias = None if attention.in_proj_bias is None else attention.in_proj_bias[2 * width :]
    value_MTW = F.linear(normed_MTW, attention.in_proj_weight[2 * width :], bias)
    out: Tensor = attention.out_proj(value_MTW)
    return out


def pool_alike(tokens_MPD: Tensor, feature_MPW: Tensor) -> Tensor:
    """Each token averaged with those of patches whose features are like its own, [M, P, D].

    out_p = sum_q a_pq token_q / sum_q a_pq with a_pq = cos(f_p, f_q), 0 where it is below
    AFFINITY_FLOOR. CLIP-DINOiser learns a convolution of f, taught by DINO, before the cosine:
    there is none here, f is the tower's own. On the demo encoder half of all pairs stay above the
    floor, on a ViT-Ti two thirds, so maps become smoother and less sharp than the published ones.
    """
    unit_MPW = F.normalize(feature_MPW, dim=-1)
    affinity_MPP = unit_MPW @ unit_MPW.transpose(1, 2)
    affinity_MPP = torch.where(affinity_MPP < AFFINITY_FLOOR, 0.0, affinity_MPP)
    return affinity_MPP @ tokens_MPD / affinity_MPP.sum(-1, keepdim=True).clamp_min(1e-6)


def resize_position(
    position_TW: Tensor, native: tuple[int, int], grid: tuple[int, int], first: int = 1
) -> Tensor:
    """Position embeddings for another grid, bicubic without antialias; the first tokens are kept.

    Args:
        position_TW: `first` leading tokens, then native[0] * native[1] patches, row-major.
    """
    native = (int(native[0]), int(native[1]))
    if native == grid:
        return position_TW.clone()
    lead_FW, patch_PW = position_TW[:first], position_TW[first:]
    image_1WGV = patch_PW.float().view(*native, -1).permute(2, 0, 1)[None]
    resized_1WGV = F.interpolate(image_1WGV, size=grid, mode="bicubic", align_corners=False)
    resized_PW = resized_1WGV[0].flatten(1).T.to(position_TW.dtype)
    return torch.cat([lead_FW, resized_PW])


def patch_tokens(x: Tensor, batch: int, patches: int) -> Tensor:
    """Patch tokens batch-first, [B, P, W], without class token, whatever the layout of `x`.

    open_clip turned batch-first in 2.26, so the layout is read off the shape: [B, X, W] or
    [X, B, W] with X >= P leading tokens of which the last P are patches. Where both readings
    fit, batch-first wins (every current open_clip).

    Raises:
        ValueError: neither reading fits.
    """
    if x.ndim == 3 and x.shape[0] == batch and x.shape[1] >= patches:
        return x[:, x.shape[1] - patches :]
    if x.ndim == 3 and x.shape[1] == batch and x.shape[0] >= patches:
        return x[x.shape[0] - patches :].transpose(0, 1)
    raise ValueError(f"tokens of shape {list(x.shape)} do not hold {batch} x {patches} patches")


def fp32_copy(norm: nn.Module) -> nn.LayerNorm:
    """A plain fp32 layer norm with the weights of `norm`."""
    source: Any = norm
    copy = nn.LayerNorm(source.normalized_shape, eps=source.eps, device=source.weight.device)
    copy.load_state_dict(source.state_dict())
    return copy.eval().requires_grad_(False)
