"""The data of a reweighting run, read from the store; every step reads it anew and gets the same.

Shape legend: I images with a known label, in the store's order; N concepts; P patches; D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.drawn import called
from core.errors import InsightError
from dashboard.services.engines import Engines
from dashboard.services.progress import Progress, silent
from db.feedback_records import RunRecord
from db.records import ImageRecord, VersionRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

if TYPE_CHECKING:
    from core.artifacts import ModelBundle
    from core.tokens import TokenStore

TRAIN, VAL = "train", "val"


@dataclass(frozen=True)
class RunData:
    """What a run works on."""

    version: VersionRecord  # the base
    bundle: ModelBundle
    tokens: TokenStore
    images: tuple[ImageRecord, ...]  # labelled, with tokens; I of them
    labels_I: NDArray[np.int64]  # index into bundle.head.classes
    splits_I: tuple[str, ...]
    names: dict[int, str]  # concept number -> name that stands
    others: tuple[ImageRecord, ...] = ()  # to train on but for their label, with tokens

    def rows(self, *splits: str) -> NDArray[np.int64]:
        """Rows of these splits."""
        return np.array([i for i, s in enumerate(self.splits_I) if s in splits], dtype=np.int64)

    def held_out(self) -> tuple[str, ...]:
        """The splits on which before and after are measured: all but train and val, else val.

        Without either, train itself is all there is; the run says so.
        """
        others = sorted({s for s in self.splits_I if s not in (TRAIN, VAL, "")})
        if others:
            return tuple(others)
        return (VAL,) if VAL in self.splits_I else (TRAIN,)

    def row_of(self) -> dict[str, int]:
        """Image sha256 -> row."""
        return {image.sha256: row for row, image in enumerate(self.images)}

    def tokens_of(self, row: int) -> NDArray[np.float32]:
        """Dense tokens float32 [P, D] of a row."""
        tokens: NDArray[np.float32] = self.tokens.get(self.images[row].sha256).numpy()
        return tokens

    def name(self, concept: int) -> str:
        """The name that stands, "concept 17" where there is none; "marked place" for a place."""
        return called(concept, self.names)


def load(uow_factory: UnitOfWorkFactory, engines: Engines, run: RunRecord) -> RunData:
    """The data of a run's base version. Raises InsightError where nothing can be trained on."""
    with uow_factory(read_only=True) as uow:
        version = uow.versions.get(run.base_version_id or "")
    return load_version(uow_factory, engines, version)


def load_version(
    uow_factory: UnitOfWorkFactory, engines: Engines, version: VersionRecord
) -> RunData:
    """The labelled images of a version's project, with tokens and splits.

    Raises InsightError where no image has both a label and tokens.
    """
    from core.splits import resolve_splits

    with uow_factory(read_only=True) as uow:
        images = uow.images.list(version.project_id)
        names = uow.concepts.names(version.project_id, version.dictionary_hash)
        seed = discover_seed(uow, version)
    bundle = engines.bundle(version.folder)
    tokens = engines.tokens(version.project_id, version.encoder_hash)
    tokens.refresh()
    index = {name: i for i, name in enumerate(bundle.head.classes)}
    usable = [image for image in images if image.sha256 in tokens]
    # Drawn splits must be those of the discovery, so all its images take part in the draw.
    splits = resolve_splits(
        [index.get(image.label or "") for image in usable], [i.split for i in usable], seed
    )
    kept = [i for i, image in enumerate(usable) if image.label in index and splits[i]]
    if not kept:
        raise InsightError("no image has both a label of the model's classes and dense tokens")
    taken = frozenset(kept)
    return RunData(
        version=version,
        bundle=bundle,
        tokens=tokens,
        images=tuple(usable[i] for i in kept),
        labels_I=np.array([index[usable[i].label or ""] for i in kept], dtype=np.int64),
        splits_I=tuple(splits[i] for i in kept),
        names=names,
        others=tuple(
            image for i, image in enumerate(usable) if i not in taken and splits[i] in (TRAIN, "")
        ),
    )


def pooled(
    data: RunData, engines: Engines, rows: Sequence[int] | NDArray[np.int64],
    progress: Progress = silent,
) -> Any:  # fmt: skip
    """Pooled codes csr [len(rows), N] of some rows."""
    return pooled_images(data, engines, [data.images[int(row)] for row in rows], progress)


def pooled_images(
    data: RunData, engines: Engines, images: Sequence[ImageRecord], progress: Progress = silent
) -> Any:
    """Pooled codes csr [len(images), N] under the run's dictionary."""
    shas = [image.sha256 for image in images]
    return engines.pooled(data.version.project_id, data.bundle, data.tokens, shas, progress)


def discover_seed(uow: UnitOfWork, version: VersionRecord) -> int:
    """The seed of the first ancestor: it drew the splits where the project has none."""
    seen = {version.hash}
    while version.parent_hash is not None and version.parent_hash not in seen:
        parent = uow.versions.by_hash(version.project_id, version.parent_hash)
        if parent is None:
            break
        seen.add(parent.hash)
        version = parent
    return version.seed
