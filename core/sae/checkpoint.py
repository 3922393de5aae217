"""Checkpoints of a training: safetensors and JSON, whole or not there at all.

Each checkpoint is a folder `step-NNNNNNNN` that is written under another name, synced and renamed,
so a kill at any moment leaves the earlier ones. The JSON holds the sha256 of the tensors: a
damaged checkpoint is noticed and the one before it is taken. A training that was saved on one
device goes on on another, with a warning: its bits are those of one device.

Legend: none; tensors are named by their owner.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from core.errors import ConfigError
from core.files import sha256_file, sync, write_json
from core.streaming import Place

FORMAT: Final = 1
_PREFIX: Final = "step-"
_DRAFT: Final = ".draft"
_TENSORS: Final = "state.safetensors"
_SETTINGS: Final = "state.json"
_DEVICE: Final = "device"  # name of a setting that says where, not what: it may change
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often to save a training, and whether to go on from what is there."""

    folder: Path
    every: int = 500  # steps
    keep: int = 2  # the newest so many
    resume: bool = True  # False: start anew and remove what is there

    def __post_init__(self) -> None:
        if self.every < 1 or self.keep < 1:
            raise ConfigError("checkpoints: every and keep must be at least 1")


@dataclass(frozen=True)
class StreamPlace:
    """Where a process stands in its stream."""

    place: Place
    state: Mapping[str, Any] | None  # of a SeekableStream


@dataclass(frozen=True)
class TrainState:
    """Everything that the next step depends on."""

    done: int  # steps
    tokens: int  # seen, over all processes
    scale: float  # of the tokens
    setup: Mapping[str, Any]  # settings, JSON-ready; another setup cannot go on from here
    tensors: Mapping[str, Tensor]  # "model.*", "step.*", "silent_N", ...
    places: tuple[StreamPlace, ...]  # one per process


def save_checkpoint(where: Checkpoints, state: TrainState) -> Path:
    """Write one checkpoint and remove those beyond `keep`; returns its folder."""
    where.folder.mkdir(parents=True, exist_ok=True)
    draft = where.folder / _DRAFT
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.tensors.items()}
    safetensors.torch.save_file(tensors, draft / _TENSORS)
    sync(draft / _TENSORS)
    settings = {
        "format": FORMAT,
        "done": state.done,
        "tokens": state.tokens,
        "scale": state.scale,
        "setup": dict(state.setup),
        "places": [asdict(place) for place in state.places],
        "sha256": sha256_file(draft / _TENSORS),
        "versions": {name: version(name) for name in ("torch", "numba", "numpy")},
    }
    write_json(draft / _SETTINGS, settings)
    target = where.folder / f"{_PREFIX}{state.done:08d}"
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
    sync(where.folder)
    for old in _folders(where.folder)[where.keep :]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def load_checkpoint(where: Checkpoints, setup: Mapping[str, Any]) -> TrainState | None:
    """The newest checkpoint that is whole; None where there is none (or none is wanted).

    Raises:
        ConfigError: it belongs to a training with another setup; the message names what differs.
            Another device is no other setup.
    """
    if not where.resume:
        for old in _folders(where.folder):
            shutil.rmtree(old, ignore_errors=True)
        return None
    for folder in _folders(where.folder):
        try:
            state = _read(folder)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            _LOG.warning("checkpoint %s is damaged and left out: %s", folder.name, error)
            continue
        _check_setup(folder, state.setup, setup)
        return state
    return None


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bits of tensors."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(folder: Path) -> TrainState:
    raw = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    if raw["format"] != FORMAT:
        raise ValueError(f"format {raw['format']} is not {FORMAT}")
    if sha256_file(folder / _TENSORS) != raw["sha256"]:
        raise ValueError("the tensors were altered")
    for name, used in raw["versions"].items():
        if version(name) != used:
            _LOG.warning("%s is %s, was %s: not bit-identical any more", name, version(name), used)
    places = tuple(StreamPlace(Place(**p["place"]), p["state"]) for p in raw["places"])
    return TrainState(
        done=int(raw["done"]),
        tokens=int(raw["tokens"]),
        scale=float(raw["scale"]),
        setup=raw["setup"],
        tensors=safetensors.torch.load_file(folder / _TENSORS),
        places=places,
    )


def _check_setup(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    new = json.loads(json.dumps(new))  # as it would come back: tuples are lists
    differing = []
    for name, a, b in _differences(old, new):
        if name.rpartition(".")[2] == _DEVICE:
            _LOG.warning("%s goes on on %s, was %s: not bit-identical any more", folder.name, b, a)
        else:
            differing.append(f"{name} ({a} then, {b} now)")
    if differing:
        raise ConfigError(
            f"{folder.name} is a checkpoint of another training: {', '.join(differing)} differs. "
            "Choose another folder, or start anew (resume=False)"
        )


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted({*old, *new}):
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from _differences(a, b, f"{path}{name}.")
        elif a != b:
            yield f"{path}{name}", a, b


def _folders(folder: Path) -> list[Path]:
    """Checkpoints, newest first."""
    return sorted((p for p in folder.glob(f"{_PREFIX}*") if p.is_dir()), reverse=True)
