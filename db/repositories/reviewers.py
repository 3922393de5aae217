"""Reviewers."""

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from db.errors import Conflict, InvalidValue
from db.models import Assessment, Reviewer, Verdict
from db.people import PROGRAMS, person_id
from db.records import ReviewerRecord, new_id, utc_now
from db.repositories.base import Repository, build, checked_id, checked_name, cleaned, values_of


class ReviewerRepository(Repository):
    """The people who review."""

    def get_or_create(self, name: str) -> ReviewerRecord:
        """The reviewer of that (trimmed) name, made if new; safe when two ask at once."""
        clean = checked_name(name, "reviewer's name")
        if clean.lower() in PROGRAMS or person_id(clean) is not None:
            raise InvalidValue(f"{clean!r} is a name that the program uses itself: choose another")
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

    def adopt(self, record: ReviewerRecord) -> bool:
        """Take a person over from elsewhere with their id; returns whether they are new here.

        Raises Conflict where the id or the name belongs to somebody else here.
        """
        known = self._session.get(Reviewer, checked_id(record.id))
        if known is not None and known.name != record.name:
            raise Conflict(f"reviewer {record.id} is called {known.name!r} here")
        if known is None:
            if self.by_name(record.name) is not None:
                raise Conflict(f"somebody else is called {record.name!r} here")
            self._insert(Reviewer(**values_of(record)))
        return known is None

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
