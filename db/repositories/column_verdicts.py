"""What experts say of a metadata column as a whole."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists
from sqlalchemy.orm import aliased

from db.errors import StaleWrite
from db.models import ColumnVerdict, Project, Reviewer
from db.records import VerdictValue, utc_now
from db.repositories.base import checked_id, checked_name, checked_word, cleaned
from db.repositories.event_reads import Events
from db.run_records import ColumnVerdictRecord


class ColumnVerdictRepository(Events):
    """Append-only; the highest revision per project, column and reviewer stands."""

    def append(
        self,
        *,
        id: str,
        project_id: str,
        column_name: str,
        reviewer_id: str,
        value: VerdictValue,
        based_on: int,
        reason: str | None = None,
        comment: str = "",
        created_at: datetime | None = None,
    ) -> ColumnVerdictRecord:
        """A word that stands from now on; "withdrawn" takes the one before back.

        Args:
            created_at: when it was said (imports); by default now.

        Idempotent by id. The column itself is not looked up: images come and go.
        Raises StaleWrite, Conflict, NotFound, InvalidValue (empty name, unknown word).
        """
        content: dict[str, Any] = {
            "project_id": project_id,
            "column_name": checked_name(column_name, "column name"),
            "reviewer_id": reviewer_id,
            "value": checked_word(value, VerdictValue, "verdict"),
            "reason": None if reason is None else cleaned(reason),
            "comment": cleaned(comment),
        }
        event_id = checked_id(id)
        self._require(Project, project_id, "project", lock=True)
        if self._known(ColumnVerdict, event_id, content) is None:
            self._require(Reviewer, reviewer_id, "reviewer")
            standing = self._latest(
                ColumnVerdictRecord,
                ColumnVerdict,
                ColumnVerdict.project_id == project_id,
                ColumnVerdict.column_name == content["column_name"],
                ColumnVerdict.reviewer_id == reviewer_id,
            )
            current = 0 if standing is None else standing.revision
            if based_on != current:
                raise StaleWrite("column verdict", based_on, current)
            self._insert_event(
                ColumnVerdict(
                    id=event_id, revision=current + 1, created_at=created_at or utc_now(), **content
                )
            )
        return self._read(ColumnVerdictRecord, ColumnVerdict, ColumnVerdict.id == event_id)[0]

    def mine(self, project_id: str, reviewer_id: str) -> dict[str, ColumnVerdictRecord]:
        """Column -> the reviewer's latest event, withdrawn ones included."""
        found = self._read(
            ColumnVerdictRecord,
            ColumnVerdict,
            ColumnVerdict.project_id == project_id,
            ColumnVerdict.reviewer_id == reviewer_id,
            ~_superseded(),
        )
        return {each.column_name: each for each in found}

    def standing(self, project_id: str) -> tuple[ColumnVerdictRecord, ...]:
        """Everybody's words that are not withdrawn, in the order of being said."""
        return self._read(
            ColumnVerdictRecord,
            ColumnVerdict,
            ColumnVerdict.project_id == project_id,
            ColumnVerdict.value != "withdrawn",
            ~_superseded(),
        )

    def history(self, project_id: str, column_name: str) -> tuple[ColumnVerdictRecord, ...]:
        """Every event on a column, oldest first."""
        return self._read(
            ColumnVerdictRecord,
            ColumnVerdict,
            ColumnVerdict.project_id == project_id,
            ColumnVerdict.column_name == column_name,
        )


def _superseded() -> ColumnElement[bool]:
    later = aliased(ColumnVerdict)
    return exists().where(
        later.project_id == ColumnVerdict.project_id,
        later.column_name == ColumnVerdict.column_name,
        later.reviewer_id == ColumnVerdict.reviewer_id,
        later.revision > ColumnVerdict.revision,
    )
