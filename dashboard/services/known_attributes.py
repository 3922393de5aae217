"""Which concepts of a project follow which recorded attributes: columns of its table, or masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError, InsightError
from dashboard.services.active import active_version
from dashboard.services.engines import CHUNK, Engines
from dashboard.services.progress import Progress, silent
from db.records import ImageRecord, VersionRecord
from db.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.attributes import Attribute, AttributeConfig, AttributeReport

FIXED = ("label", "group", "split")  # columns with a role; all others are kept as they came


@dataclass(frozen=True)
class AttributesFound:
    """The matches of one version's concepts."""

    version: str  # hash
    images: int
    names: dict[int, str]  # concept number -> name that stands
    report: AttributeReport
    left_out: tuple[str, ...]  # columns that cannot be matched, each with the reason

    def name(self, concept: int) -> str:
        """The name that stands, or "concept 17"."""
        return self.names.get(concept, f"concept {concept}")


class KnownAttributeService:
    """Matches the active version's concepts to what the table or the masks say."""

    def __init__(self, uow_factory: UnitOfWorkFactory, engines: Engines) -> None:
        self._uow = uow_factory
        self._engines = engines

    def columns(self, project: str) -> tuple[str, ...]:
        """Columns that there are values for, those with a role first."""
        with self._uow(read_only=True) as uow:
            images = uow.images.list(uow.projects.find(project).id)
        return tuple(name for name in _all_columns(images) if any(_cells(images, name)))

    def match_columns(
        self,
        project: str,
        columns: Sequence[str] = (),
        *,
        config: AttributeConfig | None = None,
        progress: Progress = silent,
    ) -> AttributesFound:
        """Match pooled codes to columns; all columns but the split where none is named.

        A column that cannot be matched is left out with its reason, unless it was asked for.

        Raises ConfigError for an unknown column, InsightError without a version or images.
        """
        from core.attribute_columns import from_column
        from core.attributes import match_attributes

        version, images, names = self._load(project)
        known = _all_columns(images)
        for name in columns:
            if name not in known:
                raise ConfigError(f"there is no column {name!r}: choose from {', '.join(known)}")
        attributes: list[Attribute] = []
        left_out = []
        for name in columns or [name for name in known if name != "split"]:
            try:
                attributes.extend(from_column(name, _cells(images, name)))
            except ConfigError as error:
                if columns:
                    raise
                left_out.append(str(error))
        if not attributes:
            raise ConfigError("no column of the table can be matched: " + "; ".join(left_out))
        bundle = self._engines.bundle(version.folder)
        tokens = self._engines.tokens(version.project_id, version.encoder_hash)
        shas = [image.sha256 for image in images]
        pooled_IN = self._engines.pooled(version.project_id, bundle, tokens, shas, progress)
        report = match_attributes(pooled_IN, attributes, config=config)
        return AttributesFound(version.hash, len(images), names, report, tuple(left_out))

    def match_masks(
        self, project: str, *, config: AttributeConfig | None = None, progress: Progress = silent
    ) -> AttributesFound:
        """Match patch codes to the masks that the table names; images without one are left out.

        Raises InsightError where no image has a mask, ImageError for a mask that cannot be read.
        """
        from core.attribute_columns import from_masks
        from core.attributes import match_attributes

        version, images, names = self._load(project)
        images = tuple(image for image in images if image.mask_path)
        if not images:
            raise InsightError("no image of the project has a mask: ingest with --mask-column")
        with self._uow(read_only=True) as uow:
            root = Path(uow.projects.get(version.project_id).root)
        bundle = self._engines.bundle(version.folder)
        grid = bundle.manifest.encoder.grid
        attribute = from_masks("mask", _masks(root, images, progress), grid)
        codes_MN = self._patch_codes(version, images)
        report = match_attributes(codes_MN, [attribute], grid[0] * grid[1], config)
        return AttributesFound(version.hash, len(images), names, report, ())

    def _load(self, project: str) -> tuple[VersionRecord, tuple[ImageRecord, ...], dict[int, str]]:
        """The active version, the images that have tokens, and the names that stand."""
        with self._uow(read_only=True) as uow:
            version = active_version(uow, project)
            images = uow.images.list(version.project_id)
            names = uow.concepts.names(version.project_id, version.dictionary_hash)
        tokens = self._engines.tokens(version.project_id, version.encoder_hash)
        tokens.refresh()
        usable = tuple(image for image in images if image.sha256 in tokens)
        if not usable:
            raise InsightError(f"project {project!r} has no image with dense tokens")
        return version, usable, names

    def _patch_codes(self, version: VersionRecord, images: Sequence[ImageRecord]) -> Any:
        """Inference activations of every patch of every image, csr [I*P, N]."""
        from core.codes import Codes

        sae = self._engines.bundle(version.folder).sae
        tokens = self._engines.tokens(version.project_id, version.encoder_hash)
        shas = [image.sha256 for image in images]
        parts = [
            sae.encode(tokens.rows(shas[start : start + CHUNK]).flatten(0, 1))
            for start in range(0, len(shas), CHUNK)
        ]
        return Codes.concat(parts, sae.n).csr()


def _all_columns(images: Sequence[ImageRecord]) -> list[str]:
    extra = dict.fromkeys(name for image in images for name in image.meta)
    return [*FIXED, *(name for name in extra if name not in FIXED)]


def _cells(images: Sequence[ImageRecord], name: str) -> list[str | None]:
    """A column's value for each image; None where there is none."""
    if name in FIXED:
        field = "group_name" if name == "group" else name
        return [getattr(image, field) for image in images]
    return [image.meta.get(name) for image in images]


def _masks(root: Path, images: Sequence[ImageRecord], progress: Progress) -> Iterator[NDArray[Any]]:
    from core.images import load_mask, safe_join

    for done, image in enumerate(images):
        progress(done / len(images), "reading masks")
        yield load_mask(safe_join(root, image.mask_path or ""))
