"""The work of a drift check: decide new images, read codes, compare, keep the figures.

One durable step: tokens, cases and codes that were made before a kill are kept, the comparison
itself takes seconds and depends on the images, the version and the seed alone.

Legend: I images, the new ones first; N concepts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.errors import InsightError
from dashboard.services import drift_sets
from dashboard.services.drift_sets import Seen, Sides
from dashboard.services.engines import Engines
from dashboard.services.judging import clusters_of
from dashboard.services.progress import Progress, part
from dashboard.services.publishing import Publisher
from dashboard.services.run_body import Facts, Step, StepContext
from dashboard.services.settings_of import settings_in
from dashboard.viewmodels.drift import ImageSet, Within
from db.records import VersionRecord
from db.run_records import PredictionRow

if TYPE_CHECKING:
    from core.artifacts import ModelBundle
    from core.drift import Drift

TASK: Final = "drift"
PICTURES: Final = 8  # cases kept per concept
CASES: Final = 12  # cases kept that are most unlike the reference
ALERTS, FURTHER = 40, 8  # concepts kept: with an alert, and the nearest without


@dataclass(frozen=True)
class Asked:
    """What a check was asked to do; plain JSON in the run's config."""

    new: ImageSet
    reference: ImageSet | None = None
    within: Within = "nothing"
    level: float = 0.05

    def as_json(self) -> dict[str, Any]:
        """JSON-ready; `from_json` restores it."""
        return {
            "new": drift_sets.as_json(self.new),
            "reference": drift_sets.as_json(self.reference),
            "within": self.within,
            "level": self.level,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Asked:
        """Restore what `as_json` gave. Raises ConfigError for a set nobody understands."""
        new = drift_sets.from_json(raw["new"])
        if new is None:
            raise InsightError("the check does not say which images are new")
        reference = drift_sets.from_json(raw.get("reference"))
        return cls(new, reference, raw.get("within", "nothing"), float(raw.get("level", 0.05)))


@dataclass(frozen=True, eq=False)
class Material:
    """What is compared."""

    version: VersionRecord
    bundle: ModelBundle
    images: tuple[Seen, ...]
    new_I: Any  # bool
    codes_IN: Any  # CSR
    predictions: tuple[PredictionRow, ...]  # beside the images
    clusters: list[str] | None
    cluster_column: str
    reference_words: str


class DriftSteps:
    """The steps over the application's parts."""

    def __init__(self, engines: Engines, publisher: Publisher) -> None:
        self._engines = engines
        self._publisher = publisher

    def steps(self) -> tuple[Step, ...]:
        """The one step."""
        return (Step("drift", "comparing images", 0.0, 1.0, self.compare),)

    def compare(self, context: StepContext) -> Facts:
        """Compares, keeps the figures with the run and ends it."""
        from core.drift import DriftConfig, detect

        run = context.run
        asked = Asked.from_json(run.config)
        material = self._material(context, asked, part(context.watch(), 0.0, 0.8))
        context.progress(0.8, "comparing concepts")
        stratum_I = _strata(material, asked.within)
        found = detect(
            material.codes_IN, material.new_I, stratum_I=stratum_I,
            cluster_I=None if material.clusters is None else np.array(material.clusters),
            config=DriftConfig(level=asked.level, seed=run.seed),
        )  # fmt: skip
        figures = figures_of(found, material, asked, stratum_I, run.seed)
        context.check()
        with context.uow() as uow:
            told = dict(uow.runs.get(run.id).metrics)
            uow.runs.update(
                run.id, state="succeeded", progress=1.0, stage="done",
                metrics={**told, TASK: figures},
            )  # fmt: skip
            uow.audit.append(
                actor="worker", action="run.succeeded", entity="run", entity_id=run.id,
                detail={"task": TASK, "alert": found.alert, "p": found.p},
                project_id=run.project_id,
            )  # fmt: skip
            uow.commit()
        return {"alert": found.alert, "p": found.p}

    def _material(self, context: StepContext, asked: Asked, progress: Progress) -> Material:
        run = context.run
        with context.uow(read_only=True) as uow:
            version = uow.versions.get(run.base_version_id or "")
            sides = drift_sets.sides(drift_sets.seen(uow, version), asked.new, asked.reference)
            decided = {row.image_id for row in uow.cases.predictions(version.id)}
        wanted = (*sides.new, *sides.reference)
        missing = sum(each.image.id not in decided for each in wanted)
        if missing:
            # Images that came since get a decision and a case, so that they can be opened.
            self._publisher.publish(
                run.project_id, Path(version.folder), run_id=version.run_id,
                snapshot_id=version.snapshot_id, progress=part(progress, 0.0, 0.9),
            )  # fmt: skip
        return self._read(context, version, sides, asked, missing, part(progress, 0.9, 1.0))

    def _read(
        self, context: StepContext, version: VersionRecord, sides: Sides, asked: Asked,
        missing: int, progress: Progress,
    ) -> Material:  # fmt: skip
        with context.uow(read_only=True) as uow:
            rows = {row.image_id: row for row in uow.cases.predictions(version.id)}
            column = settings_in(uow, version.project_id).cluster_column
        every = (*sides.new, *sides.reference)
        usable = tuple(each for each in every if each.image.id in rows)
        lost = len(every) - len(usable)
        if missing - lost > 0:
            context.notice(
                "info",
                f"{missing - lost} images were new to this model: they were decided and put into "
                "the review queue.",
            )
        if lost:
            context.notice(
                "warning", f"{lost} images could not be read and were left out.",
                "Run `insight doctor`, or ingest the images again.",
            )  # fmt: skip
        fresh = {each.image.id for each in sides.new}
        bundle = self._engines.bundle(version.folder)
        tokens = self._engines.tokens(version.project_id, version.encoder_hash)
        tokens.refresh()
        shas = [each.image.sha256 for each in usable]
        codes_IN = self._engines.pooled(version.project_id, bundle, tokens, shas, progress)
        ids = [each.image.id for each in usable]
        clusters = clusters_of(ids, [each.cells.get(column) for each in usable]) if column else None
        return Material(
            version, bundle, usable, np.array([i in fresh for i in ids]), codes_IN,
            tuple(rows[i] for i in ids), clusters, column, sides.reference_words,
        )  # fmt: skip


def figures_of(
    found: Drift, material: Material, asked: Asked, stratum_I: Any, seed: int
) -> dict[str, Any]:
    """Everything that a check found, as plain JSON kept with the run."""
    from core.drift import DriftConfig, decisions_shift

    new_I = material.new_I
    decisions = [row.prediction for row in material.predictions]
    level = DriftConfig(level=asked.level)
    near = [int(n) for n in np.argsort(found.q_N, kind="stable") if found.fires_N[n] > 0]
    further = [n for n in near if n not in found.alerts][:FURTHER]
    weight_N = decision_shares(material)
    concepts = [
        _concept(found, material, n, float(weight_N[n]), stratum_I)
        for n in (*found.alerts[:ALERTS], *further)
    ]  # fmt: skip
    return {
        "schema": 1,
        "version": material.version.hash,
        "reference_words": material.reference_words,
        "images": [int((~new_I).sum()), int(new_I.sum())],
        "units": list(found.units),
        "cluster_column": material.cluster_column if material.clusters is not None else "",
        "p": found.p,
        "alert": found.alert,
        "whole": {
            "p": found.whole.p,
            "told_apart": found.whole.told_apart,
            "energy": found.whole.energy,
            "energy_p": found.whole.energy_p,
        },
        "least_effect": level.least_effect,
        "detectable": found.detectable,
        "tested": found.tested,
        "alerts": list(found.alerts),
        "concepts": concepts,
        "cases": _unlike(found, material),
        "decisions": {
            "p": decisions_shift(np.array(decisions), new_I, seed=seed),
            "classes": [
                [name, _share(decisions, ~new_I, name), _share(decisions, new_I, name)]
                for name in material.version.classes
            ],
        },
    }  # fmt: skip


def decision_shares(material: Material) -> Any:
    """Per concept the largest share, over classes, of |contributions| to decisions for it [N].

    Over the reference images, as `Validate` counts them.
    """
    weight_CN = np.asarray(material.bundle.head.weight_CN, dtype=np.float64)
    number = {name: k for k, name in enumerate(material.bundle.head.classes)}
    chosen_I = np.array([number[row.prediction] for row in material.predictions])
    best_N = np.zeros(weight_CN.shape[1])
    for k in range(len(number)):
        rows = np.flatnonzero((chosen_I == k) & ~material.new_I)
        sum_N = np.asarray(material.codes_IN[rows].sum(axis=0), dtype=np.float64).ravel()
        size_N = sum_N * np.abs(weight_CN[k])
        if size_N.sum() > 0:
            best_N = np.maximum(best_N, size_N / size_N.sum())
    return best_N


def _concept(
    found: Drift, material: Material, n: int, weight: float, stratum_I: Any
) -> dict[str, Any]:
    """One concept, among the images of the stratum in which it differs most clearly."""
    superiority, at = float(found.superiority_N[n]), int(found.stratum_N[n])
    column_I = np.asarray(material.codes_IN[:, [n]].toarray(), dtype=np.float64).ravel()
    among_I = np.ones(len(column_I), bool) if at < 0 else stratum_I == found.strata[at]
    new_I, known_I = material.new_I & among_I, ~material.new_I & among_I
    side_I = new_I if superiority >= 0.5 else known_I
    order = np.argsort(-np.where(side_I, column_I, -1.0), kind="stable")[:PICTURES]
    return {
        "concept": n,
        "where": "" if at < 0 else str(found.strata[at]),
        "superiority": superiority,
        "fires": [float((column_I[rows] > 0).mean()) for rows in (known_I, new_I)],
        "mean": [float(column_I[rows].mean()) for rows in (known_I, new_I)],
        "p": float(found.p_N[n]),
        "q": float(found.q_N[n]),
        "alert": n in found.alerts,
        "weight": weight,
        "images": [
            [material.images[k].image.id, float(column_I[k])]
            for k in order
            if side_I[k] and column_I[k] > 0
        ],
    }


def _unlike(found: Drift, material: Material) -> list[list[Any]]:
    """New images that are most unlike the reference, each with how much."""
    unlike_I = np.where(material.new_I & np.isfinite(found.unlike_I), found.unlike_I, -np.inf)
    order = np.argsort(-unlike_I, kind="stable")[:CASES]
    return [
        [material.images[k].image.id, float(unlike_I[k])]
        for k in order
        if np.isfinite(unlike_I[k])
    ]  # fmt: skip


def _strata(material: Material, within: Within) -> Any:
    match within:
        case "nothing":
            return None
        case "label":
            return np.array([each.image.label or "" for each in material.images])
        case "prediction":
            return np.array([row.prediction for row in material.predictions])


def _share(decisions: Sequence[str], side_I: Any, name: str) -> float:
    chosen = [d for d, inside in zip(decisions, side_I, strict=True) if inside]
    return sum(d == name for d in chosen) / max(len(chosen), 1)
