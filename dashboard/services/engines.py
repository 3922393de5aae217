"""Everything heavy, loaded once per process: encoders, model bundles, tokens, pooled codes.

torch is imported inside the methods: a process that only reads the database stays light. What is
cached here is shared by all threads and is never changed: model versions are immutable.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import EncoderError, ImageError, InputError
from dashboard.services.labels import Problem
from dashboard.services.pooled import PooledStore
from dashboard.services.progress import Progress, silent
from dashboard.settings import Precision, Settings
from db.records import ImageRecord

if TYPE_CHECKING:
    from torch import Tensor

    from core.artifacts import ModelBundle
    from core.encoder import Encoder, OpenClipEncoder
    from core.tokens import TokenStore

CHUNK = 32  # images encoded, or pooled, at a time


@dataclass(frozen=True)
class Encoded:
    """A token store and the images that could not be read into it."""

    tokens: TokenStore
    problems: tuple[Problem, ...]


class Engines:
    """The one place that loads models; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.RLock()
        self._encoders: dict[str, OpenClipEncoder] = {}
        self._bundles: dict[str, ModelBundle] = {}
        self._stores: dict[Path, TokenStore] = {}
        self._pooled: dict[Path, PooledStore] = {}

    def encoder(self, spec: str, expected_hash: str | None = None) -> OpenClipEncoder:
        """The encoder of that spec; EncoderError where it is not the one that is expected."""
        with self._lock:
            if spec not in self._encoders:
                self._encoders[spec] = self._load(spec)
            encoder = self._encoders[spec]
        return encoder if expected_hash is None else _expected(encoder, expected_hash)

    def exact_encoder(self, spec: str, expected_hash: str) -> OpenClipEncoder:
        """The same in full precision, whatever the settings say: what training starts from."""
        if self._settings.precision == "fp32":
            return self.encoder(spec, expected_hash)
        return _expected(self._load(spec, "fp32"), expected_hash)

    def _load(self, spec: str, precision: Precision | None = None) -> OpenClipEncoder:
        """A fine-tuned encoder is named by its hash, so that a workspace may be moved."""
        from core.encoder import load_encoder
        from core.encoders.spec import split_spec

        base, options = split_spec(spec)
        folder = self._settings.tuned_folder(base)
        place = spec if folder is None else f"local-dir:{folder}{options}"
        encoder = load_encoder(
            place,
            device=self._settings.device,
            precision=precision or self._settings.precision,
        )
        if folder is not None:
            encoder.info = replace(encoder.info, spec=spec)
        return encoder

    def bundle(self, folder: str | Path) -> ModelBundle:
        """The model version in a folder that is named by its hash; every file is verified."""
        from core.artifacts import load_bundle

        key = str(folder)
        with self._lock:
            if key not in self._bundles:
                self._bundles[key] = load_bundle(Path(folder))
            return self._bundles[key]

    def tokens(self, project_id: str, encoder_hash: str) -> TokenStore:
        """The dense tokens of a project's images under one encoder, as far as they are made."""
        from core.tokens import TokenStore

        folder = self._settings.tokens_folder(project_id, encoder_hash)
        with self._lock:
            if folder not in self._stores:
                folder.mkdir(parents=True, exist_ok=True)
                self._stores[folder] = TokenStore(folder)
            return self._stores[folder]

    def tokens_of(self, project_id: str, encoder_hash: str, sha: str) -> Tensor | None:
        """Tokens float32 [P, D] of one image, or None where they are not made yet."""
        store = self.tokens(project_id, encoder_hash)
        if sha not in store:
            store.refresh()  # another process may have written them
        return store.get(sha) if sha in store else None

    def ensure_tokens(
        self,
        project_id: str,
        root: Path,
        images: Sequence[ImageRecord],
        encoder: Encoder,
        progress: Progress = silent,
    ) -> Encoded:
        """Encode the images that have no tokens yet; what was made before a kill is kept.

        An image that has gone or was altered since it was ingested becomes a problem.
        """
        store = self.tokens(project_id, encoder.info.hash)
        store.refresh()
        missing = set(store.missing(image.sha256 for image in images))
        todo = [image for image in images if image.sha256 in missing]
        problems: list[Problem] = []
        store.write(_encode_all(root, todo, encoder, problems, progress))
        progress(1.0, "encoding images")
        return Encoded(store, tuple(problems))

    def pooled(
        self,
        project_id: str,
        bundle: ModelBundle,
        tokens: TokenStore,
        shas: Sequence[str],
        progress: Progress = silent,
    ) -> Any:
        """Pooled codes of images: scipy CSR float32 [I, N], rows in the order of `shas`.

        The inference activations, pooled over the patches as the version's head wants it. Kept on
        disk per dictionary and way, so that a reweighted version, which has the same ones, costs
        nothing.

        Raises KeyError for an image without tokens.
        """
        store = self.pooled_store(project_id, bundle)
        missing = store.missing(shas)
        for start in range(0, len(missing), 8 * CHUNK):
            part = missing[start : start + 8 * CHUNK]
            store.add(part, _pool(bundle, tokens, part))
            progress(min(1.0, (start + len(part)) / len(missing)), "computing codes")
        return store.rows(shas)

    def pooled_store(self, project_id: str, bundle: ModelBundle) -> PooledStore:
        """The store behind `pooled`."""
        manifest = bundle.manifest
        folder = self._settings.pooled_folder(
            project_id, manifest.dictionary_hash, bundle.head.pooling
        )
        with self._lock:
            if folder not in self._pooled:
                self._pooled[folder] = PooledStore(folder, bundle.sae.n)
            return self._pooled[folder]


def _expected(encoder: OpenClipEncoder, expected_hash: str) -> OpenClipEncoder:
    if encoder.info.hash != expected_hash:
        raise EncoderError(
            f"encoder {encoder.info.spec} is not the one this model version was made with "
            f"({encoder.info.hash[:12]} instead of {expected_hash[:12]})"
        )
    return encoder


def read_verified(root: Path, image: ImageRecord) -> Any:
    """RGB uint8 [H, W, 3] of an ingested image.

    Raises ImageError where it cannot be read or is no longer the picture that was ingested,
    InputError where its path leaves the project's folder.
    """
    from core.images import load_image, safe_join

    try:
        loaded = load_image(safe_join(root, image.relpath))
    except OSError as error:
        raise ImageError(image.relpath, f"cannot be read ({error.strerror})") from None
    if loaded.sha256 != image.sha256:
        raise ImageError(image.relpath, "its content changed since it was ingested")
    return loaded.rgb


def _encode_all(
    root: Path,
    todo: Sequence[ImageRecord],
    encoder: Encoder,
    problems: list[Problem],
    progress: Progress,
) -> Iterator[tuple[str, Tensor]]:
    """(sha256, tokens [P, D]) of every readable image; the others are added to `problems`."""
    for start in range(0, len(todo), CHUNK):
        progress(start / len(todo), "encoding images")
        shas, pixels = [], []
        for image in todo[start : start + CHUNK]:
            try:
                pixels.append(read_verified(root, image))
                shas.append(image.sha256)
            except InputError as error:
                problems.append(Problem(image.relpath, error.reason))
        if pixels:
            yield from zip(shas, encoder.encode_images(pixels).tokens_BPD, strict=True)


def _pool(bundle: ModelBundle, tokens: TokenStore, shas: Sequence[str]) -> Any:
    """CSR float32 [len(shas), N] of pooled inference activations."""
    import numpy as np
    import torch
    from scipy import sparse

    from core.heads import pool

    rows = []
    with torch.no_grad():
        for start in range(0, len(shas), CHUNK):
            tokens_IPD = tokens.rows(shas[start : start + CHUNK])
            images, patches, _ = tokens_IPD.shape
            acts_MN = bundle.sae.encode_dense(tokens_IPD.flatten(0, 1))
            pooled_IN = pool(acts_MN.view(images, patches, -1), bundle.head.pooling)
            rows.append(sparse.csr_matrix(pooled_IN.numpy().astype(np.float32)))
    return sparse.vstack(rows, format="csr")
