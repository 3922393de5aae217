"""The settings of a discovery as a TOML file: every option of the engine, checked by name and type.

head_c = 1.0            # fields of core.discovery.DiscoverConfig
[sae]                   # of core.sae.SAEConfig; d comes from the encoder
n = 512
k = 6
[train]                 # of core.sae.TrainConfig
steps = 2000
[relations]             # of core.relations.RelationConfig
[naming]                # of core.naming.NamingConfig
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError, TableError

if TYPE_CHECKING:
    from core.discovery import DiscoverConfig

MAX_BYTES = 1_000_000


def read_settings(path: Path) -> dict[str, Any]:
    """What a TOML file says.

    Raises TableError for a file that cannot be read, is not UTF-8 or is not TOML.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TableError(path.name, "is too large for a file of settings")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TableError(path.name, "cannot be read") from error
    except UnicodeDecodeError as error:
        raise TableError(path.name, "is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise TableError(path.name, f"is not TOML ({error})") from error


def discover_config(settings: Mapping[str, Any], dim: int) -> DiscoverConfig:
    """The engine's settings for tokens of dimension `dim`.

    Raises ConfigError, naming the setting that is unknown, of a wrong type or out of range.
    """
    from core.discovery import DiscoverConfig

    raw = dict(settings)
    if "sae" in raw:
        raw["sae"] = {**_table("sae", raw["sae"]), "d": dim}
    if "seed" in _table("train", raw.get("train", {})):
        raise ConfigError("train.seed: the seed is given with the command, not in the settings")
    return typing.cast("DiscoverConfig", _build(DiscoverConfig, raw, ""))


def _build(kind: type, raw: Mapping[str, Any], prefix: str) -> Any:
    """An instance of a dataclass; its tables become nested dataclasses."""
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    for name in raw:
        if name not in known:
            listed = ", ".join(sorted(known - {"d"}))
            raise ConfigError(f"there is no setting {prefix}{name}: choose from {listed}")
    return kind(**{name: _value(hints[name], value, prefix + name) for name, value in raw.items()})


def _value(hint: Any, value: Any, name: str) -> Any:
    """A value of the type that the hint asks for."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of([h for h in typing.get_args(hint) if h is not type(None)], value, name)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _build(hint, _table(name, value), f"{name}.")
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise ConfigError(f"{name} is {value!r}: use {' or '.join(typing.get_args(hint))}")
        return value
    if origin is tuple:
        return _tuple(typing.get_args(hint), value, name)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:  # not isinstance: true is no number
        raise ConfigError(f"{name} is {value!r}: it must be of type {hint.__name__}")
    return value


def _one_of(hints: list[Any], value: Any, name: str) -> Any:
    for hint in hints[:-1]:
        try:
            return _value(hint, value, name)
        except ConfigError:
            continue
    return _value(hints[-1], value, name)


def _tuple(hints: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{name} must be a list")
    if len(hints) == 2 and hints[1] is Ellipsis:
        return tuple(_value(hints[0], one, name) for one in value)
    if len(value) != len(hints):
        raise ConfigError(f"{name} must hold {len(hints)} values")
    return tuple(_value(hint, one, name) for hint, one in zip(hints, value, strict=True))


def _table(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} must be a table, [{name}]")
    return value
