"""Maps of other attribution methods for a decision, kept on the workspace once computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import ConfigError, InsightError
from dashboard.services.active import active_version
from dashboard.services.engines import Engines, read_verified
from dashboard.settings import Settings
from db.records import VersionRecord
from db.unit_of_work import UnitOfWorkFactory

if TYPE_CHECKING:
    from core.attribution import AttributionMap, MethodInfo


@dataclass(frozen=True)
class Compared:
    """One method's map of an image, and how it stands beside the concept map."""

    method: str
    values: tuple[tuple[float, ...], ...] | None = None  # rows of the grid; None with a problem
    total: float = 0.0
    gap: float | None = None  # what the map leaves unexplained of the logit, where defined
    strongest: tuple[int, int] = (0, 0)  # row and column of the largest value, from 1
    likeness: float = 0.0  # Spearman correlation with the concept map, [-1, 1]; 0 if one is flat
    problem: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Several methods on one logit."""

    class_name: str
    score: float  # the logit
    rows: tuple[Compared, ...]


class AttributeService:
    """Attribution of stored cases and of image files by any registered method."""

    def __init__(
        self, uow_factory: UnitOfWorkFactory, engines: Engines, settings: Settings
    ) -> None:
        self._uow = uow_factory
        self._engines = engines
        self._settings = settings

    def methods(self) -> tuple[MethodInfo, ...]:
        """What there is to choose from."""
        from core.attribution import methods

        return methods()

    def case_map(self, case_id: str, method: str, class_name: str | None = None) -> AttributionMap:
        """Where a method sees the evidence for a class in a stored case; the predicted one if None.

        Computed once per version, image, class and method, then read from the workspace.

        Raises NotFound, ImageError where the image has gone or was altered, ConfigError for an
        unknown method or class or a method that does not fit the encoder, BundleError and
        EncoderError where the version cannot be used.
        """
        with self._uow(read_only=True) as uow:
            case = uow.cases.get(case_id)
            version = uow.versions.get(case.version_id)
            root = Path(uow.projects.get(case.project_id).root)
        number = _class_number(version, class_name or case.prediction)
        path = self._path(version, case.image.sha256, method, number)
        kept = _read(path)
        if kept is None:
            kept = self._compute(version, read_verified(root, case.image), method, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, kept)
        return kept

    def image_map(
        self, path: Path, project: str, method: str, class_name: str | None = None
    ) -> AttributionMap:
        """The same for an image file and the project's active version; nothing is stored.

        Raises ImageError for a bad file, InsightError where the project has no version yet.
        """
        version, rgb = self._read(path, project)
        number = None if class_name is None else _class_number(version, class_name)
        return self._compute(version, rgb, method, number)

    def compare(
        self, path: Path, project: str, chosen: Sequence[str] = (), class_name: str | None = None
    ) -> Comparison:
        """Several methods (all where none is chosen) on one image file and class.

        A method that does not fit the encoder gets a row with the reason. Raises as `image_map`.
        """
        from core.attribution import methods

        version, rgb = self._read(path, project)
        number = None if class_name is None else _class_number(version, class_name)
        own = self._compute(version, rgb, "concepts", number)
        rows = []
        for method in chosen or [info.name for info in methods()]:
            try:
                found = (
                    own
                    if method == own.method
                    else self._compute(version, rgb, method, own.class_index)
                )
            except ConfigError as error:
                if chosen:
                    raise
                rows.append(Compared(method, problem=str(error)))
                continue
            rows.append(_compared(found, own))
        return Comparison(version.classes[own.class_index], own.score, tuple(rows))

    def _read(self, path: Path, project: str) -> tuple[VersionRecord, Any]:
        """The project's active version, and the pixels of an image file."""
        from core.images import load_image

        with self._uow(read_only=True) as uow:
            version = active_version(uow, project)
        return version, load_image(path).rgb

    def _compute(
        self, version: VersionRecord, rgb: Any, method: str, number: int | None
    ) -> AttributionMap:
        from core.attribution import AttributionModel, attribute
        from core.heads import pool

        bundle = self._engines.bundle(version.folder)
        encoder = self._engines.encoder(version.encoder_spec, version.encoder_hash)
        if number is None:
            acts_PN = bundle.sae.encode_dense(encoder.encode_images([rgb]).tokens_BPD[0])
            pooled_N = pool(acts_PN, bundle.head.pooling).numpy()
            number = int(bundle.head.logits(pooled_N[None])[0].argmax())
        model = AttributionModel(encoder, bundle.sae, bundle.head)
        return attribute(method, model, rgb, number, seed=version.seed)

    def _path(self, version: VersionRecord, sha: str, method: str, number: int) -> Path:
        """Where a map is kept; the code's version is part of it, since methods may change."""
        from core.artifacts import code_version

        key = json.dumps([code_version(), version.hash, sha, method, number])
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        folder = self._settings.project_folder(version.project_id) / "attributions"
        return folder / version.hash[:16] / f"{name}.json"


def _class_number(version: VersionRecord, name: str) -> int:
    if name not in version.classes:
        raise InsightError(f"there is no class {name!r}: choose from {', '.join(version.classes)}")
    return version.classes.index(name)


def _compared(found: AttributionMap, own: AttributionMap) -> Compared:
    from scipy.stats import rankdata

    ranks = [rankdata(each.values_GV) for each in (found, own)]
    flat = any(np.ptp(rank) == 0 for rank in ranks)
    row, column = np.unravel_index(int(found.values_GV.argmax()), found.values_GV.shape)
    return Compared(
        found.method,
        values=tuple(tuple(map(float, line)) for line in found.values_GV),
        total=found.total,
        gap=found.gap,
        strongest=(int(row) + 1, int(column) + 1),
        likeness=0.0 if flat else float(np.corrcoef(*ranks)[0, 1]),
    )


def _write(path: Path, found: AttributionMap) -> None:
    from core.files import write_json

    content = {
        "method": found.method,
        "class_index": found.class_index,
        "values": [[float(value) for value in row] for row in found.values_GV],
        "score": found.score,
        "baseline": found.baseline,
        "seed": found.seed,
    }
    write_json(path, content)


def _read(path: Path) -> AttributionMap | None:
    """A kept map, or None where there is none or it cannot be read (it is then made anew)."""
    from core.attribution import AttributionMap

    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        values_GV = np.array(raw.pop("values"), dtype=np.float32)
        return AttributionMap(values_GV=values_GV, **raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
