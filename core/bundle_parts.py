"""The parts of a model version as plain settings and arrays, and back again.

Readers get bytes whose hash was checked already; they still refuse what does not fit.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from core.conformal import ConformalRule
from core.errors import BundleError, ConfigError
from core.heads import LinearHead, read_pooling
from core.sae import SAEConfig, SparseAutoencoder, from_state
from core.types import ConceptName, Relation, RunnerUp

Arrays = Mapping[str, NDArray[Any]]
P = ParamSpec("P")
R = TypeVar("R")
_WRONG = (SafetensorError, ConfigError, KeyError, TypeError, ValueError, RuntimeError)


def _naming(file: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Turn whatever a malformed part causes into a BundleError that names its file."""

    def decorate(reader: Callable[P, R]) -> Callable[P, R]:
        @wraps(reader)
        def read(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return reader(*args, **kwargs)
            except _WRONG as error:
                raise BundleError(file, f"has the wrong form ({error})") from error

        return read

    return decorate


def sae_parts(sae: SparseAutoencoder) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Settings and weights of an autoencoder."""
    state = {name: value.detach().cpu().numpy() for name, value in sae.state_dict().items()}
    return sae.config.to_json(), state


@_naming("sae.safetensors")
def read_sae(settings: bytes, weights: bytes) -> SparseAutoencoder:
    """An autoencoder, frozen. Raises BundleError."""
    config = SAEConfig.from_json(json.loads(settings))
    arrays = _finite(safetensors.numpy.load(weights))
    state = {name: torch.from_numpy(values.copy()) for name, values in arrays.items()}
    return from_state(config, state)


def head_parts(head: LinearHead) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Settings and weights of a head; what is at its default is left out (and not hashed)."""
    settings: dict[str, Any] = {"classes": list(head.classes), "temperature": head.temperature}
    if head.pooling != "max":
        settings["pooling"] = head.pooling
    if head.conformal is not None:
        settings["conformal"] = head.conformal.as_json()
    arrays = {"weight_CN": head.weight_CN, "bias_C": head.bias_C}
    if head.upper_N is not None:
        arrays["upper_N"] = head.upper_N
    return settings, arrays


@_naming("head.safetensors")
def read_head(settings: bytes, weights: bytes) -> LinearHead:
    """A head. Raises BundleError."""
    raw, arrays = json.loads(settings), _finite(safetensors.numpy.load(weights))
    classes = tuple(str(name) for name in raw["classes"])
    return LinearHead(
        arrays["weight_CN"], arrays["bias_C"], classes, float(raw["temperature"]),
        pooling=read_pooling(raw.get("pooling", "max")),
        conformal=ConformalRule.from_json(raw.get("conformal")), upper_N=arrays.get("upper_N"),
    )  # fmt: skip


def relations_json(relations: Sequence[Relation]) -> list[dict[str, Any]]:
    """Relations as JSON-ready rows."""
    return [asdict(relation) for relation in relations]


@_naming("relations.json")
def read_relations(blob: bytes, concepts: int) -> tuple[Relation, ...]:
    """Relations between concepts 0..concepts-1. Raises BundleError."""
    relations = tuple(Relation(**row) for row in json.loads(blob))
    for r in relations:
        inside = 0 <= r.child < concepts and 0 <= r.parent < concepts
        if not inside or r.kind not in ("is-a", "part-of") or not 0.0 <= r.weight <= 1.0:
            raise ValueError(f"relation {r}")
    return relations


def names_json(names: Sequence[ConceptName]) -> list[dict[str, Any]]:
    """Names as JSON-ready rows, in the order of the concepts."""
    return [
        {
            "name": n.name,
            "score": n.score,
            "margin": n.margin,
            "runners_up": [[r.name, r.score] for r in n.runners_up],
        }
        for n in names
    ]


@_naming("names.json")
def read_names(blob: bytes, concepts: int) -> tuple[ConceptName, ...]:
    """One name per concept. Raises BundleError."""
    names = tuple(
        ConceptName(
            None if row["name"] is None else str(row["name"]),
            float(row["score"]),
            float(row["margin"]),
            tuple(RunnerUp(str(name), float(score)) for name, score in row["runners_up"]),
        )
        for row in json.loads(blob)
    )
    if len(names) != concepts:
        raise ValueError(f"{len(names)} names for {concepts} concepts")
    return names


def _finite(arrays: Arrays) -> Arrays:
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} is not finite")
    return arrays
