"""Find and fill an open_clip model by name or from a local folder, with a hash of what it is."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import open_clip
import torch
from safetensors import SafetensorError
from torch import nn

from core.errors import EncoderError
from core.files import file_blocks

CONFIG_FILE: Final = "open_clip_config.json"
DEMO_FOLDER: Final = Path(__file__).parents[1] / "phantoms" / "encoder"
LOAD_ERRORS: Final = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    ImportError,
    SafetensorError,
)


def load_model(base: str) -> tuple[nn.Module, Any, str]:
    """Model in eval mode, tokenizer, and sha256 over configuration and weights.

    Args:
        base: "demo", "NAME/PRETRAINED_TAG", or a folder, with or without "local-dir:".

    Raises:
        EncoderError: the name is unknown or its weights cannot be had.
    """
    folder = folder_of(base)
    return _load_folder(base, folder) if folder else _load_registry(base)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def folder_of(spec: str) -> Path | None:
    """The folder that a base names, or None where it names a model of open_clip's list."""
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
    except LOAD_ERRORS as error:
        hint = "check the folder" if tag is None else "is this machine offline?"
        raise EncoderError(
            f"the weights of encoder {spec} could not be loaded ({first_line(error)}); {hint}"
        ) from error


def _hash_blocks(blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _state_blocks(model: nn.Module) -> Iterator[bytes]:
    for name, value in sorted(model.state_dict().items()):
        yield name.encode()
        yield value.contiguous().view(-1).view(torch.uint8).cpu().numpy().tobytes()
