"""Images in which a concept fires: strongest, middling and weakest, with maps and close-ups.

The pooled codes of a dictionary are read once and kept by column, so that another concept costs a
few maps and no encoding of whole images. Legend: I images, N concepts, P patches, G x V grid.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dashboard.services.progress import Progress, silent
from dashboard.viewmodels.concepts import ExampleView, Rank
from db.records import ConceptRecord, ImageRecord, VersionRecord
from db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from core.artifacts import ModelBundle
    from core.sae import SparseAutoencoder
    from core.tokens import TokenStore
    from dashboard.services.pooled import PooledStore

EACH: Final = 6  # examples of each rank
KEPT: Final = 2  # dictionaries whose columns stay in memory
AT_ONCE: Final = 512  # images whose codes are made while somebody waits; more is the worker's work
ROOM: Final = 1  # patches around the place in a close-up
LEAST: Final = 0.3  # side of the smallest close-up, share of the image


class ConceptEngines(Protocol):
    """What is needed of Engines."""

    def bundle(self, folder: str) -> ModelBundle:
        """The model version in a folder."""

    def tokens(self, project_id: str, encoder_hash: str) -> TokenStore:
        """The dense tokens of a project, as far as this process has looked."""

    def pooled(
        self,
        project_id: str,
        bundle: ModelBundle,
        tokens: TokenStore,
        shas: Sequence[str],
        progress: Progress = silent,
    ) -> Any:
        """Pooled codes csr [I, N], rows in the order of `shas`."""

    def pooled_store(self, project_id: str, bundle: ModelBundle) -> PooledStore:
        """The store behind `pooled`."""


@dataclass(frozen=True, eq=False)
class Codes:
    """Pooled codes of a project under one dictionary. Shared: never change anything in it."""

    shas: tuple[str, ...]  # I images
    columns_IN: Any  # scipy CSC float32 [I, N]
    bundle: ModelBundle
    tokens: TokenStore

    def of(self, concept: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows in which a concept fires and its pooled activation there, strongest first."""
        start, stop = self.columns_IN.indptr[concept : concept + 2]
        rows = self.columns_IN.indices[start:stop].astype(np.int64)
        values = self.columns_IN.data[start:stop]
        order = np.lexsort((rows, -values))
        kept = order[values[order] > 0]
        return rows[kept], values[kept]


class ConceptCodes:
    """Codes per dictionary, the last few kept in memory; safe to share between threads."""

    def __init__(self, engines: ConceptEngines) -> None:
        self._engines = engines
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, str], Codes] = OrderedDict()

    def of(self, project_id: str, version: VersionRecord) -> Codes:
        """The codes of every image that has tokens (and, in large projects, codes already)."""
        bundle = self._engines.bundle(version.folder)
        tokens = self._engines.tokens(project_id, version.encoder_hash)
        tokens.refresh()  # the worker may have written more
        key = (project_id, version.dictionary_hash, bundle.head.pooling)
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or len(kept.shas) != len(tokens):
                kept = self._read(project_id, bundle, tokens)
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return kept

    def _read(self, project_id: str, bundle: ModelBundle, tokens: TokenStore) -> Codes:
        shas = tokens.shas()
        missing = set(self._engines.pooled_store(project_id, bundle).missing(shas))
        if len(missing) > AT_ONCE:
            shas = tuple(sha for sha in shas if sha not in missing)
        if not shas:
            from scipy import sparse

            empty = sparse.csc_matrix((0, bundle.sae.n), dtype=np.float32)
            return Codes((), empty, bundle, tokens)
        pooled = self._engines.pooled(project_id, bundle, tokens, shas)
        return Codes(tuple(shas), pooled.tocsc(), bundle, tokens)


def examples(
    uow: UnitOfWork, codes: Codes, concept: ConceptRecord, each: int = EACH
) -> tuple[ExampleView, ...]:
    """Top, middle and lowest examples of a concept, those of one rank together."""
    rows, values = codes.of(concept.number)
    found = []
    for rank, places in ranked(len(rows), each):
        for place in places:
            sha = codes.shas[rows[place]]
            image = uow.images.by_sha256(concept.project_id, sha)
            if image is not None:
                found.append(_example(codes, concept.number, image, float(values[place]), rank))
    return tuple(found)


def ranked(count: int, each: int) -> tuple[tuple[Rank, range], ...]:
    """Places among `count` sorted ones: the first, those around the middle, the last; disjoint.

    >>> ranked(100, 2)
    (('top', range(0, 2)), ('middle', range(49, 51)), ('lowest', range(98, 100)))
    >>> ranked(3, 2)
    (('top', range(0, 2)), ('middle', range(2, 2)), ('lowest', range(2, 3)))
    """
    top = min(each, count)
    lowest = max(count - each, top)
    middle = max(top, min((top + lowest - each + 1) // 2, lowest))
    return (
        ("top", range(top)),
        ("middle", range(middle, min(middle + each, lowest))),
        ("lowest", range(lowest, count)),
    )


def _example(
    codes: Codes, concept: int, image: ImageRecord, value: float, rank: Rank
) -> ExampleView:
    grid = codes.bundle.manifest.encoder.grid
    map_P = concept_map(codes.bundle.sae, codes.tokens.get(image.sha256), concept)
    map_GV = map_P.reshape(grid)
    return ExampleView(
        image.id, image.relpath, image.label, value, grid, as_u8(map_P), rank, peak_box(map_GV)
    )


def concept_map(sae: SparseAutoencoder, tokens_PD: Any, concept: int) -> NDArray[np.float32]:
    """Activation of one concept on every patch, float32 [P]; only its own weights are used."""
    import torch

    with torch.no_grad():
        direction_D = sae.W_enc[:, concept]
        bias = sae.b_enc[concept] - sae.b_dec @ direction_D
        found: NDArray[np.float32] = sae.activate(tokens_PD.float() @ direction_D + bias).numpy()
    return found


def as_u8(map_P: NDArray[np.float32]) -> bytes:
    """0..255 of the map's own maximum, one byte a patch."""
    top = float(map_P.max()) if map_P.size else 0.0
    if top <= 0:
        return bytes(map_P.size)
    scaled: bytes = np.clip(np.rint(map_P / top * 255), 0, 255).astype(np.uint8).tobytes()
    return scaled


def peak_box(map_GV: NDArray[np.float32]) -> tuple[float, float, float, float]:
    """The place of the peak with some room around it: x0, y0, x1, y1 in fractions of the image.

    The connected patches at half the peak or more that hold it; never smaller than `LEAST`.
    """
    from scipy.ndimage import label

    top = float(map_GV.max()) if map_GV.size else 0.0
    if top <= 0:
        return (0.0, 0.0, 1.0, 1.0)
    parts, _ = label(map_GV >= top / 2)
    row, column = np.unravel_index(int(map_GV.argmax()), map_GV.shape)
    rows, columns = np.nonzero(parts == parts[row, column])
    y0, y1 = _span(rows, map_GV.shape[0])
    x0, x1 = _span(columns, map_GV.shape[1])
    return (x0, y0, x1, y1)


def _span(places: NDArray[np.int64], size: int) -> tuple[float, float]:
    """First and last edge of some patches with room around, as fractions of 1."""
    low = max((int(places.min()) - ROOM) / size, 0.0)
    high = min((int(places.max()) + 1 + ROOM) / size, 1.0)
    short = max(0.0, LEAST - (high - low)) / 2
    low, high = low - short, high + short
    return max(low - max(0.0, high - 1.0), 0.0), min(high - min(0.0, low), 1.0)
