"""Who has which role in a project."""

from typing import Any

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import aliased

from db.desk_records import MemberRecord, Role
from db.errors import StaleWrite
from db.models import Member, Project, Reviewer
from db.records import utc_now
from db.repositories.base import Repository, build, checked_id, checked_word


class MemberRepository(Repository):
    """Append-only; the highest revision per person stands. "removed" ends a membership."""

    def append(
        self,
        *,
        id: str,
        project_id: str,
        reviewer_id: str,
        role: Role,
        by_id: str,
        based_on: int,
    ) -> MemberRecord:
        """Give somebody a role; idempotent by id, StaleWrite, Conflict, NotFound."""
        content: dict[str, Any] = {
            "project_id": project_id,
            "reviewer_id": reviewer_id,
            "role": checked_word(role, Role, "role"),
            "by_id": by_id,
        }
        event_id = checked_id(id)
        self._require(Project, project_id, "project", lock=True)
        if self._known(Member, event_id, content) is None:
            for person in (reviewer_id, by_id):
                self._require(Reviewer, person, "reviewer")
            standing = self.of(project_id, reviewer_id)
            current = 0 if standing is None else standing.revision
            if based_on != current:
                raise StaleWrite("role", based_on, current)
            self._insert_event(
                Member(id=event_id, revision=current + 1, created_at=utc_now(), **content)
            )
        return self._read(Member.id == event_id)[0]

    def of(self, project_id: str, reviewer_id: str) -> MemberRecord | None:
        """The event that stands for one person ("removed" included); None if there was none."""
        found = self._read(
            Member.project_id == project_id, Member.reviewer_id == reviewer_id, ~_superseded()
        )
        return found[0] if found else None

    def standing(self, project_id: str) -> tuple[MemberRecord, ...]:
        """The members of a project, in the order of getting their role."""
        return self._read(Member.project_id == project_id, Member.role != "removed", ~_superseded())

    def ever_led(self, project_id: str) -> bool:
        """Whether anybody was ever made lead: else the project is open to everybody."""
        query = select(Member.seq).where(Member.project_id == project_id, Member.role == "lead")
        return self._session.scalar(query.limit(1)) is not None

    def history(self, project_id: str) -> tuple[MemberRecord, ...]:
        """Every event, oldest first."""
        return self._read(Member.project_id == project_id)

    def _read(self, *where: ColumnElement[bool]) -> tuple[MemberRecord, ...]:
        person, by = aliased(Reviewer), aliased(Reviewer)
        query = (
            select(Member, person.name.label("reviewer"), by.name.label("by"))
            .join(person, person.id == Member.reviewer_id)
            .join(by, by.id == Member.by_id)
            .where(*where)
            .order_by(Member.seq)
        )
        return tuple(
            build(MemberRecord, row.Member, reviewer=row.reviewer, by=row.by)
            for row in self._session.execute(query)
        )


def _superseded() -> ColumnElement[bool]:
    later = aliased(Member)
    return exists().where(
        later.project_id == Member.project_id,
        later.reviewer_id == Member.reviewer_id,
        later.revision > Member.revision,
    )
