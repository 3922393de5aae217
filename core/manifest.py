"""The manifest of a model version: what it is, where it comes from, and its hash."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np

from core.errors import BundleError, ConfigError
from core.types import EncoderInfo

VersionKind = Literal["discover", "reweight", "finetune"]
FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
EXTRA: Final = "extra.safetensors"
REQUIRED: Final = frozenset(
    {"sae.safetensors", "sae.json", "head.safetensors", "head.json", "relations.json", "names.json"}
)
MAX_MANIFEST: Final = 4_000_000  # bytes


@dataclass(frozen=True)
class Manifest:
    """What a version is and where it comes from."""

    version_hash: str  # sha256, hex: of all fields below but the metrics
    parent: str | None  # version hash of the version it was made from
    kind: VersionKind
    encoder: EncoderInfo
    dictionary_hash: str  # sha256 of the autoencoder's settings and weights
    classes: tuple[str, ...]
    seed: int
    config: Mapping[str, Any]
    data_hash: str  # of the images, labels and splits it was made from
    snapshot_hash: str | None  # of the feedback it was made with
    code_version: str
    files: Mapping[str, str]  # name -> sha256, hex
    metrics: Mapping[str, Any]  # measured, so not part of the version hash

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready dict, as written to manifest.json."""
        return {"format": FORMAT, **plain(asdict(self))}


def canonical_hash(content: Any) -> str:
    """sha256 of the canonical JSON of a value: sorted keys, no spaces, finite numbers.

    Raises:
        ConfigError: a number is not finite, or a value has no JSON form.
    """
    try:
        text = json.dumps(
            plain(content), sort_keys=True, separators=(",", ":"), allow_nan=False,
            ensure_ascii=True,
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        raise ConfigError(f"cannot be hashed: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()


def make_manifest(**known: Any) -> Manifest:
    """A manifest with its version hash; takes every other field."""
    return Manifest(version_hash=_version_hash(known), **known)


def _version_hash(known: Mapping[str, Any]) -> str:
    """Hash of all manifest fields but the metrics and the hash itself."""
    raw = {k: asdict(v) if isinstance(v, EncoderInfo) else v for k, v in known.items()}
    content = {k: v for k, v in raw.items() if k not in ("metrics", "version_hash")}
    return canonical_hash({"format": FORMAT, **content})


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone, checked against its own version hash. Raises BundleError."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_MANIFEST:
            raise BundleError(MANIFEST, "too large")
        raw = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except OSError as error:
        raise BundleError(MANIFEST, f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(MANIFEST, f"not JSON ({error})") from error
    return _parse_manifest(raw)


def plain(value: Any) -> Any:
    """Numpy scalars and tuples to what JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _parse_manifest(raw: Any) -> Manifest:
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise BundleError(MANIFEST, f"not a model version of format {FORMAT}")
    known = {key: value for key, value in raw.items() if key != "format"}
    wrong = sorted(known.keys() ^ {f.name for f in fields(Manifest)})
    if wrong:
        raise BundleError(MANIFEST, f"field {wrong[0]!r} is missing or unknown")
    try:
        encoder = EncoderInfo(**{**known["encoder"], "grid": tuple(known["encoder"]["grid"])})
        manifest = Manifest(**{**known, "encoder": encoder, "classes": tuple(known["classes"])})
        _check_fields(manifest)
        expected = _version_hash({f.name: getattr(manifest, f.name) for f in fields(Manifest)})
    except (TypeError, KeyError, AttributeError, ConfigError) as error:
        raise BundleError(MANIFEST, f"a field has the wrong form ({error})") from error
    if manifest.version_hash != expected:
        raise BundleError(MANIFEST, "was altered: the version hash is not that of its content")
    return manifest


def _check_fields(manifest: Manifest) -> None:
    names = set(manifest.files)
    if not names >= REQUIRED or not names <= REQUIRED | {EXTRA}:
        odd = sorted((REQUIRED - names) or (names - REQUIRED - {EXTRA}))[0]
        raise BundleError(odd, "is missing from the manifest or unknown")
    if manifest.kind not in get_args(VersionKind):
        raise BundleError(MANIFEST, f"unknown kind of version {manifest.kind!r}")
    rows, columns = manifest.encoder.grid
    if min(manifest.encoder.dim, rows, columns) < 1 or not math.isfinite(manifest.seed):
        raise BundleError(MANIFEST, "the encoder's dimensions are not positive")
