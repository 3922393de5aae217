"""The demo encoder's shape, its dense forward pass and its folder on disk.

Legend: B images, P patches, D embedding, V vision width, S side, T texts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

CONFIG_FILE: Final = "open_clip_config.json"
WEIGHTS_FILE: Final = "open_clip_model.safetensors"
MEAN: Final = (0.5, 0.5, 0.5)
STD: Final = (0.25, 0.25, 0.25)
MODEL_CFG: Final[dict[str, Any]] = {
    "embed_dim": 128,
    "init_logit_scale": 2.302585,  # temperature 10 and bias -3: base rate of a cue in a patch
    "init_logit_bias": -3.0,
    "vision_cfg": {
        "image_size": 144,
        "layers": 6,
        "width": 192,
        "head_width": 64,
        "patch_size": 12,
        "no_ln_pre": True,
    },
    "text_cfg": {
        "context_length": 40,
        "vocab_size": 49408,
        "width": 64,
        "heads": 2,
        "layers": 2,
    },
}
SIDE: Final[int] = MODEL_CFG["vision_cfg"]["image_size"]
PATCH: Final[int] = MODEL_CFG["vision_cfg"]["patch_size"]
GRID: Final[int] = SIDE // PATCH


def build(seed: int) -> nn.Module:
    """A fresh open_clip CLIP with a start that suits short training.

    Positions start as 2-D sines, so that neighbours are alike from the first step; everything
    else is open_clip's own initialisation.
    """
    torch.manual_seed(seed)
    model: Any = open_clip.CLIP(**MODEL_CFG)
    with torch.no_grad():
        position = model.visual.positional_embedding
        position[1:] = sine_positions(GRID, position.shape[1])
    built: nn.Module = model
    return built


def sine_positions(grid: int, width: int) -> Tensor:
    """2-D sine-cosine position embedding [grid * grid, width], small enough not to swamp."""
    quarter = width // 4
    rate_Q = torch.exp(torch.arange(quarter) * (-4.6 / quarter))
    angle_GQ = torch.arange(grid)[:, None] * rate_Q[None]
    wave = torch.cat((angle_GQ.sin(), angle_GQ.cos()), dim=1)
    rows = wave[:, None].expand(grid, grid, -1)
    columns = wave[None].expand(grid, grid, -1)
    both = torch.cat((rows, columns), dim=2).reshape(grid * grid, -1)
    return F.pad(both, (0, width - both.shape[1])) * 0.1


def normalise(images_BSSC: Tensor) -> Tensor:
    """uint8 [B, S, S, 3] to the encoder's float input [B, 3, S, S]."""
    x_BCSS = images_BSSC.permute(0, 3, 1, 2).float() / 255.0
    return (x_BCSS - MEAN[0]) / STD[0]


def encode_dense(model: nn.Module, x_BCSS: Tensor) -> tuple[Tensor, Tensor]:
    """Global embedding [B, D] and projected patch tokens [B, P, D], neither normalised.

    open_clip projects the class token only; `ln_post` and `visual.proj` are applied to the
    patch tokens here, so that they share the space of the texts.
    """
    visual: Any = model.visual
    out = visual.forward_intermediates(
        x_BCSS, indices=1, normalize_intermediates=True, output_fmt="NLC"
    )
    tokens_BPV = out["image_intermediates"][-1]
    return out["image_features"], tokens_BPV @ visual.proj


def encode_texts(model: nn.Module, tokenizer: Any, groups: list[tuple[str, ...]]) -> Tensor:
    """One unit text embedding per group: the normalised mean over its prompts. [T, D]."""
    rows = []
    for prompts in groups:
        embedded = model.encode_text(tokenizer(list(prompts)), normalize=True)  # type: ignore[operator]
        rows.append(F.normalize(embedded.mean(0), dim=0))
    return torch.stack(rows)


def save_folder(model: nn.Module, folder: Path) -> int:
    """Write the open_clip folder (configuration, fp16 weights); return the weights' bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {
        "mean": list(MEAN),
        "std": list(STD),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    config = {"model_cfg": MODEL_CFG, "preprocess_cfg": preprocess}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    half = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    part = folder / (WEIGHTS_FILE + ".part")
    save_file(half, part)
    part.chmod(0o644)
    part.replace(folder / WEIGHTS_FILE)  # a reader never sees half a file
    return (folder / WEIGHTS_FILE).stat().st_size


def load_folder(folder: Path) -> tuple[nn.Module, Any]:
    """Load (model in fp32, tokenizer) through open_clip's own loading path."""
    spec = f"local-dir:{folder}"
    model = open_clip.create_model(spec)
    model.eval()
    return model, open_clip.get_tokenizer(spec)
