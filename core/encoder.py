"""Language-aligned vision encoders that give dense patch tokens.

open_clip projects only the pooled token into the space of the texts; the patch tokens that it
hands out are unprojected. Here they go through the tower's final norm and `visual.proj` too, so
that patches, images and texts share one space. Other ways to take them, other input sizes and
sliding windows are options of the spec (core.encoders.spec).

Legend: B images, G x V patch grid, P = G*V patches, D shared embedding, T texts, Y, X input rows
and columns in pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from core.encoders.geometry import make_geometry, options_hash
from core.encoders.loading import LOAD_ERRORS, first_line, load_model
from core.encoders.rules import EXACT, Rules
from core.encoders.spec import EncoderSpec, parse_spec
from core.encoders.towers import ADVICE, dimension, kind_of, make_tower, native_size, patch_size
from core.encoders.vit import VitTower, patch_tokens
from core.errors import EncoderError
from core.types import EncoderInfo

__all__ = ["DenseFeatures", "Encoder", "OpenClipEncoder", "load_encoder", "patch_tokens"]

Item = TypeVar("Item")
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class DenseFeatures:
    """What an encoder makes of a batch of images."""

    tokens_BPD: Tensor  # float32, projected patch tokens, row-major over the grid, not normalised
    pooled_BD: Tensor  # float32, unit length: the encoder's own image embedding


class Encoder(Protocol):
    """Anything that maps images to dense tokens and texts into the same space."""

    @property
    def info(self) -> EncoderInfo:
        """Identity, dimensions and grid."""
        ...

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> DenseFeatures:
        """Encode RGB images, uint8 [H, W, 3] each, of any size."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Encode texts to unit float32 [T, D]."""
        ...


class OpenClipEncoder:
    """An open_clip model with dense tokens. Stateless after construction: safe across threads."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        info: EncoderInfo,
        *,
        device: str = "cpu",
        precision: Precision = "fp32",
        batch_size: int = 32,
    ) -> None:
        """`info.spec` holds the options; raises EncoderError where the tower does not fit them."""
        self.info = info
        self._device = torch.device(device)
        self._batch_size = batch_size
        self._tokenizer = tokenizer
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._model: Any = model.float().eval().requires_grad_(False).to(self._device)
        visual: Any = self._model.visual
        config = open_clip.get_model_preprocess_cfg(self._model)
        self._mean_C = torch.tensor(config["mean"], device=self._device).view(3, 1, 1)
        self._std_C = torch.tensor(config["std"], device=self._device).view(3, 1, 1)
        spec = parse_spec(info.spec)
        kind = kind_of(spec, visual)
        self.geometry = make_geometry(spec, native_size(visual), patch_size(kind, visual))
        self._tower = make_tower(kind, spec, visual, self.geometry)
        visual.to(self._dtype)
        self._check_tower()

    @property
    def blank(self) -> Tensor:
        """The input of a picture of the normalisation's mean colour: zeros float32 [3, Y, X]."""
        return torch.zeros(3, *self.geometry.size, device=self._device)

    @property
    def model(self) -> Any:
        """The open_clip model itself: to be read, never changed."""
        return self._model

    @property
    def vit(self) -> VitTower | None:
        """The tower where it is a plain ViT without sliding windows, else None."""
        plain = isinstance(self._tower, VitTower) and not self.geometry.windowed
        return self._tower if plain and isinstance(self._tower, VitTower) else None

    @property
    def blocks(self) -> tuple[Any, ...]:
        """The attention blocks of a plain ViT tower, first to last; empty for other towers."""
        return self._tower.blocks if isinstance(self._tower, VitTower) else ()

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> DenseFeatures:
        """Encode images, each squashed whole to the input size, so maps cover all of it.

        Args:
            images: RGB, uint8 [H, W, 3] each; sizes may differ.

        Returns:
            Tokens float32 [B, P, D] and unit pooled embeddings float32 [B, D], on the CPU.
        """
        grid, dim = self.info.grid, self.info.dim
        tokens = [torch.empty(0, grid[0] * grid[1], dim)]
        pooled = [torch.empty(0, dim)]
        at_once = max(self._batch_size // len(self.geometry.starts), 1)  # of many windows each
        for chunk in _chunks(images, at_once):
            # no_grad, not inference_mode: bf16 kernels were measured several times slower in the
            # latter (BENCHMARKS: 2.8 against 15 images/s).
            with torch.no_grad():
                tokens_BPD, pooled_BD = self._forward(self.prepare(chunk), EXACT)
            tokens.append(tokens_BPD.cpu())
            pooled.append(pooled_BD.cpu())
        return DenseFeatures(torch.cat(tokens), torch.cat(pooled))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Encode texts to unit embeddings, float32 [T, D], on the CPU."""
        rows = [torch.empty(0, self.info.dim)]
        for chunk in _chunks(texts, 256):
            ids = self._tokenizer(list(chunk)).to(self._device)
            with torch.no_grad():
                embedded_TD = self._model.encode_text(ids)
            rows.append(F.normalize(embedded_TD.float(), dim=-1).cpu())
        return torch.cat(rows)

    def prepare(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Images as the tower takes them: float32 [B, 3, Y, X], normalised, on its device.

        As open_clip's own "squash": bicubic with antialias, the aspect ratio given up.

        Raises:
            ValueError: an image is not uint8 [H, W, 3].
        """
        return torch.stack([self._preprocess(image) for image in images])

    def dense(self, pixels_BCYX: Tensor, rules: Rules = EXACT) -> Tensor:
        """Dense tokens of prepared images, float32 [B, P, D]; gradients reach the pixels.

        Args:
            rules: how the blocks are computed; others than EXACT are for attribution and need a
                plain ViT tower (EncoderError).
        """
        return self._forward(pixels_BCYX, rules)[0]

    def _preprocess(self, image: NDArray[np.uint8]) -> Tensor:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
        rows, columns = self.geometry.size
        small = Image.fromarray(image).resize((columns, rows), Image.Resampling.BICUBIC)
        x_CYX = torch.from_numpy(np.array(small)).permute(2, 0, 1).to(self._device)
        return (x_CYX.float() / 255.0 - self._mean_C) / self._std_C

    def _forward(self, pixels_BCYX: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
        """Tokens [B, P, D] and unit embeddings [B, D]; windows are averaged, theirs too."""
        geometry = self.geometry
        if not geometry.windowed:
            tokens_BPD, pooled_BD = self._tower.forward(pixels_BCYX.to(self._dtype), rules)
            return tokens_BPD, F.normalize(pooled_BD, dim=-1)
        windows_MCYX = geometry.cut_pixels(pixels_BCYX).to(self._dtype)
        parts = [
            self._tower.forward(chunk, rules)
            for chunk in torch.split(windows_MCYX, self._batch_size)
        ]
        tokens_BPD = geometry.average(torch.cat([tokens for tokens, _ in parts]))
        unit_MD = F.normalize(torch.cat([pooled for _, pooled in parts]), dim=-1)
        mean_BD = unit_MD.view(len(pixels_BCYX), len(geometry.starts), -1).mean(1)
        return tokens_BPD, F.normalize(mean_BD, dim=-1)

    def _check_tower(self) -> None:
        """One forward of two blank images: refuse a tower whose outputs do not fit together."""
        grid, dim = self.info.grid, self.info.dim
        expected = (2, grid[0] * grid[1], dim)
        try:
            with torch.no_grad():
                tokens_BPD = self.dense(torch.stack([self.blank, self.blank]))
            if tokens_BPD.shape != expected:
                raise ValueError(f"{list(tokens_BPD.shape)} instead of {list(expected)}")
        except LOAD_ERRORS as error:
            raise EncoderError(
                f"encoder {self.info.spec} gives no dense patch tokens "
                f"({first_line(error)}): {ADVICE}"
            ) from error
        if not bool(torch.isfinite(tokens_BPD).all()):
            raise EncoderError(f"encoder {self.info.spec} gives values that are not finite")


def load_encoder(
    spec: str,
    *,
    device: str = "cpu",
    precision: Precision = "fp32",
    batch_size: int = 32,
) -> OpenClipEncoder:
    """Load an encoder.

    Args:
        spec: "demo", an open_clip "NAME/PRETRAINED_TAG", or a local open_clip folder (with or
            without the prefix "local-dir:"), and options as a query: `dense` (how tokens are
            taken, core.encoders.spec.Dense), `size` (input pixels, "448" or "ROWSxCOLUMNS":
            position embeddings are resized), `window` and `stride` (pixels of a sliding window).
        device: a torch device, or "auto" for a GPU when there is one.
        precision: of the vision tower's weights. "bf16" pays on large towers only (ViT-B-16:
            about 4 times as fast; two small ones: slower) and moves tokens by 1 to 3 % of
            their length on average (measured), so the two are not to be mixed.
        batch_size: images (or windows) per forward pass.

    Raises:
        EncoderError: the spec is unknown, its weights cannot be had, or it has no dense tokens.
    """
    if precision not in ("fp32", "bf16"):
        raise EncoderError(f"precision {precision!r} is unknown: use fp32 or bf16")
    parsed = parse_spec(spec)
    model, tokenizer, digest = load_model(parsed.base)
    info = _describe(parsed, digest, model)
    return OpenClipEncoder(
        model,
        tokenizer,
        info,
        device=resolve_device(device),
        precision=precision,
        batch_size=batch_size,
    )


def resolve_device(device: str) -> str:
    """A torch device: "auto" becomes "cuda" where a GPU is present, else "cpu"."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _describe(spec: EncoderSpec, digest: str, model: nn.Module) -> EncoderInfo:
    """Read dimensions off the tower; refuse what has no projected patch tokens."""
    visual: Any = model.visual
    kind = kind_of(spec, visual)
    native = native_size(visual)
    geometry = make_geometry(spec, native, patch_size(kind, visual))
    return EncoderInfo(
        spec=str(spec),
        hash=options_hash(digest, spec, geometry, native),
        dim=dimension(kind, visual),
        grid=geometry.grid,
        image_size=geometry.size[0],
    )


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
