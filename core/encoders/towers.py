"""The kinds of vision tower that give dense tokens, and a plain word for those that do not.

Besides open_clip's ViT (core.encoders.vit) there are two more. A timm ViT with attention pooling
(SigLIP): each token goes alone through the tower's own pooling and projection; attention over one
token is its value, so this is MaskCLIP's reading of such a pooling. A CLIP ResNet: MaskCLIP's
c_proj(v_proj(x)) of its attention pooling (Zhou et al. 2022, arXiv 2112.01071, section 3.2).

Legend: M images (or windows), P patches, T tokens, W width, D shared embedding; Y, X pixels.
"""

from typing import Any, Final, Literal, Protocol, assert_never

import torch
from torch import Tensor, nn

from core.encoders.geometry import Geometry
from core.encoders.rules import EXACT, Rules
from core.encoders.spec import EncoderSpec
from core.encoders.vit import VitTower, resize_position
from core.errors import EncoderError

ADVICE: Final = (
    "use an open_clip ViT with a plain projection, for example ViT-B-16/laion2b_s34b_b88k"
)
Kind = Literal["vit", "timm", "resnet"]


class Tower(Protocol):
    """Pixels to dense tokens and to the tower's own image embedding."""

    def forward(self, pixels_MCYX: Tensor, rules: Rules = EXACT) -> tuple[Tensor, Tensor]:
        """Tokens float32 [M, P, D] and embeddings float32 [M, D], neither normalised.

        `rules` other than EXACT are for ViT towers only (EncoderError).
        """


class TimmTower:
    """A timm ViT (SigLIP): every token alone through the tower's pooling and projection."""

    def __init__(self, visual: Any, geometry: Geometry) -> None:
        self._visual = visual
        if geometry.window != tuple(visual.image_size):
            visual.set_input_size(geometry.window)

    def forward(self, pixels_MCYX: Tensor, rules: Rules = EXACT) -> tuple[Tensor, Tensor]:
        """See Tower."""
        _exact_only(rules)
        trunk = self._visual.trunk
        x_MTW = trunk.forward_features(pixels_MCYX)
        lone_MPW = x_MTW[:, trunk.num_prefix_tokens :]
        tokens_ND = self._head(self._alone(lone_MPW.flatten(0, 1)))
        return tokens_ND.view(*lone_MPW.shape[:2], -1).float(), self._head(x_MTW).float()

    def _head(self, x_MTW: Tensor) -> Tensor:
        out: Tensor = self._visual.head(self._visual.trunk.forward_head(x_MTW))
        return out

    def _alone(self, token_NW: Tensor) -> Tensor:
        """Sequences of one token, behind the prefix that the pooling will cut off."""
        trunk = self._visual.trunk
        by_first = trunk.attn_pool is None and trunk.global_pool == "token"
        prefix = 0 if by_first or trunk.pool_include_prefix else trunk.num_prefix_tokens
        empty_NFW = token_NW.new_zeros(len(token_NW), prefix, token_NW.shape[-1])
        return torch.cat([empty_NFW, token_NW[:, None]], dim=1)


class ResNetTower:
    """A CLIP ResNet: the value path of its attention pooling at every place."""

    def __init__(self, visual: Any, geometry: Geometry, native: tuple[int, int]) -> None:
        self._visual = visual
        grid = (native[0] // STRIDE, native[1] // STRIDE)
        if geometry.window_grid != grid:
            position_TW = visual.attnpool.positional_embedding.detach()
            resized_TW = resize_position(position_TW, grid, geometry.window_grid)
            visual.attnpool.positional_embedding = nn.Parameter(resized_TW, requires_grad=False)

    def forward(self, pixels_MCYX: Tensor, rules: Rules = EXACT) -> tuple[Tensor, Tensor]:
        """See Tower."""
        _exact_only(rules)
        visual, pool = self._visual, self._visual.attnpool
        x_MWGV = visual.stem(pixels_MCYX)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x_MWGV = layer(x_MWGV)
        tokens_MPD = pool.c_proj(pool.v_proj(x_MWGV.flatten(2).transpose(1, 2)))
        return tokens_MPD.float(), pool(x_MWGV).float()


STRIDE: Final = 32  # pixels per place of a CLIP ResNet's last map


def kind_of(spec: EncoderSpec, visual: Any) -> Kind:
    """Which kind a tower is.

    Raises:
        EncoderError: it has no dense tokens, or not in the way that the spec asks for.
    """
    kind = type(visual).__name__
    if kind == "ModifiedResNet":
        if spec.dense != "maskclip-value":
            raise EncoderError(
                f"encoder {spec} ({kind}) has no projected tokens: ask for "
                f"{spec.base}?dense=maskclip-value, or {ADVICE}"
            )
        return "resnet"
    if hasattr(visual, "trunk"):
        _check_timm(spec, visual.trunk)
        return "timm"
    _check_vit(spec, visual, kind)
    return "vit"


def native_size(visual: Any) -> tuple[int, int]:
    """Rows and columns in pixels that a tower was made for."""
    size = visual.image_size
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))


def patch_size(kind: Kind, visual: Any) -> tuple[int, int]:
    """Rows and columns in pixels of one patch."""
    if kind == "resnet":
        return STRIDE, STRIDE
    size = visual.trunk.patch_embed.patch_size if kind == "timm" else visual.patch_size
    return int(size[0]), int(size[1])


def dimension(kind: Kind, visual: Any) -> int:
    """Length D of the shared embedding."""
    match kind:
        case "vit":
            return int(visual.proj.shape[1])
        case "resnet":
            return int(visual.attnpool.c_proj.out_features)
        case "timm":
            ends = [*visual.head.modules(), visual.trunk.head]
            linear = [end for end in ends if isinstance(end, nn.Linear)]
            return int(linear[0].out_features if linear else visual.trunk.num_features)
        case _:
            assert_never(kind)


def make_tower(kind: Kind, spec: EncoderSpec, visual: Any, geometry: Geometry) -> Tower:
    """The tower for one window of the geometry; reads fp32 weights, so call it before a cast."""
    match kind:
        case "vit":
            return VitTower(visual, spec.dense, geometry.window_grid)
        case "timm":
            return TimmTower(visual, geometry)
        case "resnet":
            return ResNetTower(visual, geometry, native_size(visual))
        case _:
            assert_never(kind)


def _check_vit(spec: EncoderSpec, visual: Any, kind: str) -> None:
    proj = getattr(visual, "proj", None)
    plain = (
        isinstance(proj, Tensor)
        and proj.ndim == 2
        and all(hasattr(visual, name) for name in ("grid_size", "ln_post", "transformer"))
        and getattr(visual, "attn_pool", None) is None
        and getattr(visual, "pool_type", None) in ("tok", "avg")
    )
    if not plain:
        raise EncoderError(f"encoder {spec} ({kind}) gives no projected patch tokens: {ADVICE}")
    last = visual.transformer.resblocks[-1]
    if spec.dense != "projected" and not isinstance(last.attn, nn.MultiheadAttention):
        raise EncoderError(
            f"encoder {spec}: its attention is of another kind ({type(last.attn).__name__}), so "
            "only dense=projected works"
        )


def _check_timm(spec: EncoderSpec, trunk: Any) -> None:
    """Only a timm ViT whose pooling can be applied to one token alone."""
    kind = type(trunk).__name__
    pooled = getattr(trunk, "attn_pool", None) is not None or (
        getattr(trunk, "global_pool", None) in ("avg", "token")
    )
    if kind != "VisionTransformer" or not pooled:
        raise EncoderError(
            f"encoder {spec} (timm {kind}) gives no projected patch tokens: {ADVICE}"
        )
    if spec.dense != "projected":
        raise EncoderError(
            f"encoder {spec}: a timm tower gives projected tokens only (with attention pooling "
            "they are its value path already): leave dense= out"
        )


def _exact_only(rules: Rules) -> None:
    if rules is not EXACT:
        raise EncoderError(f"relevance rules need a plain ViT tower: {ADVICE}")
