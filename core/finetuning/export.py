"""A tuned encoder as a folder that open_clip (and `core.encoder.load_encoder`) reads.

`open_clip_config.json` and one safetensors file, as for any local encoder. The folder is written
under another name and renamed, so that after a kill it is there whole or not at all. Tensors whose
values half precision holds exactly are stored so: what was not tuned keeps its size on disk.

Legend: none.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.encoder import OpenClipEncoder
from core.encoders.loading import CONFIG_FILE, folder_of
from core.encoders.spec import parse_spec
from core.errors import ConfigError
from core.files import sync

WEIGHTS_FILE: Final = "open_clip_model.safetensors"
NOTE_FILE: Final = "TUNED.md"
_BLOCKS: Final = "visual.transformer.resblocks"


def export_encoder(
    encoder: OpenClipEncoder, blocks: Mapping[str, Tensor], folder: Path, note: str = ""
) -> Path:
    """Write the encoder with other weights in its last blocks; an existing folder makes way.

    Args:
        encoder: the one that was tuned, in fp32; it is not changed.
        blocks: weights by name within the tuned blocks, "0.ln_1.weight" being of the first of
            them (core.finetuning.tower.ConceptTower.merged).
        folder: becomes the encoder's folder.
        note: text for people, kept beside the weights.

    Returns:
        The folder.

    Raises:
        ConfigError: weights that do not fit, are not finite, or an encoder in half precision.
    """
    state = tuned_state(encoder, blocks)
    draft = folder.with_name(f".draft-{uuid.uuid4().hex}")
    draft.mkdir(parents=True)
    try:
        _copy_others(encoder, draft)
        config = json.dumps(_config(encoder), indent=1) + "\n"
        (draft / CONFIG_FILE).write_text(config, encoding="utf-8")
        (draft / NOTE_FILE).write_text(note + "\n", encoding="utf-8")
        packed = {name: _smallest(value) for name, value in sorted(state.items())}
        save_file(packed, draft / WEIGHTS_FILE)
        (draft / WEIGHTS_FILE).chmod(0o644)
        for path in draft.iterdir():
            sync(path)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def tuned_state(encoder: OpenClipEncoder, blocks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All weights of the model, those of the last blocks replaced; copies, float32."""
    state = {name: value.detach().cpu() for name, value in encoder.model.state_dict().items()}
    if any(value.dtype in (torch.bfloat16, torch.float16) for value in state.values()):
        raise ConfigError("load the encoder in fp32 to tune it: half precision loses bits")
    vit = encoder.vit
    count = 0 if vit is None else len(vit.blocks)
    tuned = 1 + max((int(name.partition(".")[0]) for name in blocks), default=-1)
    for name, value in blocks.items():
        number, _, rest = name.partition(".")
        full = f"{_BLOCKS}.{count - tuned + int(number)}.{rest}"
        if full not in state or state[full].shape != value.shape:
            raise ConfigError(f"the encoder has no weights {full} of shape {list(value.shape)}")
        if not bool(torch.isfinite(value).all()):
            raise ConfigError("the tuned weights are not finite: lower the learning rate")
        state[full] = value
    return {name: value.contiguous().clone() for name, value in state.items()}


def spec_of(encoder: OpenClipEncoder, folder: Path) -> str:
    """The spec of a tuned encoder in a folder: the options of the one it was made from stay."""
    parsed = parse_spec(encoder.info.spec)
    _, mark, options = str(parsed).partition("?")
    return f"local-dir:{folder}{mark}{options}"


def _smallest(value: Tensor) -> Tensor:
    """The same values in half precision where it holds them exactly."""
    if value.dtype != torch.float32:
        return value
    half = value.half()
    return half if torch.equal(half.float(), value) else value


def _config(encoder: OpenClipEncoder) -> dict[str, Any]:
    """What open_clip needs to build the model again."""
    base = parse_spec(encoder.info.spec).base
    source = folder_of(base)
    if source is not None:
        found: dict[str, Any] = json.loads((source / CONFIG_FILE).read_text(encoding="utf-8"))
        return found
    preprocess = open_clip.get_model_preprocess_cfg(encoder.model)
    return {
        "model_cfg": open_clip.get_model_config(base.rpartition("/")[0]),
        "preprocess_cfg": {name: preprocess[name] for name in sorted(preprocess)},
    }


def _copy_others(encoder: OpenClipEncoder, draft: Path) -> None:
    """Files of a local encoder that belong to its tokenizer, such as tokenizer.json."""
    source = folder_of(parse_spec(encoder.info.spec).base)
    for path in sorted(source.glob("*token*")) if source is not None else ():
        if path.is_file():
            shutil.copy(path, draft / path.name)
