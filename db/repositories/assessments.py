"""Assessments: an expert's word on a whole case."""

from datetime import datetime
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import aliased

from db.errors import Conflict, InvalidValue, NotFound, StaleWrite
from db.feedback_records import AssessmentCounts, AssessmentRecord
from db.models import Assessment, Case, Reviewer
from db.records import utc_now
from db.repositories.base import AnySelect, Repository, build, checked_id, cleaned, same_content
from db.repositories.counters import Counters
from db.repositories.folds import standing_assessments


class AssessmentRepository(Repository):
    """Append-only; the highest revision per case and reviewer stands."""

    def append(
        self,
        *,
        id: str,
        case_id: str,
        reviewer_id: str,
        based_on: int,
        agree: bool | None,
        corrected_label: str | None = None,
        ratings: dict[str, Any] | None = None,
        comment: str = "",
        blind: bool = False,
        undoes: str | None = None,
        created_at: datetime | None = None,
    ) -> AssessmentRecord:
        """Append an assessment; it stands from now on for this reviewer and case.

        One that says nothing (no agreement, label, rating or comment) takes the former back.
        The same rules as for verdicts: idempotent by id, StaleWrite, Conflict, NotFound.

        Args:
            blind: it was given before the model's word was shown.
            undoes: id of the assessment that this one takes back; each can be taken back once.
        """
        content: dict[str, Any] = {
            "case_id": case_id,
            "reviewer_id": reviewer_id,
            "agree": agree,
            "corrected_label": None if corrected_label is None else cleaned(corrected_label),
            "ratings": ratings or {},
            "comment": cleaned(comment),
            "blind": blind,
            "undoes": undoes,
        }
        event_id = checked_id(id)
        case = self._part("case", case_id, Case.project_id, lock=True)
        stored = self.find(event_id)
        if stored is not None:
            if not same_content(stored, content):
                raise Conflict(f"assessment {event_id} is known with other content")
            return stored
        current = self._revision(case_id, reviewer_id)
        if based_on != current:
            raise StaleWrite("assessment", based_on, current)
        if undoes is not None:
            self._refuse_other_case(undoes, case_id)
        reviewer = self._require(Reviewer, reviewer_id, "reviewer")
        row = Assessment(
            id=event_id,
            project_id=case.project_id,
            revision=current + 1,
            blank=agree is None and not any((corrected_label, ratings, content["comment"])),
            created_at=created_at or utc_now(),
            **content,
        )
        record = build(AssessmentRecord, self._insert_event(row), reviewer=reviewer.name)
        Counters(self._session).assessment_changed(
            case_id=case_id, reviewer_id=reviewer_id, says=not row.blank
        )
        return record

    def take_back(self, target: AssessmentRecord, event_id: str) -> AssessmentRecord:
        """Append what stood before `target`, the reviewer's latest act; StaleWrite if it is not."""
        case_id, reviewer_id = target.case_id, target.reviewer_id
        self._part("case", case_id, Case.id, lock=True)
        current = self._revision(case_id, reviewer_id)
        if self.undoable(target.project_id, reviewer_id) != target:
            raise StaleWrite("assessment", target.revision, current)
        before = self._first(
            Assessment.case_id == case_id,
            Assessment.reviewer_id == reviewer_id,
            Assessment.revision == target.revision - 1,
        )
        return self.append(
            id=event_id,
            case_id=case_id,
            reviewer_id=reviewer_id,
            based_on=current,
            agree=None if before is None else before.agree,
            corrected_label=None if before is None else before.corrected_label,
            ratings=None if before is None else before.ratings,
            comment="" if before is None else before.comment,
            blind=False if before is None else before.blind,
            undoes=target.id,
        )

    def undoable(self, project_id: str, reviewer_id: str) -> AssessmentRecord | None:
        """The reviewer's latest assessment that is no undo and not undone."""
        taker = aliased(Assessment)
        query = _events().where(
            Assessment.project_id == project_id,
            Assessment.reviewer_id == reviewer_id,
            Assessment.undoes.is_(None),
            ~exists().where(taker.undoes == Assessment.id),
        )
        return next(iter(self._read(query.order_by(Assessment.seq.desc()).limit(1))), None)

    def find(self, assessment_id: str) -> AssessmentRecord | None:
        """The event of that id, if there is one."""
        return self._first(Assessment.id == assessment_id)

    def by_reviewer(self, project_id: str, reviewer_id: str) -> tuple[AssessmentRecord, ...]:
        """Every event of a reviewer in a project, in the order of being given."""
        query = _events().where(
            Assessment.project_id == project_id, Assessment.reviewer_id == reviewer_id
        )
        return self._read(query.order_by(Assessment.seq))

    def standing(self, case_id: str, reviewer_id: str) -> AssessmentRecord | None:
        """The reviewer's latest event on a case (even one that says nothing: see revision)."""
        return self._first(Assessment.case_id == case_id, Assessment.reviewer_id == reviewer_id)

    def standing_of_project(self, project_id: str) -> tuple[AssessmentRecord, ...]:
        """The standing assessments of everyone, in the order of being given."""
        stands = standing_assessments(Assessment.project_id == project_id)
        query = _events().join(stands, stands.c.seq == Assessment.seq)
        return self._read(query.order_by(Assessment.seq))

    def history(self, case_id: str, reviewer_id: str | None = None) -> tuple[AssessmentRecord, ...]:
        """Every event on a case (of one reviewer), oldest first."""
        query = _events().where(Assessment.case_id == case_id)
        if reviewer_id is not None:
            query = query.where(Assessment.reviewer_id == reviewer_id)
        return self._read(query.order_by(Assessment.seq))

    def counts(self, project_id: str) -> AssessmentCounts:
        """How many assessments stand, and how many agree or disagree."""
        stands = standing_assessments(Assessment.project_id == project_id)
        query = select(stands.c.agree, func.count()).group_by(stands.c.agree)
        by_word: dict[bool | None, int] = self._mapping(query)
        return AssessmentCounts(sum(by_word.values()), by_word.get(True, 0), by_word.get(False, 0))

    def _refuse_other_case(self, undone: str, case_id: str) -> None:
        target = self.find(undone)
        if target is None:
            raise NotFound("assessment", undone)
        if target.case_id != case_id:
            raise InvalidValue("an assessment can only take back one of the same case")

    def _revision(self, case_id: str, reviewer_id: str) -> int:
        latest = self.standing(case_id, reviewer_id)
        return 0 if latest is None else latest.revision

    def _first(self, *where: Any) -> AssessmentRecord | None:
        query = _events().where(*where).order_by(Assessment.revision.desc()).limit(1)
        return next(iter(self._read(query)), None)

    def _read(self, query: AnySelect) -> tuple[AssessmentRecord, ...]:
        return tuple(
            build(AssessmentRecord, row.Assessment, reviewer=row.reviewer_name)
            for row in self._session.execute(query)
        )


def _events() -> AnySelect:
    return select(Assessment, Reviewer.name.label("reviewer_name")).join(Assessment.reviewer)
