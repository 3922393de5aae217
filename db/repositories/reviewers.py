"""Reviewers."""

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from db.models import Assessment, Reviewer, Verdict
from db.records import ReviewerRecord, new_id, utc_now
from db.repositories.base import Repository, build, checked_name, cleaned


class ReviewerRepository(Repository):
    """The people who review."""

    def get_or_create(self, name: str) -> ReviewerRecord:
        """The reviewer of that (trimmed) name, made if new; safe when two ask at once."""
        clean = checked_name(name, "reviewer's name")
        found = self.by_name(clean)
        if found is not None:
            return found
        row = Reviewer(id=new_id(), name=clean, created_at=utc_now())
        try:
            with self._session.begin_nested():
                self._session.add(row)
        except IntegrityError:
            winner = self.by_name(clean)  # someone else was faster
            if winner is None:
                raise
            return winner
        return build(ReviewerRecord, row)

    def get(self, reviewer_id: str) -> ReviewerRecord:
        """The reviewer of that id, or NotFound."""
        return build(ReviewerRecord, self._require(Reviewer, reviewer_id, "reviewer"))

    def by_name(self, name: str) -> ReviewerRecord | None:
        """The reviewer of that name, if there is one."""
        query = select(Reviewer).where(Reviewer.name == cleaned(name).strip())
        row = self._session.scalars(query).one_or_none()
        return None if row is None else build(ReviewerRecord, row)

    def active_in(self, project_id: str) -> tuple[str, ...]:
        """Names of those who gave a verdict or an assessment in a project, sorted."""
        judged = select(Verdict.seq).where(
            Verdict.project_id == project_id, Verdict.reviewer_id == Reviewer.id
        )
        assessed = select(Assessment.seq).where(
            Assessment.project_id == project_id, Assessment.reviewer_id == Reviewer.id
        )
        query = select(Reviewer.name).where(or_(judged.exists(), assessed.exists()))
        return tuple(sorted(self._session.scalars(query)))

    def list(self) -> tuple[ReviewerRecord, ...]:
        """Every reviewer, by name."""
        rows = self._session.scalars(select(Reviewer).order_by(Reviewer.name))
        return tuple(build(ReviewerRecord, row) for row in rows)
