"""Success criteria of a project: fixed in advance by a lead, checked at any time.

A criterion is one threshold on one measure, kept as append-only revisions. It passes on the plain
figure; where the interval holds values on both sides of the threshold, the answer says so. Where
what a measure needs is missing (a second person, labels, groups), the answer is "cannot be said",
never "pass".
"""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import InsightError
from dashboard.services import success_measures as measured
from dashboard.services.comparing import find_version
from dashboard.services.kept import Kept
from dashboard.services.prose import clean_prose
from dashboard.services.settings_of import require
from dashboard.services.success_measures import MEASURES, PRESETS, Reading
from dashboard.services.success_readings import Agreement, Drift, Groups, Readings
from dashboard.services.version_figures import VersionFigures, figures_of
from dashboard.viewmodels.success import (
    CriterionOutcome,
    CriterionRevision,
    MeasureView,
    PresetView,
)
from db.governance_records import CriterionRecord
from db.records import VersionRecord
from db.unit_of_work import UnitOfWork, UnitOfWorkFactory

LEAST_REASON = 3  # characters


class SuccessService:
    """Sets, withdraws and checks criteria."""

    def __init__(
        self, uow: UnitOfWorkFactory, agreement: Agreement, groups: Groups, drift: Drift
    ) -> None:
        self._uow = uow
        self._agreement, self._groups, self._drift = agreement, groups, drift
        self._figures: Kept[VersionFigures] = Kept()

    def measures(self) -> tuple[MeasureView, ...]:
        """Everything that a criterion can be put on."""
        return tuple(MEASURES.values())

    def presets(self) -> tuple[PresetView, ...]:
        """Criteria that are often chosen together; none is set by itself."""
        return PRESETS

    def standing(self, project_id: str) -> tuple[CriterionRevision, ...]:
        """The criteria that stand, in the order of being first set."""
        with self._uow(read_only=True) as uow:
            return tuple(_revision(row) for row in uow.criteria.standing(project_id))

    def history(self, project_id: str) -> tuple[CriterionRevision, ...]:
        """Every change, newest first."""
        with self._uow(read_only=True) as uow:
            return tuple(_revision(row) for row in reversed(uow.criteria.history(project_id)))

    def revision(self, project_id: str, measure: str) -> int:
        """The revision of a measure's criterion, withdrawn or not; 0 where none was ever set."""
        with self._uow(read_only=True) as uow:
            latest = uow.criteria.latest(project_id, measured.find(measure).key)
        return 0 if latest is None else latest.revision

    def set(
        self, *, id: str, project_id: str, reviewer_id: str, measure: str, comparator: str,
        threshold: float, reason: str, based_on: int,
    ) -> CriterionRevision:  # fmt: skip
        """Asks for something from now on. Leads only.

        Raises ConfigError (an unknown measure, a threshold out of range, no reason), Forbidden,
        StaleWrite (somebody changed it meanwhile), Conflict.
        """
        found = measured.find(measure)
        sign, value = measured.checked(found, comparator, threshold)
        return self._append(id, project_id, reviewer_id, found, sign, value, reason, based_on)

    def withdraw(
        self, *, id: str, project_id: str, reviewer_id: str, measure: str, reason: str,
        based_on: int,
    ) -> CriterionRevision:  # fmt: skip
        """Asks for it no longer; what was asked before stays readable. Raises as `set`."""
        found = measured.find(measure)
        with self._uow(read_only=True) as uow:
            latest = uow.criteria.latest(project_id, found.key)
        if latest is None or (latest.threshold is None and latest.id != id):
            raise InsightError(f"no criterion on {found.key} stands in this project")
        return self._append(
            id, project_id, reviewer_id, found, latest.comparator, None, reason, based_on
        )

    def outcomes(
        self, project_id: str, version_hash: str | None = None
    ) -> tuple[CriterionOutcome, ...]:
        """Whether each criterion that stands is met now.

        Args:
            version_hash: hash (or its beginning) of the version to look at; None: the active one.

        Raises NotFound for an unknown project or version.
        """
        with self._uow(read_only=True) as uow:
            uow.projects.get(project_id)
            rows = uow.criteria.standing(project_id)
            version = _version(uow, project_id, version_hash)
        readings = self._readings(project_id, version)
        return tuple(_outcome(row, readings.of(row.measure)) for row in rows if _known(row))

    def read(self, project_id: str, keys: Sequence[str]) -> dict[str, Reading]:
        """What measures say now, criteria or not."""
        with self._uow(read_only=True) as uow:
            version = uow.versions.active(project_id)
        readings = self._readings(project_id, version)
        return {key: readings.of(measured.find(key).key) for key in keys}

    def figures(self, version: VersionRecord) -> VersionFigures:
        """A version's held-out figures, kept until something is said in its project."""
        with self._uow(read_only=True) as uow:
            stamp = uow.home.stamp(version.project_id)
            return self._figures.of(version.id, stamp, lambda: figures_of(uow, version))

    def _readings(self, project_id: str, version: VersionRecord | None) -> Readings:
        return Readings(
            self._uow, project_id, version, self._agreement, self._groups, self._drift, self.figures
        )

    def _append(
        self, id: str, project_id: str, reviewer_id: str, measure: MeasureView,
        comparator: measured.Comparator, threshold: float | None, reason: str, based_on: int,
    ) -> CriterionRevision:  # fmt: skip
        why = clean_prose(reason, "the reason")
        if len(why) < LEAST_REASON:
            raise InsightError("say why: a criterion without a reason convinces nobody later")
        with self._uow() as uow:
            require(uow, project_id, reviewer_id, "lead")
            before = {row.id for row in uow.criteria.history(project_id)}
            row = uow.criteria.append(
                id=id, project_id=project_id, reviewer_id=reviewer_id, measure=measure.key,
                comparator=comparator, threshold=threshold, reason=why, based_on=based_on,
            )  # fmt: skip
            if row.id not in before:
                uow.audit.append(
                    actor=row.reviewer, entity="criterion", entity_id=measure.key,
                    action="criterion.withdrawn" if threshold is None else "criterion.set",
                    project_id=project_id,
                    detail={
                        "comparator": comparator, "threshold": threshold, "reason": why,
                        "revision": row.revision,
                    },
                )  # fmt: skip
            uow.commit()
        return _revision(row)


def _version(uow: UnitOfWork, project_id: str, version_hash: str | None) -> VersionRecord | None:
    if version_hash is None:
        return uow.versions.active(project_id)
    return find_version(uow, project_id, version_hash)


def _known(row: CriterionRecord) -> bool:
    """A later version of the program may have measures that this one does not know."""
    return row.measure in MEASURES


def _revision(row: CriterionRecord) -> CriterionRevision:
    measure = MEASURES.get(row.measure)
    label, unit = (measure.label, measure.unit) if measure else (row.measure, "score")
    return CriterionRevision(
        row.measure, label, unit, row.comparator, row.threshold,
        measured.text(label, unit, row.comparator, row.threshold), row.reason, row.reviewer,
        row.created_at, row.revision,
    )  # fmt: skip


def _outcome(row: CriterionRecord, found: Reading) -> CriterionOutcome:
    measure = MEASURES[row.measure]
    threshold = row.threshold or 0.0
    passed, why = None, found.why
    if found.value is not None:
        passed, why = measured.passes(row.comparator, found.value, threshold), ""
        if measured.straddles(found, threshold):
            why = "the 95 % interval holds values on both sides of the threshold"
    sentence = measured.evidence(measure, row.comparator, threshold, found)
    if passed is not None and why:
        sentence = f"{sentence} The answer is not firm: {why}."
    return CriterionOutcome(
        measure=row.measure, label=measure.label, unit=measure.unit, comparator=row.comparator,
        threshold=threshold, value=found.value, low=found.low, high=found.high, n=found.n,
        of=found.of, passed=passed, why=why, sentence=sentence, screen=found.screen,
        query=found.query, reason=row.reason, by=row.reviewer, at=row.created_at,
        revision=row.revision, about=measure.about,
    )  # fmt: skip
