"""What experts say of a concept in a class."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists
from sqlalchemy.orm import aliased

from db.desk_records import ClassVerdictRecord
from db.errors import InvalidValue, StaleWrite
from db.models import ClassVerdict, Concept, Project, Reviewer
from db.records import VerdictValue, utc_now
from db.repositories.base import checked_id, checked_word, cleaned
from db.repositories.event_reads import Events


class ClassVerdictRepository(Events):
    """Append-only; the highest revision per concept, class and reviewer stands."""

    def append(
        self,
        *,
        id: str,
        concept_id: str,
        class_name: str,
        reviewer_id: str,
        value: VerdictValue,
        based_on: int,
        reason: str | None = None,
        comment: str = "",
        created_at: datetime | None = None,
    ) -> ClassVerdictRecord:
        """A word that stands from now on; the same rules as for verdicts.

        Args:
            created_at: when it was said (imports); by default now.

        Raises InvalidValue for a class that the project does not have.
        """
        content: dict[str, Any] = {
            "concept_id": concept_id,
            "class_name": cleaned(class_name),
            "reviewer_id": reviewer_id,
            "value": checked_word(value, VerdictValue, "verdict"),
            "reason": None if reason is None else cleaned(reason),
            "comment": cleaned(comment),
        }
        event_id = checked_id(id)
        concept = self._require(Concept, concept_id, "concept", lock=True)
        if self._known(ClassVerdict, event_id, content) is None:
            project = self._require(Project, concept.project_id, "project")
            if content["class_name"] not in project.classes:
                raise InvalidValue(f"{class_name!r} is not a class of this project")
            self._require(Reviewer, reviewer_id, "reviewer")
            standing = self._latest(
                ClassVerdictRecord,
                ClassVerdict,
                ClassVerdict.concept_id == concept_id,
                ClassVerdict.class_name == content["class_name"],
                ClassVerdict.reviewer_id == reviewer_id,
            )
            current = 0 if standing is None else standing.revision
            if based_on != current:
                raise StaleWrite("class verdict", based_on, current)
            self._insert_event(
                ClassVerdict(
                    id=event_id,
                    project_id=project.id,
                    revision=current + 1,
                    created_at=created_at or utc_now(),
                    **content,
                )
            )
        return self._read(ClassVerdictRecord, ClassVerdict, ClassVerdict.id == event_id)[0]

    def mine(
        self, project_id: str, reviewer_id: str, *, class_name: str | None = None
    ) -> dict[tuple[str, str], ClassVerdictRecord]:
        """(concept id, class) -> the reviewer's latest event, withdrawn ones included."""
        where = [ClassVerdict.project_id == project_id, ClassVerdict.reviewer_id == reviewer_id]
        if class_name is not None:
            where.append(ClassVerdict.class_name == class_name)
        found = self._read(ClassVerdictRecord, ClassVerdict, *where, ~_superseded())
        return {(each.concept_id, each.class_name): each for each in found}

    def standing(
        self,
        project_id: str,
        *,
        class_name: str | None = None,
        concept_id: str | None = None,
    ) -> tuple[ClassVerdictRecord, ...]:
        """What everybody's words say that are not withdrawn, in the order of being said."""
        where = [ClassVerdict.project_id == project_id, ClassVerdict.value != "withdrawn"]
        if class_name is not None:
            where.append(ClassVerdict.class_name == class_name)
        if concept_id is not None:
            where.append(ClassVerdict.concept_id == concept_id)
        return self._read(ClassVerdictRecord, ClassVerdict, *where, ~_superseded())

    def history(self, concept_id: str, class_name: str) -> tuple[ClassVerdictRecord, ...]:
        """Every event on a concept in a class, oldest first."""
        return self._read(
            ClassVerdictRecord,
            ClassVerdict,
            ClassVerdict.concept_id == concept_id,
            ClassVerdict.class_name == class_name,
        )


def _superseded() -> ColumnElement[bool]:
    later = aliased(ClassVerdict)
    return exists().where(
        later.concept_id == ClassVerdict.concept_id,
        later.class_name == ClassVerdict.class_name,
        later.reviewer_id == ClassVerdict.reviewer_id,
        later.revision > ClassVerdict.revision,
    )
