"""Model versions on disk: immutable, content-addressed folders of safetensors and JSON.

A version's hash covers everything that decides what the version is (hashes of its files, parent,
encoder, seed, config, data, snapshot, code) and never a time, so the same run gives the same hash
and publishing it again is harmless. Loading trusts nothing: every file's hash, the version hash
and all shapes are checked, and there is no pickle anywhere.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from core import __version__
from core.bundle_parts import (
    head_parts,
    names_json,
    read_head,
    read_names,
    read_relations,
    read_sae,
    relations_json,
    sae_parts,
)
from core.errors import BundleError, ConfigError
from core.files import sync
from core.heads import LinearHead
from core.manifest import (
    EXTRA,
    MANIFEST,
    Manifest,
    VersionKind,
    canonical_hash,
    make_manifest,
    plain,
    read_manifest,
)
from core.sae import SparseAutoencoder
from core.types import ConceptName, EncoderInfo, Relation

__all__ = [
    "Manifest",
    "ModelBundle",
    "canonical_hash",
    "code_version",
    "dictionary_hash",
    "load_bundle",
    "read_manifest",
    "save_bundle",
]


@dataclass(frozen=True, eq=False)
class ModelBundle:
    """A loaded version. Shared between threads: never change anything in it."""

    manifest: Manifest
    sae: SparseAutoencoder
    head: LinearHead
    relations: tuple[Relation, ...]
    names: tuple[ConceptName, ...]  # the model's own, one per concept
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def dictionary_hash(sae: SparseAutoencoder) -> str:
    """sha256 over an autoencoder's settings and weights: the identity of its concepts."""
    settings, tensors = sae_parts(sae)
    shapes = [[name, str(a.dtype), list(a.shape)] for name, a in sorted(tensors.items())]
    digest = hashlib.sha256(canonical_hash([settings, shapes]).encode())
    for _, values in sorted(tensors.items()):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def code_version() -> str:
    """Release and hash of the engine's source, as far as it decides what a version holds."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(folder).as_posix()
        if not relative.startswith("phantoms/"):
            digest.update(relative.encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{__version__}+{digest.hexdigest()[:12]}"


def save_bundle(
    root: Path,
    *,
    sae: SparseAutoencoder,
    head: LinearHead,
    relations: Sequence[Relation],
    names: Sequence[ConceptName],
    encoder: EncoderInfo,
    seed: int,
    config: Mapping[str, Any],
    data_hash: str,
    metrics: Mapping[str, Any],
    kind: VersionKind = "discover",
    parent: str | None = None,
    snapshot_hash: str | None = None,
    code: str | None = None,
    extra: Mapping[str, NDArray[Any]] | None = None,
) -> Path:
    """Publish a version in one step: after a kill it is there whole, or not at all.

    Args:
        root: folder of all versions; the version becomes root/<version hash>.
        config: everything that was set, JSON-ready, with finite numbers and no times.
        metrics: figures to show with the version, JSON-ready.
        code: of `code_version()`, which is taken where None.
        extra: further arrays to keep, such as cue detectors.

    Returns:
        The version's folder. The same content again gives the same folder, untouched.

    Raises:
        ConfigError: parts that do not fit together, or a number that is not finite.
    """
    if len(names) != sae.n or head.n != sae.n:
        raise ConfigError(f"{len(names)} names and a head for {head.n} of {sae.n} concepts")
    if sae.d != encoder.dim:
        raise ConfigError(f"concepts of dimension {sae.d} for an encoder of {encoder.dim}")
    blobs = _blobs(sae, head, relations, names, extra or {})
    manifest = make_manifest(
        parent=parent, kind=kind, encoder=encoder, dictionary_hash=dictionary_hash(sae),
        classes=head.classes, seed=seed, config=config, data_hash=data_hash,
        snapshot_hash=snapshot_hash, code_version=code or code_version(),
        files={name: hashlib.sha256(blob).hexdigest() for name, blob in blobs.items()},
        metrics=metrics,
    )  # fmt: skip
    blobs[MANIFEST] = _json_bytes(manifest.as_json())
    return _publish(root, manifest.version_hash, blobs)


def load_bundle(folder: Path, *, encoder: EncoderInfo | None = None) -> ModelBundle:
    """Load a version and check all of it.

    Args:
        folder: as `save_bundle` returned it.
        encoder: the encoder that will be used with it; another one is refused.

    Raises:
        BundleError: naming the file that is missing, altered, unknown or does not fit.
    """
    manifest, blobs = _verified(folder)
    if encoder is not None and encoder.hash != manifest.encoder.hash:
        reason = f"made for another encoder ({manifest.encoder.spec}) than {encoder.spec}"
        raise BundleError(MANIFEST, reason)
    sae = read_sae(blobs["sae.json"], blobs["sae.safetensors"])
    head = read_head(blobs["head.json"], blobs["head.safetensors"])
    names = read_names(blobs["names.json"], sae.n)
    relations = read_relations(blobs["relations.json"], sae.n)
    extra = _extra(blobs[EXTRA]) if EXTRA in blobs else {}
    if sae.d != manifest.encoder.dim:
        raise BundleError("sae.json", "its dimension is not the encoder's")
    if head.n != sae.n or head.classes != manifest.classes:
        raise BundleError("head.json", "classes or concepts are not the manifest's")
    if dictionary_hash(sae) != manifest.dictionary_hash:
        raise BundleError("sae.safetensors", "is not the dictionary that the manifest names")
    return ModelBundle(manifest, sae, head, relations, names, extra)


def _blobs(
    sae: SparseAutoencoder, head: LinearHead, relations: Sequence[Relation],
    names: Sequence[ConceptName], extra: Mapping[str, NDArray[Any]],
) -> dict[str, bytes]:  # fmt: skip
    sae_settings, sae_tensors = sae_parts(sae)
    head_settings, head_tensors = head_parts(head)
    blobs = {
        "sae.json": _json_bytes(sae_settings),
        "sae.safetensors": _tensor_bytes(sae_tensors),
        "head.json": _json_bytes(head_settings),
        "head.safetensors": _tensor_bytes(head_tensors),
        "relations.json": _json_bytes(relations_json(relations)),
        "names.json": _json_bytes(names_json(names)),
    }
    if extra:
        blobs[EXTRA] = _tensor_bytes(extra)
    return blobs


def _tensor_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise ConfigError(f"{name} holds values that are not finite")
    contiguous = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    return bytes(safetensors.numpy.save(contiguous))


def _json_bytes(content: Any) -> bytes:
    try:
        text = json.dumps(plain(content), indent=1, sort_keys=True, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"cannot be stored: {error}") from error
    return text.encode()


def _publish(root: Path, version_hash: str, blobs: Mapping[str, bytes]) -> Path:
    target = root / version_hash
    if _is_sound(target):
        return target
    root.mkdir(parents=True, exist_ok=True)
    draft = root / f".draft-{uuid.uuid4().hex}"
    try:
        draft.mkdir()
        for name, blob in blobs.items():
            _write(draft / name, blob)
        sync(draft)
        _put_in_place(draft, target)
        sync(root)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _write(path: Path, blob: bytes) -> None:
    with path.open("wb") as handle:
        handle.write(blob)
        handle.flush()
        os.fsync(handle.fileno())


def _put_in_place(draft: Path, target: Path) -> None:
    """Rename the draft; a damaged version in its place makes way, a sound one stays."""
    try:
        draft.rename(target)
    except OSError:
        if not target.exists():
            raise
        if _is_sound(target):
            return  # another process was faster with the same content
        aside = target.with_name(f".damaged-{uuid.uuid4().hex}")
        target.rename(aside)
        draft.rename(target)
        shutil.rmtree(aside, ignore_errors=True)


def _is_sound(folder: Path) -> bool:
    try:
        return folder.is_dir() and _verified(folder)[0].version_hash == folder.name
    except BundleError:
        return False


def _verified(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the bytes of every file it lists, each with the hash that it should have."""
    manifest = read_manifest(folder)
    found = {path.name for path in folder.iterdir()} - {MANIFEST}
    unknown = sorted(found - manifest.files.keys())
    if unknown:
        raise BundleError(unknown[0], "does not belong to this version")
    blobs = {}
    for name, digest in sorted(manifest.files.items()):
        path = folder / name
        if not path.is_file() or path.is_symlink():
            raise BundleError(name, "is missing")
        blobs[name] = path.read_bytes()
        if hashlib.sha256(blobs[name]).hexdigest() != digest:
            raise BundleError(name, "was altered: its hash is not the manifest's")
    return manifest, blobs


def _extra(blob: bytes) -> dict[str, NDArray[Any]]:
    try:
        return dict(safetensors.numpy.load(blob))
    except (SafetensorError, ValueError) as error:
        raise BundleError(EXTRA, "cannot be read") from error
