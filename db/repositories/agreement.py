"""What agreement figures are made of: everybody's standing words on what several people judged."""

from sqlalchemy import ColumnElement, Select, func, select

from db.desk_records import JudgedCase, JudgedCue
from db.models import Assessment, Case, Concept, Cue, Reviewer, Verdict
from db.repositories.base import Repository, build
from db.repositories.folds import standing_assessments, standing_verdicts


class AgreementRepository(Repository):
    """Reads only. Items that one person alone judged are left out."""

    def stamp(self) -> int:
        """A number that grows with every verdict and assessment, of any project; O(log n)."""
        latest = (
            self._session.scalar(select(func.max(each.seq))) for each in (Verdict, Assessment)
        )
        return max(each or 0 for each in latest)

    def words(self, project_id: str, *, concept_id: str | None = None) -> tuple[JudgedCue, ...]:
        """Standing verdicts on cues that two or more people spoke on, cue by cue.

        Where one of them withdrew, a cue may come with a single word.
        """
        of_project: list[ColumnElement[bool]] = [Verdict.project_id == project_id]
        if concept_id is not None:
            of_project.append(Verdict.concept_id == concept_id)
        # Two people at least, told by the ends of an index range: no join, no count.
        shared: Select[str] = (
            select(Verdict.cue_id)
            .where(*of_project)
            .group_by(Verdict.cue_id)
            .having(func.min(Verdict.reviewer_id) != func.max(Verdict.reviewer_id))
        )
        stands = standing_verdicts(*of_project, Verdict.cue_id.in_(shared))
        query = (
            select(
                Verdict.cue_id,
                Verdict.case_id,
                Verdict.concept_id,
                Concept.number.label("concept"),
                Case.prediction,
                Verdict.reviewer_id,
                Reviewer.name.label("reviewer"),
                Verdict.value,
                Verdict.scope,
                Verdict.reason,
                Verdict.comment,
                Verdict.created_at,
            )
            .join(stands, stands.c.seq == Verdict.seq)
            .join(Reviewer, Reviewer.id == Verdict.reviewer_id)
            .join(Cue, Cue.id == Verdict.cue_id)
            .join(Concept, Concept.id == Verdict.concept_id)
            .join(Case, Case.id == Verdict.case_id)
            .order_by(Case.queue_order, Verdict.case_id, Cue.rank, Verdict.cue_id, Verdict.seq)
        )
        return tuple(build(JudgedCue, row) for row in self._session.execute(query))

    def labels(self, project_id: str) -> tuple[JudgedCase, ...]:
        """Standing assessments of cases that two or more people assessed, case by case."""
        shared: Select[str] = (
            select(Assessment.case_id)
            .where(Assessment.project_id == project_id)
            .group_by(Assessment.case_id)
            .having(func.min(Assessment.reviewer_id) != func.max(Assessment.reviewer_id))
        )
        stands = standing_assessments(
            Assessment.project_id == project_id, Assessment.case_id.in_(shared)
        )
        query = (
            select(
                Assessment.case_id,
                Case.prediction,
                Assessment.reviewer_id,
                Reviewer.name.label("reviewer"),
                Assessment.agree,
                Assessment.corrected_label,
                Assessment.comment,
                Assessment.created_at,
            )
            .join(stands, stands.c.seq == Assessment.seq)
            .join(Reviewer, Reviewer.id == Assessment.reviewer_id)
            .join(Case, Case.id == Assessment.case_id)
            .order_by(Case.queue_order, Assessment.case_id, Assessment.seq)
        )
        return tuple(build(JudgedCase, row) for row in self._session.execute(query))
