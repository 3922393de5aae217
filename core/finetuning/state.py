"""What a training depends on, and its checkpoints: safetensors and JSON, whole or not there.

The files are those of core.sae.checkpoint (a folder per checkpoint, renamed into place, hashed;
the newest two are kept), so that there is one way in which a training survives a kill.

Legend: none; tensors are named by their owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.sae.checkpoint import (
    Checkpoints,
    StreamPlace,
    TrainState,
    load_checkpoint,
    save_checkpoint,
    tensors_hash,
)
from core.streaming import Place

Point = tuple[str, int, float]
"""Series, step, value of a curve."""


@dataclass
class Journal:
    """The figures of a training as far as it went; floats come back from JSON bit by bit."""

    done: int = 0  # steps
    points: list[Point] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)  # since the last point
    summed: int = 0  # steps in them
    best: float | None = None  # lowest objective on the validation cases
    best_step: int | None = None
    since_best: int = 0  # looks without progress
    over: bool = False  # the training has ended

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; `from_json` reads it back."""
        return {**vars(self), "points": [list(point) for point in self.points]}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Journal:
        """Read what `to_json` wrote."""
        points = [(str(s), int(n), float(v)) for s, n, v in raw["points"]]
        return cls(**{**raw, "points": points})

    def curves(self) -> dict[str, tuple[tuple[int, float], ...]]:
        """Points by series, in the order of the steps."""
        found: dict[str, list[tuple[int, float]]] = {}
        for series, step, value in self.points:
            found.setdefault(series, []).append((step, value))
        return {series: tuple(points) for series, points in found.items()}


@dataclass(eq=False)
class Running:
    """A model in training: weights, moments, best weights so far and figures."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    journal: Journal = field(default_factory=Journal)
    best: dict[str, Tensor] = field(default_factory=dict)  # empty: none yet

    def tensors(self) -> dict[str, Tensor]:
        """Everything but the figures; generators of random numbers included."""
        moments = {
            f"adam.{index}.{name}": torch.as_tensor(value)
            for index, state in self.optimiser.state_dict()["state"].items()
            for name, value in state.items()
        }
        return {
            **{f"model.{name}": value.clone() for name, value in self.model.state_dict().items()},
            **{f"best.{name}": value for name, value in self.best.items()},
            **moments,
            **_generators(self._device()),
        }

    def restore(self, tensors: Mapping[str, Tensor], journal: Journal) -> None:
        """Go on exactly where `tensors` and `journal` were taken, on the model's device.

        Where that is another one than then, the generator of a GPU stays as it was left or set.
        """
        self.model.load_state_dict(_named(tensors, "model."))
        self.best = {k: v.to(self._device()) for k, v in _named(tensors, "best.").items()}
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in _named(tensors, "adam.").items():
            index, _, which = name.partition(".")
            states.setdefault(int(index), {})[which] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": states, "param_groups": groups})
        torch.set_rng_state(tensors["generator.cpu"])
        if "generator.cuda" in tensors and self._device().type == "cuda":
            torch.cuda.set_rng_state(tensors["generator.cuda"], self._device())
        self.journal = journal

    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def save(folder: Path, running: Running, setup: Mapping[str, Any]) -> None:
    """Write a checkpoint of a training."""
    journal = running.journal
    state = TrainState(
        journal.done, 0, 1.0, setup, running.tensors(),
        (StreamPlace(Place(), journal.to_json()),),
    )  # fmt: skip
    save_checkpoint(Checkpoints(folder), state)


def resume(folder: Path, running: Running, setup: Mapping[str, Any]) -> bool:
    """Take up the newest whole checkpoint; False where there is none.

    Raises:
        ConfigError: it belongs to another training; the message names what differs.
    """
    found = load_checkpoint(Checkpoints(folder), setup)
    if found is None:
        return False
    running.restore(found.tensors, Journal.from_json(found.places[0].state or {}))
    return True


def forget(folder: Path) -> None:
    """Remove all checkpoints of a folder."""
    load_checkpoint(Checkpoints(folder, resume=False), {})


def weights_hash(model: nn.Module) -> str:
    """sha256 over names, shapes and bits of a model's weights and buffers."""
    return tensors_hash(model.state_dict())


def _generators(device: torch.device) -> dict[str, Tensor]:
    states = {"generator.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["generator.cuda"] = torch.cuda.get_rng_state(device)
    return states


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
