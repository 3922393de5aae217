"""Reading many verdicts at once: folds, tallies, and rows for runs and exports."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.sql.selectable import Subquery

from db.desk_records import PeerRecord
from db.feedback_records import MarkRecord, VerdictCounts, VerdictExport, VerdictRecord
from db.models import Case, Concept, Cue, Image, ModelVersion, Project, Reviewer, Verdict
from db.records import VerdictValue
from db.repositories.base import AnySelect, Repository, build
from db.repositories.folds import latest_name, standing_verdicts

_EVENTS = select(Verdict, Reviewer.name.label("reviewer_name")).join(Verdict.reviewer)


class VerdictReads(Repository):
    """The reading half of the verdict repository."""

    def standing(self, case_id: str, reviewer_id: str) -> dict[str, VerdictRecord]:
        """Cue id -> the reviewer's latest event in a case, withdrawn ones included."""
        found = self._latest_of_case(case_id, Verdict.reviewer_id == reviewer_id)
        return {each.cue_id: each for each in found}

    def standing_of_case(self, case_id: str) -> tuple[VerdictRecord, ...]:
        """The standing verdicts of everyone in a case, in the order of being given."""
        found = self._latest_of_case(case_id)
        return tuple(each for each in found if each.value != "withdrawn")

    def peers(self, case_id: str, reviewer_id: str) -> dict[str, tuple[PeerRecord, ...]]:
        """Cue id -> what the others' standing verdicts on it say, in the order of being given."""
        found: dict[str, list[PeerRecord]] = {}
        for each in self._latest_of_case(case_id, Verdict.reviewer_id != reviewer_id):
            if each.value != "withdrawn":
                found.setdefault(each.cue_id, []).append(build(PeerRecord, each))
        return {cue_id: tuple(peers) for cue_id, peers in found.items()}

    def _latest_of_case(
        self, case_id: str, *where: ColumnElement[bool]
    ) -> tuple[VerdictRecord, ...]:
        """The highest revision per cue and reviewer; a case has few events: folded here."""
        query = _EVENTS.where(Verdict.case_id == case_id, *where).order_by(Verdict.revision)
        latest = {
            (row.Verdict.cue_id, row.Verdict.reviewer_id): row
            for row in self._session.execute(query)
        }
        return tuple(
            build(VerdictRecord, row.Verdict, reviewer=row.reviewer_name)
            for row in sorted(latest.values(), key=lambda each: each.Verdict.seq)
        )

    def standing_of_project(
        self,
        project_id: str,
        *,
        include_withdrawn: bool = False,
    ) -> tuple[VerdictRecord, ...]:
        """The standing verdicts of everyone in a project, in the order of being given."""
        mine = Verdict.project_id == project_id
        return self._records(standing_verdicts(mine, include_withdrawn=include_withdrawn))

    def order(self, project_id: str, dictionary_hash: str) -> dict[str, int]:
        """Id -> sequence number of the standing verdicts on a dictionary, in rising order.

        Two narrow columns: a review of a quarter of a million words is a matter of megabytes.
        """
        own = select(Concept.id).where(
            Concept.project_id == project_id, Concept.dictionary_hash == dictionary_hash
        )
        stands = standing_verdicts(Verdict.project_id == project_id, Verdict.concept_id.in_(own))
        query = select(Verdict.id, Verdict.seq).join(stands, stands.c.seq == Verdict.seq)
        return self._mapping(query.order_by(Verdict.seq))

    def counts(self, project_id: str) -> VerdictCounts:
        """How many events there are and how many of each value stand."""
        events = self._session.scalar(
            select(func.count()).select_from(Verdict).where(Verdict.project_id == project_id)
        )
        stands = standing_verdicts(Verdict.project_id == project_id)
        query = select(stands.c.value, func.count()).group_by(stands.c.value)
        by_value: dict[str, int] = self._mapping(query)
        return VerdictCounts(
            events=events or 0,
            standing=sum(by_value.values()),
            correct=by_value.get("correct", 0),
            spurious=by_value.get("spurious", 0),
            unsure=by_value.get("unsure", 0),
        )

    def marks(
        self,
        project_id: str,
        dictionary_hash: str,
        *,
        values: Sequence[VerdictValue] = ("correct", "spurious"),
    ) -> tuple[MarkRecord, ...]:
        """Standing verdicts with the region they speak of, sorted by verdict id.

        The order depends on nothing but the verdicts, so the result can be hashed.
        """
        stands = standing_verdicts(Verdict.project_id == project_id)
        query = (
            _joined(
                stands,
                Verdict.id.label("verdict_id"),
                Verdict.revision,
                Verdict.cue_id,
                Verdict.reviewer_id,
                Reviewer.name.label("reviewer"),
                Verdict.value,
                Verdict.scope,
                Verdict.reason,
                Image.id.label("image_id"),
                Image.sha256.label("image_sha256"),
                Case.prediction,
                ModelVersion.hash.label("version_hash"),
                Concept.dictionary_hash,
                Concept.number.label("concept"),
                Cue.grid_rows,
                Cue.grid_cols,
                Cue.region_bits,
            )
            .where(Concept.dictionary_hash == dictionary_hash, Verdict.value.in_(values))
            .order_by(Verdict.id)
        )
        return tuple(build(MarkRecord, row) for row in self._session.execute(query))

    def export(self, project_id: str, *, standing_only: bool = True) -> tuple[VerdictExport, ...]:
        """Verdicts with everything that names them elsewhere, in the order of being given.

        standing_only leaves out what is superseded or withdrawn; else every event is told.
        """
        stands = standing_verdicts(Verdict.project_id == project_id) if standing_only else None
        query = _joined(
            stands,
            Verdict.id,
            Project.name.label("project"),
            Image.relpath.label("image"),
            Image.sha256.label("image_sha256"),
            ModelVersion.hash.label("version_hash"),
            Concept.dictionary_hash,
            Concept.number.label("concept"),
            latest_name().label("concept_name"),
            Case.prediction,
            Image.label,
            Reviewer.name.label("reviewer"),
            Verdict.value,
            Verdict.scope,
            Verdict.reason,
            Verdict.comment,
            Verdict.revision,
            Verdict.undoes,
            Verdict.created_at,
        ).where(Verdict.project_id == project_id)
        rows = self._session.execute(query.order_by(Verdict.seq))
        return tuple(build(VerdictExport, row) for row in rows)

    def _records(self, stands: Subquery) -> tuple[VerdictRecord, ...]:
        query = _EVENTS.join(stands, stands.c.seq == Verdict.seq).order_by(Verdict.seq)
        return tuple(
            build(VerdictRecord, row.Verdict, reviewer=row.reviewer_name)
            for row in self._session.execute(query)
        )


def _joined(stands: Subquery | None, *columns: Any) -> AnySelect:
    query = select(*columns).select_from(Verdict)
    if stands is not None:
        query = query.join(stands, stands.c.seq == Verdict.seq)
    return (
        query.join(Reviewer, Reviewer.id == Verdict.reviewer_id)
        .join(Cue, Cue.id == Verdict.cue_id)
        .join(Concept, Concept.id == Verdict.concept_id)
        .join(Case, Case.id == Verdict.case_id)
        .join(Image, Image.id == Case.image_id)
        .join(ModelVersion, ModelVersion.id == Case.version_id)
        .join(Project, Project.id == Verdict.project_id)
    )
