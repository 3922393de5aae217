"""Make a model bundle known to the store: its version, concepts, relations and predicted cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.errors import BundleError
from dashboard.services.carrying import NamesKept, carry, match_former, named_before
from dashboard.services.engines import Engines
from dashboard.services.progress import Progress, part, silent
from dashboard.services.surroundings import surroundings
from db.records import (
    ImageRecord,
    NewCase,
    NewConcept,
    NewVersion,
    RelationRecord,
    VersionRecord,
)
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

if TYPE_CHECKING:
    from core.artifacts import ModelBundle

DEVELOPMENT = frozenset({"train", "val", None})
"""Splits whose verdicts may teach a model; the others are held out."""
FREQUENCY = "frequency_N"  # name under which a bundle may carry its concepts' frequencies


@dataclass(frozen=True)
class Published:
    """A registered version and the names that came with it."""

    version: VersionRecord
    names: NamesKept


class Publisher:
    """Registers bundles; every registration is one transaction and harmless when repeated."""

    def __init__(
        self,
        uow_factory: UnitOfWorkFactory,
        engines: Engines,
        *,
        planned: Callable[[str, int], object],
    ) -> None:
        """`planned` is told of a version that has new cases, and how many it had before."""
        self._uow = uow_factory
        self._engines = engines
        self._planned = planned

    def publish(
        self,
        project_id: str,
        folder: Path,
        *,
        state: Literal["active", "candidate"] | None = None,
        run_id: str | None = None,
        snapshot_id: str | None = None,
        progress: Progress = silent,
    ) -> VersionRecord:
        """Register the bundle of a folder and predict every image of the project with it.

        Args:
            folder: as `core.artifacts.save_bundle` returned it.
            state: None makes it active where the project has no active version yet.
            progress: [0, 1]; encoding takes most of it where tokens are missing.

        Concepts and relations are added once per dictionary, so that names and verdicts carry
        over to reweighted versions; names that people gave on earlier dictionaries are carried to
        the matching concepts (dashboard.services.carrying). A second call adds cases for new
        images only. Images that cannot be read get no case.

        Raises BundleError for a damaged bundle, EncoderError where its encoder is another one.
        """
        published = self.register(
            project_id, folder, state=state, run_id=run_id, snapshot_id=snapshot_id,
            progress=progress,
        )  # fmt: skip
        return published.version

    def register(
        self,
        project_id: str,
        folder: Path,
        *,
        state: Literal["active", "candidate"] | None = None,
        run_id: str | None = None,
        snapshot_id: str | None = None,
        progress: Progress = silent,
    ) -> Published:
        """As `publish`, and says what became of the names that people gave."""
        bundle = self._engines.bundle(folder)
        with self._uow(read_only=True) as uow:
            project = uow.projects.get(project_id)
            images = uow.images.list(project_id)
            known = uow.versions.by_hash(project_id, bundle.manifest.version_hash)
            have = _images_with_cases(uow, known)
        if project.classes and set(bundle.head.classes) - set(project.classes):
            raise BundleError(folder.name, "its classes are not those of the project")
        new = [image for image in images if image.id not in have]
        shas, pooled_IN = self._pooled(project_id, Path(project.root), bundle, images, progress)
        row_of = {sha: row for row, sha in enumerate(shas)}
        new = [image for image in new if image.sha256 in row_of]
        rows = [row_of[image.sha256] for image in new]
        cases = predict(bundle, new, pooled_IN[rows], first=len(have))
        frequency_N = _frequency(bundle, pooled_IN)
        with self._uow(read_only=True) as uow:
            former = match_former(uow, self._engines, project_id, bundle, frequency_N > 0)
        progress(0.98, "writing cases")
        new_version = _new_version(bundle, folder, run_id, snapshot_id)
        with self._uow() as uow:
            version = uow.versions.add(project_id, new_version)
            dictionary = bundle.manifest.dictionary_hash
            uow.concepts.add_many(project_id, dictionary, _new_concepts(bundle, frequency_N))
            uow.relations.add_many(project_id, dictionary, _relations(bundle))
            names = carry(uow, version, former)
            uow.cases.add_many(version.id, cases)
            version = _set_state(uow, version, state, is_new=known is None)
            if known is None or cases:
                _audit(uow, version, run_id, len(cases))
            uow.commit()
        if known is None or cases:
            progress(0.99, "planning the queue")
            self._planned(version.id, len(have))
        progress(1.0, "published")
        return Published(version, names)

    def carry_names(self, version_id: str) -> NamesKept:
        """Bring the names that people gave on earlier dictionaries to a registered version.

        Registering did it already; names given since, on the version that was active meanwhile,
        come now. Raises NotFound, or BundleError where the version itself cannot be read.
        """
        with self._uow(read_only=True) as uow:
            version = uow.versions.get(version_id)
            where = version.project_id, version.dictionary_hash
            if not named_before(uow, *where):
                return NamesKept()
            concepts = uow.concepts.by_number(*where)
            bundle = self._engines.bundle(version.folder)
            alive_N = np.array(
                [k in concepts and concepts[k].frequency > 0 for k in range(bundle.sae.n)]
            )
            former = match_former(uow, self._engines, version.project_id, bundle, alive_N)
        with self._uow() as uow:
            kept = carry(uow, version, former)
            uow.commit()
        return kept

    def _pooled(
        self,
        project_id: str,
        root: Path,
        bundle: ModelBundle,
        images: Sequence[ImageRecord],
        progress: Progress,
    ) -> tuple[list[str], Any]:
        """Hashes of the images that have tokens, and their pooled codes [I, N]."""
        info = bundle.manifest.encoder
        tokens = self._engines.tokens(project_id, info.hash)
        tokens.refresh()
        if tokens.missing(image.sha256 for image in images):
            encoder = self._engines.encoder(info.spec, info.hash)
            self._engines.ensure_tokens(project_id, root, images, encoder, part(progress, 0, 0.8))
        shas = [image.sha256 for image in images if image.sha256 in tokens]
        report = part(progress, 0.8, 0.98)
        return shas, self._engines.pooled(project_id, bundle, tokens, shas, report)


def predict(
    bundle: ModelBundle, images: Sequence[ImageRecord], pooled_IN: Any, *, first: int = 0
) -> tuple[NewCase, ...]:
    """A case per image from its pooled codes [I, N], in the queue from place `first` on."""
    if not images:
        return ()
    head = bundle.head
    logits_IC, probs_IC = head.logits(pooled_IN), head.probabilities(pooled_IN)
    chosen_I = logits_IC.argmax(axis=1)
    confidence_I = probs_IC[np.arange(len(images)), chosen_I]
    places = unplanned_places([image.split for image in images])
    return tuple(
        NewCase(
            image_id=image.id,
            prediction=head.classes[int(chosen_I[row])],
            confidence=float(confidence_I[row]),
            logit=float(logits_IC[row, chosen_I[row]]),
            bias=float(head.bias_C[chosen_I[row]]),
            probabilities=tuple(zip(head.classes, map(float, probs_IC[row]), strict=True)),
            queue_order=first + places[row],
        )
        for row, image in enumerate(images)
    )


def unplanned_places(splits: Sequence[str | None]) -> list[int]:
    """Place of each case until the queue is planned, a permutation of 0..I-1: held-out ones last.

    Cases that may teach a model (train, val or no split) come first: a verdict on a held-out case
    cannot be used without spoiling the test.
    """
    order = sorted(range(len(splits)), key=lambda row: splits[row] not in DEVELOPMENT)
    places = [0] * len(order)
    for place, row in enumerate(order):
        places[row] = place
    return places


def _images_with_cases(uow: UnitOfWork, version: VersionRecord | None) -> set[str]:
    if version is None:
        return set()
    return {case.image_id for case in uow.cases.list(version.id)}


def _frequency(bundle: ModelBundle, pooled_IN: Any) -> np.ndarray[Any, Any]:
    """Share of images in which each concept fires: the bundle's own figure, else this project's."""
    if FREQUENCY in bundle.extra:
        return np.asarray(bundle.extra[FREQUENCY], dtype=np.float64)
    images = max(int(pooled_IN.shape[0]), 1)
    return np.asarray((pooled_IN > 0).sum(axis=0)).ravel() / images


def _new_version(
    bundle: ModelBundle, folder: Path, run_id: str | None, snapshot_id: str | None
) -> NewVersion:
    manifest = bundle.manifest
    return NewVersion(
        hash=manifest.version_hash,
        kind=manifest.kind,
        dictionary_hash=manifest.dictionary_hash,
        encoder_spec=manifest.encoder.spec,
        encoder_hash=manifest.encoder.hash,
        folder=str(folder),
        seed=manifest.seed,
        classes=tuple(manifest.classes),
        code_version=manifest.code_version,
        parent_hash=manifest.parent,
        metrics=dict(manifest.metrics),
        snapshot_id=snapshot_id,
        run_id=run_id,
    )


def _new_concepts(bundle: ModelBundle, frequency_N: np.ndarray[Any, Any]) -> tuple[NewConcept, ...]:
    levels_N = bundle.sae.levels_N
    return tuple(
        NewConcept(
            number=number,
            level=int(levels_N[number]),
            frequency=float(frequency_N[number]),
            model_name=name.name,
            score=float(name.score),
            margin=float(name.margin),
            runners_up=tuple((runner.name, float(runner.score)) for runner in name.runners_up),
        )
        for number, name in enumerate(bundle.names)
    )


def _relations(bundle: ModelBundle) -> tuple[RelationRecord, ...]:
    return tuple(
        RelationRecord(edge.child, edge.parent, edge.kind, float(edge.weight), int(edge.support))
        for edge in bundle.relations
    )


def _set_state(
    uow: UnitOfWork, version: VersionRecord, state: str | None, *, is_new: bool
) -> VersionRecord:
    """Activate where that was asked for, or where a new version is the project's first."""
    first = is_new and uow.versions.active(version.project_id) is None
    if state == "active" or (state is None and first):
        return uow.versions.set_state(version.id, "active")
    return version


def _audit(uow: UnitOfWork, version: VersionRecord, run_id: str | None, cases: int) -> None:
    uow.audit.append(
        actor="engine",
        action="version.publish",
        entity="version",
        entity_id=version.id,
        project_id=version.project_id,
        detail={
            "hash": version.hash,
            "run": run_id,
            "cases": cases,
            "state": version.state,
            "software": surroundings(),
        },
    )
