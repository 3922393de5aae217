"""The cases of a report, a page at a time: everything about a hundred cases in a few queries."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import case as when
from sqlalchemy import exists, func, select
from sqlalchemy.orm import aliased, joinedload

from db.desk_records import AdjudicationRecord, DrawingRecord, NoteRecord
from db.feedback_records import AssessmentRecord, VerdictRecord
from db.models import (
    Adjudication,
    Assessment,
    Case,
    Drawing,
    Image,
    ModelVersion,
    Note,
    Reviewer,
    Verdict,
)
from db.records import CaseRecord, ImageRecord
from db.report_records import CaseParts, Selection
from db.repositories.base import AnySelect, Repository, batches, build
from db.repositories.drawings import standing_drawings
from db.repositories.report_folds import of_cases, standing_of_cases, standing_words


class ReportCases(Repository):
    """Reads only."""

    def case_ids(self, sel: Selection) -> tuple[str, ...]:
        """Ids of the cases: the deciding version's queue, then other versions', newest first."""
        query = (
            select(Case.id)
            .join(Image, Image.id == Case.image_id)
            .join(ModelVersion, ModelVersion.id == Case.version_id)
            .where(*of_cases(sel))
            .order_by(
                when((Case.version_id == sel.decides_id, 0), else_=1),
                ModelVersion.created_at.desc(),
                Case.version_id,
                Case.queue_order,
                Case.id,
            )
        )
        return tuple(self._session.scalars(query))

    def case_total(self, sel: Selection) -> int:
        """How many these are."""
        query = select(func.count()).select_from(Case).join(Image, Image.id == Case.image_id)
        return self._session.scalar(query.where(*of_cases(sel))) or 0

    def cases(self, case_ids: Sequence[str]) -> tuple[CaseRecord, ...]:
        """The cases with their images and explanations, in the order given; a page of them."""
        found: dict[str, CaseRecord] = {}
        for batch in batches(case_ids):
            query = select(Case).where(Case.id.in_(batch)).options(joinedload(Case.image))
            for row in self._session.scalars(query):
                found[row.id] = build(CaseRecord, row, image=build(ImageRecord, row.image))
        return tuple(found[each] for each in case_ids if each in found)

    def parts(self, sel: Selection, case_ids: Sequence[str]) -> dict[str, CaseParts]:
        """What people said of each case, by case id; cases without a word are absent."""
        verdicts = self._verdicts(sel, case_ids)
        assessed = self._assessments(sel, case_ids)
        drawings = self._drawings(sel, case_ids)
        notes, rulings = self._notes(sel, case_ids), self._rulings(sel, case_ids)
        keys = {*verdicts, *assessed, *drawings, *notes, *rulings}
        return {
            key: CaseParts(
                tuple(verdicts[key]), tuple(assessed[key]), tuple(drawings[key]),
                tuple(notes[key]), tuple(rulings[key]),
            )
            for key in keys
        }  # fmt: skip

    def _verdicts(
        self, sel: Selection, case_ids: Sequence[str]
    ) -> defaultdict[str, list[VerdictRecord]]:
        stands = standing_words(sel, Verdict.case_id.in_(case_ids))
        query = (
            select(Verdict, Reviewer.name.label("name"))
            .join(stands, stands.c.seq == Verdict.seq)
            .join(Reviewer, Reviewer.id == Verdict.reviewer_id)
            .order_by(Verdict.seq)
        )
        return self._by_case(VerdictRecord, query)

    def _assessments(
        self, sel: Selection, case_ids: Sequence[str]
    ) -> defaultdict[str, list[AssessmentRecord]]:
        stands = standing_of_cases(sel, Assessment.case_id.in_(case_ids))
        query = (
            select(Assessment, Reviewer.name.label("name"))
            .join(stands, stands.c.seq == Assessment.seq)
            .join(Reviewer, Reviewer.id == Assessment.reviewer_id)
            .order_by(Assessment.seq)
        )
        return self._by_case(AssessmentRecord, query)

    def _drawings(
        self, sel: Selection, case_ids: Sequence[str]
    ) -> defaultdict[str, list[DrawingRecord]]:
        query = _events(Drawing, sel, case_ids).where(*standing_drawings())
        return self._by_case(DrawingRecord, query)

    def _notes(self, sel: Selection, case_ids: Sequence[str]) -> defaultdict[str, list[NoteRecord]]:
        remover = aliased(Note)
        query = _events(Note, sel, case_ids).where(
            Note.removes.is_(None), ~exists().where(remover.removes == Note.id)
        )
        return self._by_case(NoteRecord, query)

    def _rulings(
        self, sel: Selection, case_ids: Sequence[str]
    ) -> defaultdict[str, list[AdjudicationRecord]]:
        """Decisions of leads; not narrowed by person, left out where the review is blind."""
        if sel.committed:
            return defaultdict(list)
        later = aliased(Adjudication)
        superseded = exists().where(
            later.subject == Adjudication.subject,
            later.subject_id == Adjudication.subject_id,
            later.revision > Adjudication.revision,
            *(() if sel.until is None else (later.created_at < sel.until,)),
        )
        query = (
            select(Adjudication, Reviewer.name.label("name"))
            .join(Reviewer, Reviewer.id == Adjudication.reviewer_id)
            .where(
                Adjudication.case_id.in_(case_ids), ~superseded, Adjudication.value != "withdrawn"
            )
            .order_by(Adjudication.seq)
        )
        if sel.until is not None:
            query = query.where(Adjudication.created_at < sel.until)
        return self._by_case(AdjudicationRecord, query)

    def _by_case(self, record: type[Any], query: AnySelect) -> defaultdict[str, list[Any]]:
        found: defaultdict[str, list[Any]] = defaultdict(list)
        for row, name in self._session.execute(query):
            found[row.case_id].append(build(record, row, reviewer=name))
        return found


def _events(model: Any, sel: Selection, case_ids: Sequence[str]) -> AnySelect:
    """Events on the cases by the person and in the period of the selection, oldest first."""
    query = (
        select(model, Reviewer.name.label("name"))
        .join(Reviewer, Reviewer.id == model.reviewer_id)
        .where(model.case_id.in_(case_ids))
        .order_by(model.seq)
    )
    if sel.reviewer_id is not None:
        query = query.where(model.reviewer_id == sel.reviewer_id)
    if sel.since is not None:
        query = query.where(model.created_at >= sel.since)
    return query if sel.until is None else query.where(model.created_at < sel.until)
