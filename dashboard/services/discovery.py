"""Discover the concepts of a project: from its images to a first model version."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError
from dashboard.services.carrying import NamesKept
from dashboard.services.discover_settings import discover_config
from dashboard.services.engines import Engines
from dashboard.services.labels import Problem
from dashboard.services.progress import Progress, part, silent
from dashboard.services.publishing import Publisher
from dashboard.settings import Settings
from db.records import ImageRecord, ProjectRecord
from db.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from core.discovery import DiscoverConfig, DiscoverItem
    from core.encoder import Encoder
    from core.tokens import TokenStore
    from core.vocabulary import Vocabulary

MIN_IMAGES = 8


@dataclass(frozen=True)
class Discovered:
    """The version that a discovery made."""

    version: str  # hash
    state: str
    cases: int
    metrics: dict[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    names: NamesKept = field(
        default_factory=NamesKept
    )  # what became of the names that people gave before


class DiscoveryService:
    """Encodes, finds concepts, names them, fits a head, registers the result."""

    def __init__(
        self,
        uow_factory: UnitOfWorkFactory,
        engines: Engines,
        publisher: Publisher,
        settings: Settings,
    ) -> None:
        self._uow = uow_factory
        self._engines = engines
        self._publisher = publisher
        self._settings = settings

    def discover(
        self,
        project: str,
        *,
        encoder: str = "demo",
        vocabulary: Path | None = None,
        seed: int = 0,
        config: DiscoverConfig | None = None,
        options: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        progress: Progress = silent,
    ) -> Discovered:
        """Make a model version of a project and register it; the first one becomes active.

        Args:
            project: id or name.
            encoder: "demo", an open_clip NAME/PRETRAINED_TAG or a local open_clip folder.
            vocabulary: words for the concepts; kept with the project. None takes the project's,
                or the default words and the class names where it has none.
            config: None takes sizes that suit the number of tokens.
            options: the same as plain names and values, see `discover_settings`; not with
                `config`.

        Raises ConfigError where there are too few images or labels, TableError for a bad
        vocabulary, EncoderError for an unusable encoder, NotFound for an unknown project.
        """
        with self._uow(read_only=True) as uow:
            record = uow.projects.find(project)
            images = uow.images.list(record.id)
        _check(record, images)
        from core.discovery import DiscoverConfig, discover  # slow: after the cheap refusals

        words = self._vocabulary(record, vocabulary)
        model = self._engines.encoder(resolved(encoder))
        if options and config is None:  # before any image is encoded: a slip is told at once
            config = discover_config(options, model.info.dim)
        tokens, usable, problems = self._encode(record, images, model, part(progress, 0, 0.4))
        present = {image.label for image in usable}
        classes = [name for name in record.classes if name in present]
        found = discover(
            tokens,
            items_of(usable, classes),
            model,
            words,
            classes,
            config=config or DiscoverConfig(),
            seed=seed,
            progress=part(progress, 0.4, 0.95),
        )
        self._keep_splits(usable, found.splits)
        folder = found.save(self._settings.versions_folder(record.id), model.info)
        self._keep_pooled(record.id, folder, [image.sha256 for image in usable], found.pooled_IN)
        published = self._publisher.register(
            record.id, folder, run_id=run_id, progress=part(progress, 0.95, 1.0)
        )
        version = published.version
        return Discovered(
            version.hash, version.state, len(usable), version.metrics, problems, published.names
        )

    def register_bundle(
        self, project_id: str, folder: Path, *, progress: Progress = silent
    ) -> Discovered:
        """Take a ready bundle into a project: a verified copy, predicted for every image.

        Raises BundleError for a damaged bundle or one whose classes are not the project's.
        """
        target = self._adopt(project_id, folder)
        published = self._publisher.register(project_id, target, progress=progress)
        version = published.version
        with self._uow(read_only=True) as uow:
            cases = uow.cases.counts(version.id).total
        return Discovered(
            version.hash, version.state, cases, version.metrics, names=published.names
        )

    def _adopt(self, project_id: str, folder: Path) -> Path:
        """The bundle's verified copy among the project's versions, whole or not at all."""
        from core.artifacts import load_bundle

        manifest = load_bundle(folder).manifest
        root = self._settings.versions_folder(project_id)
        target = root / manifest.version_hash
        if not target.exists():
            draft = root / f".draft-{uuid.uuid4().hex}"
            shutil.copytree(folder, draft)
            draft.rename(target)
        return target

    def _encode(
        self,
        record: ProjectRecord,
        images: Sequence[ImageRecord],
        model: Encoder,
        progress: Progress,
    ) -> tuple[TokenStore, list[ImageRecord], tuple[Problem, ...]]:
        """Tokens of the project, the images that have them, and those that could not be read."""
        encoded = self._engines.ensure_tokens(record.id, Path(record.root), images, model, progress)
        usable = [image for image in images if image.sha256 in encoded.tokens]
        _check(record, usable)
        return encoded.tokens, usable, encoded.problems

    def _vocabulary(self, record: ProjectRecord, path: Path | None) -> Vocabulary:
        from core.vocabulary import load_vocabulary

        if path is not None:
            words = load_vocabulary(path)
            with self._uow() as uow:
                uow.projects.update(record.id, vocabulary={"terms": words.as_json()})
                uow.commit()
            return words
        return vocabulary_of(record)

    def _keep_splits(self, images: Sequence[ImageRecord], splits: Sequence[str]) -> None:
        """Write down the splits that discovery drew, so that every later run tests on the same."""
        drawn = [
            (image, split)
            for image, split in zip(images, splits, strict=True)
            if split and image.split is None
        ]
        if not drawn:
            return
        with self._uow() as uow:
            for image, split in drawn:
                uow.images.update(
                    image.id,
                    label=image.label,
                    split=split,
                    group_name=image.group_name,
                    mask_path=image.mask_path,
                )
            uow.audit.append(
                actor="engine",
                action="splits.draw",
                entity="project",
                entity_id=images[0].project_id,
                project_id=images[0].project_id,
                detail={"images": len(drawn)},
            )
            uow.commit()

    def _keep_pooled(
        self, project_id: str, folder: Path, shas: Sequence[str], pooled_IN: Any
    ) -> None:
        """Hand the codes that discovery computed to the cache that publishing reads."""
        bundle = self._engines.bundle(folder)
        store = self._engines.pooled_store(project_id, bundle)
        missing = set(store.missing(shas))
        rows = [row for row, sha in enumerate(shas) if sha in missing]
        if rows:
            store.add([shas[row] for row in rows], pooled_IN[rows])


def vocabulary_of(record: ProjectRecord) -> Vocabulary:
    """The words kept with a project; the default words and the class names where it has none."""
    from core.vocabulary import Vocabulary, default_vocabulary

    if record.vocabulary.get("terms"):
        return Vocabulary.from_json(record.vocabulary["terms"])
    return default_vocabulary(record.classes)


def resolved(spec: str) -> str:
    """An encoder's spec with a local folder made absolute, so that any process finds it.

    Options behind "?" are kept as they are; the encoder checks them.
    """
    from core.encoders.spec import split_spec

    base, options = split_spec(spec)
    folder = Path(base.removeprefix("local-dir:")).expanduser()
    return str(folder.resolve()) + options if base != "demo" and folder.is_dir() else spec


def items_of(images: Sequence[ImageRecord], classes: Sequence[str]) -> tuple[DiscoverItem, ...]:
    """What the engine needs to know of each image, in the order given."""
    from core.discovery import DiscoverItem

    number = {name: index for index, name in enumerate(classes)}
    return tuple(
        DiscoverItem(
            sha256=image.sha256,
            label=number[image.label] if image.label is not None else None,
            split=image.split,
            group=image.group_name,
        )
        for image in images
    )


def _check(record: ProjectRecord, images: Sequence[ImageRecord]) -> None:
    if len(images) < MIN_IMAGES:
        raise ConfigError(
            f"project {record.name!r} has {len(images)} readable images; "
            f"at least {MIN_IMAGES} are needed"
        )
    if len({image.label for image in images} - {None}) < 2:
        raise ConfigError(
            f"project {record.name!r} has labels of fewer than two classes; "
            "ingest again with --labels FILE.csv --label-column NAME"
        )
