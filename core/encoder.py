"""Language-aligned vision encoders that give dense patch tokens.

open_clip projects only the pooled token into the space of the texts; the patch tokens that it
hands out are unprojected. Here they go through the tower's final norm and `visual.proj` too, so
that patches, images and texts share one space.

Legend: B images, G x V patch grid, P = G*V patches, W tower width, D shared embedding, T texts,
S input side in pixels, X any count of leading tokens.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn

from core.errors import EncoderError
from core.files import file_blocks
from core.types import EncoderInfo

Item = TypeVar("Item")
Precision = Literal["fp32", "bf16"]
CONFIG_FILE: Final = "open_clip_config.json"
DEMO_FOLDER: Final = Path(__file__).parent / "phantoms" / "encoder"
ADVICE: Final = (
    "use an open_clip ViT with a plain projection, for example ViT-B-16/laion2b_s34b_b88k"
)
_LOAD_ERRORS: Final = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    ImportError,
    SafetensorError,
)


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
    """An open_clip model with a ViT tower. Stateless after construction: safe across threads."""

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
        self.info = info
        self._device = torch.device(device)
        self._batch_size = batch_size
        self._tokenizer = tokenizer
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self._model: Any = model.float().eval().requires_grad_(False).to(self._device)
        visual: Any = self._model.visual
        # The head stays in fp32 whatever the tower runs in: it is cheap and it sets the scale.
        self._ln_post = _fp32_copy(visual.ln_post)
        self._proj_WD: Tensor = visual.proj.detach().clone()
        visual.to(self._dtype)
        config = open_clip.get_model_preprocess_cfg(self._model)
        self._mean_C = torch.tensor(config["mean"], device=self._device).view(3, 1, 1)
        self._std_C = torch.tensor(config["std"], device=self._device).view(3, 1, 1)
        self._check_tower()

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> DenseFeatures:
        """Encode images, each squashed whole to the square input, so maps cover all of it.

        Args:
            images: RGB, uint8 [H, W, 3] each; sizes may differ.

        Returns:
            Tokens float32 [B, P, D] and unit pooled embeddings float32 [B, D], on the CPU.
        """
        grid, dim = self.info.grid, self.info.dim
        tokens = [torch.empty(0, grid[0] * grid[1], dim)]
        pooled = [torch.empty(0, dim)]
        for chunk in _chunks(images, self._batch_size):
            batch = torch.stack([self._preprocess(image) for image in chunk])
            tokens_BPD, pooled_BD = self._forward(batch)
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

    def _preprocess(self, image: NDArray[np.uint8]) -> Tensor:
        """uint8 [H, W, 3] to normalised float32 [3, S, S], as open_clip's own "squash" does."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 [H, W, 3], got {image.dtype} {list(image.shape)}")
        side = self.info.image_size
        small = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
        x_CSS = torch.from_numpy(np.array(small)).permute(2, 0, 1).to(self._device)
        return (x_CSS.float() / 255.0 - self._mean_C) / self._std_C

    def _forward(self, batch_BCSS: Tensor) -> tuple[Tensor, Tensor]:
        # no_grad, not inference_mode: bf16 kernels were measured several times slower in the
        # latter (BENCHMARKS: 2.8 against 15 images/s).
        with torch.no_grad():
            out = self._model.visual.forward_intermediates(
                batch_BCSS.to(self._dtype),
                indices=1,
                normalize_intermediates=False,
                output_fmt="NLC",
            )
            patches = self.info.grid[0] * self.info.grid[1]
            raw_BPW = patch_tokens(out["image_intermediates"][-1], len(batch_BCSS), patches)
            tokens_BPD = self._ln_post(raw_BPW.float()) @ self._proj_WD
            pooled_BD = F.normalize(out["image_features"].float(), dim=-1)
        return tokens_BPD, pooled_BD

    def _check_tower(self) -> None:
        """One forward of two blank images: refuse a tower whose outputs do not fit together."""
        side = self.info.image_size
        try:
            tokens_BPD, _ = self._forward(torch.zeros(2, 3, side, side, device=self._device))
        except _LOAD_ERRORS as error:
            raise EncoderError(
                f"encoder {self.info.spec} gives no dense patch tokens "
                f"({_first_line(error)}): {ADVICE}"
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
            without the prefix "local-dir:").
        device: a torch device.
        precision: of the vision tower's weights. "bf16" pays on large towers only (ViT-B-16:
            about 4 times as fast; two small ones: slower) and moves tokens by 1 to 3 % of
            their length on average (measured), so the two are not to be mixed.
        batch_size: images per forward pass.

    Raises:
        EncoderError: the spec is unknown, its weights cannot be had, or it has no dense tokens.
    """
    if precision not in ("fp32", "bf16"):
        raise EncoderError(f"precision {precision!r} is unknown: use fp32 or bf16")
    folder = _folder_of(spec)
    model, tokenizer, digest = _load_folder(spec, folder) if folder else _load_registry(spec)
    info = _describe(spec, digest, model)
    return OpenClipEncoder(
        model, tokenizer, info, device=device, precision=precision, batch_size=batch_size
    )


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


def _folder_of(spec: str) -> Path | None:
    if spec == "demo":
        return DEMO_FOLDER
    folder = Path(spec.removeprefix("local-dir:")).expanduser()
    if spec.startswith("local-dir:") or folder.is_dir():
        return folder
    return None


def _load_folder(spec: str, folder: Path) -> tuple[nn.Module, Any, str]:
    config = folder / CONFIG_FILE
    if not config.is_file():
        raise EncoderError(f"encoder {spec}: the folder holds no {CONFIG_FILE}")
    weights = sorted(folder.glob("*.safetensors"))
    if len(weights) != 1:
        raise EncoderError(
            f"encoder {spec}: expected one .safetensors file in the folder, found {len(weights)}"
        )
    digest = _hash_blocks(chain([config.read_bytes()], file_blocks(weights[0])))
    model, tokenizer = _create(spec, f"local-dir:{folder}", None)
    return model, tokenizer, digest


def _load_registry(spec: str) -> tuple[nn.Module, Any, str]:
    name, _, tag = spec.rpartition("/")
    if name not in open_clip.list_models():
        raise EncoderError(
            f'encoder {spec!r} is unknown: give "demo", an open_clip NAME/PRETRAINED_TAG '
            f"such as ViT-B-16/laion2b_s34b_b88k, or a folder with {CONFIG_FILE}"
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag not in tags:
        raise EncoderError(f"encoder {name} has no weights {tag!r}: choose from {', '.join(tags)}")
    model, tokenizer = _create(spec, name, tag)
    config = json.dumps(open_clip.get_model_config(name), sort_keys=True).encode()
    return model, tokenizer, _hash_blocks(chain([config], _state_blocks(model)))


def _create(spec: str, name: str, tag: str | None) -> tuple[nn.Module, Any]:
    """Build and fill the model; building draws random weights, so the caller's RNG is kept."""
    try:
        with torch.random.fork_rng(devices=[]):
            model = open_clip.create_model(name, pretrained=tag, require_pretrained=True)
        return model, open_clip.get_tokenizer(name)
    except _LOAD_ERRORS as error:
        hint = "check the folder" if tag is None else "is this machine offline?"
        raise EncoderError(
            f"the weights of encoder {spec} could not be loaded ({_first_line(error)}); {hint}"
        ) from error


def _describe(spec: str, digest: str, model: nn.Module) -> EncoderInfo:
    """Read dimensions off the tower; refuse what has no projected patch tokens."""
    visual: Any = model.visual
    proj = getattr(visual, "proj", None)
    plain = (
        isinstance(proj, Tensor)
        and proj.ndim == 2
        and hasattr(visual, "grid_size")
        and hasattr(visual, "ln_post")
        and hasattr(visual, "forward_intermediates")
        and getattr(visual, "attn_pool", None) is None
    )
    if not plain or not isinstance(proj, Tensor):
        kind = type(visual).__name__
        raise EncoderError(f"encoder {spec} ({kind}) gives no projected patch tokens: {ADVICE}")
    height, width = visual.image_size
    if height != width:
        raise EncoderError(f"encoder {spec} takes {width} x {height} pixels: only square ones work")
    rows, columns = visual.grid_size
    return EncoderInfo(spec, digest, int(proj.shape[1]), (int(rows), int(columns)), int(height))


def _fp32_copy(norm: nn.Module) -> nn.LayerNorm:
    """A plain fp32 layer norm with the weights of `norm`."""
    source: Any = norm
    copy = nn.LayerNorm(source.normalized_shape, eps=source.eps, device=source.weight.device)
    copy.load_state_dict(source.state_dict())
    return copy.eval().requires_grad_(False)


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _hash_blocks(blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _state_blocks(model: nn.Module) -> Iterator[bytes]:
    for name, value in sorted(model.state_dict().items()):
        yield name.encode()
        yield value.contiguous().view(-1).view(torch.uint8).cpu().numpy().tobytes()
