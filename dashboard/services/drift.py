"""Drift checks: do new images fire other concepts than those that the model knows?

A check is a run of kind "evaluate": the worker decides images that are new to the version, compares
(core.drift) and keeps the figures with the run. Here checks are asked for and shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, get_args

from core.errors import ConfigError, InsightError
from dashboard.services import drift_sets, drift_words
from dashboard.services.concept_examples import as_u8, concept_map
from dashboard.services.drift_steps import TASK, Asked
from dashboard.services.engines import Engines
from dashboard.services.run_view import shown_state
from dashboard.services.settings_of import settings_in
from dashboard.viewmodels import RunView
from dashboard.viewmodels.concept_names import told_apart
from dashboard.viewmodels.drift import (
    DecisionShift,
    DriftConcept,
    DriftForm,
    DriftRow,
    DriftView,
    ImageSet,
    Within,
)
from dashboard.viewmodels.modes import ExamplePicture
from dashboard.viewmodels.runs import NoticeView
from db.feedback_records import RunRecord
from db.records import ImageRecord, VersionRecord, utc_now
from db.run_records import PredictionRow
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

if TYPE_CHECKING:
    from db.records import ConceptRecord

NO_VERSION = "There is no model version yet: discover concepts first."
LEVELS = (0.005, 0.2)
WITHIN: tuple[tuple[Within, str, str], ...] = (
    ("nothing", "all images", "Compares all images as they are."),
    (
        "label", "images of the same label",
        "Leaves out what another mix of labels explains; images without a label form a group.",
    ),
    (
        "prediction", "images with the same decision",
        "Leaves out what another mix of decisions explains.",
    ),
)  # fmt: skip


class StartsRuns(Protocol):
    """What is needed of RunService."""

    def start_evaluate(
        self, *, id: str, project_id: str, reviewer_id: str | None, task: str,
        config: Mapping[str, Any], seed: int = ...,
    ) -> RunView: ...  # fmt: skip


class DriftService:
    """Asks for checks and shows them."""

    def __init__(
        self,
        uow_factory: UnitOfWorkFactory,
        engines: Engines,
        runs: StartsRuns,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._uow = uow_factory
        self._engines = engines
        self._runs = runs
        self._now = now

    def form(self, project_id: str) -> DriftForm:
        """What a check can be started with."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                return DriftForm((), 0, None, WITHIN, drift_sets.LEAST, False, NO_VERSION)
            images = drift_sets.seen(uow, version)
        found = drift_sets.choices(images)
        ready = any(choice.usable for choice in found)
        why = "" if ready else (
            f"Nothing tells {drift_sets.LEAST} new images from {drift_sets.LEAST} others: ingest "
            "further images, or a table with a column that tells them apart."
        )  # fmt: skip
        wanted = drift_sets.proposed(images, version)
        return DriftForm(found, len(images), wanted, WITHIN, drift_sets.LEAST, ready, why)

    def start(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str | None,
        new: ImageSet,
        reference: ImageSet | None = None,
        within: Within = "nothing",
        level: float = 0.05,
        seed: int = 0,
    ) -> DriftRow:
        """Asks the worker for a check on the active version; twice with one id is harmless.

        Args:
            new: the images in question.
            reference: what they are compared with; None: all other images that the model may
                learn from (split train, val or none), or all others where those are too few.
            within: compare only among images alike in this.
            level: chance of an alert where nothing differs, at most.

        Raises:
            ConfigError: a set nobody understands, or fewer than 20 images on a side.
            InsightError: there is no model version yet. Conflict: the id was used for another run.
        """
        if within not in get_args(Within):
            raise ConfigError(f"compare within {', '.join(get_args(Within))}, not {within!r}")
        if not LEVELS[0] <= level <= LEVELS[1]:
            raise ConfigError(f"the level must lie in {LEVELS[0]}..{LEVELS[1]}, not {level}")
        asked = Asked(new, reference, within, float(level))
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
            if version is None:
                raise InsightError(NO_VERSION)
            drift_sets.sides(drift_sets.seen(uow, version), new, reference)
        run = self._runs.start_evaluate(
            id=id, project_id=project_id, reviewer_id=reviewer_id, task=TASK,
            config=asked.as_json(), seed=seed,
        )  # fmt: skip
        with self._uow(read_only=True) as uow:
            return self._row(uow, uow.runs.get(run.id))

    def list(self, project_id: str) -> tuple[DriftRow, ...]:
        """All checks of a project, newest first."""
        with self._uow(read_only=True) as uow:
            runs = uow.runs.list(project_id, kind="evaluate")
            return tuple(self._row(uow, run) for run in runs if _is_drift(run))

    def view(self, run_id: str, *, pictures: bool = True) -> DriftView:
        """One check, also while it is under way.

        Args:
            pictures: False leaves the pictures out; they take a map each.

        Raises NotFound, or ConfigError for a run that is no drift check.
        """
        with self._uow(read_only=True) as uow:
            run = uow.runs.get(run_id)
            if not _is_drift(run):
                raise ConfigError("this run is no drift check")
            version = uow.versions.get(run.base_version_id or "")
            view = self._plain(uow, run, version)
            found = run.metrics.get(TASK)
            if found is None or not view.done:
                return view
            shown = _Shown.of(self, uow, version, found) if pictures else None
            return _filled(view, Asked.from_json(run.config), found, _names(uow, version), shown)

    def _row(self, uow: UnitOfWork, run: RunRecord) -> DriftRow:
        asked, found = Asked.from_json(run.config), run.metrics.get(TASK)
        version = uow.versions.get(run.base_version_id or "")
        sentence = ""
        if found is not None:
            told = _told(asked, found)
            sentence = drift_words.headline(told, _concepts(told, _names(uow, version), None))
        return DriftRow(
            run_id=run.id,
            state=shown_state(run, self._now()),
            at=run.finished_at or run.created_at,
            by=_by(uow, run),
            new=drift_sets.in_words(asked.new),
            reference=_reference(asked, found),
            alert=None if found is None else bool(found["alert"]),
            sentence=sentence or run.message,
        )

    def _plain(self, uow: UnitOfWork, run: RunRecord, version: VersionRecord) -> DriftView:
        """A check without its figures."""
        asked, found = Asked.from_json(run.config), run.metrics.get(TASK)
        told = run.metrics.get("details", {}).get("notices", [])
        return DriftView(
            run_id=run.id,
            state=shown_state(run, self._now()),
            progress=run.progress,
            stage=run.stage,
            message=run.message,
            at=run.finished_at or run.created_at,
            by=_by(uow, run),
            version=version.hash,
            new=drift_sets.in_words(asked.new),
            reference=_reference(asked, found),
            done=run.state == "succeeded" and found is not None,
            level=asked.level,
            within=asked.within,
            notices=tuple(NoticeView(n["level"], n["text"], n.get("advice", "")) for n in told),
        )

    def map_of(self, version: VersionRecord, sha: str, concept: int) -> tuple[Any, bytes]:
        """Patch grid and map of a concept in an image; one empty patch where tokens are gone."""
        bundle = self._engines.bundle(version.folder)
        tokens_PD = self._engines.tokens_of(version.project_id, version.encoder_hash, sha)
        if tokens_PD is None:
            return (1, 1), b"\x00"
        return bundle.manifest.encoder.grid, as_u8(concept_map(bundle.sae, tokens_PD, concept))


class _Shown:
    """Pictures of a check's cases, as far as the project lets them be shown."""

    def __init__(
        self, service: DriftService, version: VersionRecord, images: Mapping[str, ImageRecord],
        decided: Mapping[str, PredictionRow], blind: frozenset[str],
    ) -> None:  # fmt: skip
        self._service, self._version = service, version
        self._images, self._decided, self._blind = images, decided, blind

    @classmethod
    def of(
        cls, service: DriftService, uow: UnitOfWork, version: VersionRecord,
        found: Mapping[str, Any],
    ) -> _Shown:  # fmt: skip
        kept = [pair for concept in found["concepts"] for pair in concept["images"]]
        images = uow.images.by_ids(str(pair[0]) for pair in (*kept, *found["cases"]))
        decided = {
            row.image_id: row for row in uow.cases.predictions(version.id) if row.image_id in images
        }
        blind = frozenset(settings_in(uow, version.project_id).blind)
        return cls(service, version, images, decided, blind)

    def pictures(
        self, kept: Sequence[Sequence[Any]], concept: int | None
    ) -> tuple[ExamplePicture, ...]:
        """A picture per (image id, figure) whose image is still there."""
        found = []
        for image_id, figure in kept:
            image, row = self._images.get(str(image_id)), self._decided.get(str(image_id))
            if image is None or row is None:
                continue
            grid, map_u8 = (1, 1), b"\x00"
            if concept is not None:
                grid, map_u8 = self._service.map_of(self._version, image.sha256, concept)
            hidden = "labels" in self._blind
            found.append(
                ExamplePicture(
                    case_id=row.case_id,
                    image_id=image.id,
                    image_name="hidden" if hidden else image.relpath,
                    label=None if hidden else image.label,
                    prediction="" if "prediction" in self._blind else row.prediction,
                    activation=float(figure),
                    grid=grid,
                    map_u8=map_u8,
                )
            )
        return tuple(found)


def _filled(
    view: DriftView, asked: Asked, found: Mapping[str, Any], names: _Names, shown: _Shown | None
) -> DriftView:
    from dataclasses import replace

    told = _told(asked, found)
    concepts = _concepts(told, names, shown)
    p = float(found["decisions"]["p"])
    decisions = tuple(
        DecisionShift(name, reference, new, p)
        for name, reference, new in found["decisions"]["classes"]
    )
    return replace(
        view,
        alert=bool(found["alert"]),
        sentence=drift_words.headline(told, concepts),
        advice=drift_words.advice(told),
        n_reference=found["images"][0],
        n_new=found["images"][1],
        units=found["cluster_column"],
        p=found["p"],
        whole_p=found["whole"]["p"],
        told_apart=found["whole"]["told_apart"],
        energy=found["whole"]["energy"],
        energy_p=found["whole"]["energy_p"],
        least_effect=found["least_effect"],
        detectable=found["detectable"],
        tested=found["tested"],
        alerts=len(found["alerts"]),
        concepts=concepts,
        cases=() if shown is None else shown.pictures(found["cases"], None),
        decisions=decisions,
        decisions_sentence=drift_words.decisions_sentence(decisions, p, asked.level),
        notices=(*view.notices, *drift_words.further_notices(found, asked.within, asked.level)),
    )


def _told(asked: Asked, found: Mapping[str, Any]) -> dict[str, Any]:
    """The figures with what was asked for."""
    return {**found, "level": asked.level, "within": asked.within}


class _Names:
    """Concepts by number, with names that can be told apart."""

    def __init__(self, records: Mapping[int, ConceptRecord]) -> None:
        self._records = records
        self._names = told_apart({n: record.shown_name for n, record in records.items()})

    def of(self, number: int) -> tuple[str, str]:
        """Id and name; no id where the store does not know the concept."""
        record = self._records.get(number)
        return (record.id, self._names[number]) if record else ("", f"concept {number}")


def _names(uow: UnitOfWork, version: VersionRecord) -> _Names:
    return _Names(uow.concepts.by_number(version.project_id, version.dictionary_hash))


def _concepts(
    found: Mapping[str, Any], names: _Names, shown: _Shown | None
) -> tuple[DriftConcept, ...]:
    rows = []
    for each in found["concepts"]:
        concept_id, name = names.of(int(each["concept"]))
        rows.append(
            DriftConcept(
                concept_id=concept_id,
                concept=int(each["concept"]),
                name=name,
                where=each["where"],
                direction="more" if each["superiority"] >= 0.5 else "less",
                superiority=each["superiority"],
                reference_fires=each["fires"][0],
                new_fires=each["fires"][1],
                reference_mean=each["mean"][0],
                new_mean=each["mean"][1],
                p=each["p"],
                q=each["q"],
                alert=bool(each["alert"]),
                weight=each["weight"],
                sentence=drift_words.concept_sentence(
                    name,
                    each["fires"],
                    each["mean"],
                    each["weight"],
                    drift_words.of_which(each["where"], found["within"]),
                ),
                pictures=(
                    () if shown is None else shown.pictures(each["images"], int(each["concept"]))
                ),
            )
        )
    return tuple(rows)


def _is_drift(run: RunRecord) -> bool:
    return run.kind == "evaluate" and run.config.get("task") == TASK


def _by(uow: UnitOfWork, run: RunRecord) -> str | None:
    return uow.reviewers.get(run.requested_by).name if run.requested_by else None


def _reference(asked: Asked, found: Mapping[str, Any] | None) -> str:
    if found is not None:
        return str(found["reference_words"])
    return "all other images" if asked.reference is None else drift_sets.in_words(asked.reference)
