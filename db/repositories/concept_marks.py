"""Marks on concepts: artefact, locked."""

from typing import Any

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import aliased

from db.errors import StaleWrite
from db.hierarchy_records import ConceptMarkKind, ConceptMarkRecord
from db.models import Concept, ConceptMark, Reviewer
from db.records import utc_now
from db.repositories.base import checked_id, checked_word, cleaned
from db.repositories.event_reads import Events


class ConceptMarkRepository(Events):
    """Append-only; the highest revision per concept and kind stands."""

    def append(
        self,
        *,
        id: str,
        concept_id: str,
        reviewer_id: str,
        kind: ConceptMarkKind,
        value: bool,
        based_on: int,
        reason: str = "",
    ) -> ConceptMarkRecord:
        """Set or take off a mark; idempotent by id, StaleWrite, Conflict, NotFound.

        Args:
            based_on: revision of that mark that the writer saw (0 = never marked).
        """
        content: dict[str, Any] = {
            "concept_id": concept_id,
            "reviewer_id": reviewer_id,
            "kind": checked_word(kind, ConceptMarkKind, "mark of a concept"),
            "value": value,
            "reason": cleaned(reason),
        }
        event_id = checked_id(id)
        concept = self._require(Concept, concept_id, "concept", lock=True)
        if self._known(ConceptMark, event_id, content) is None:
            self._require(Reviewer, reviewer_id, "reviewer")
            latest = self._latest(
                ConceptMarkRecord,
                ConceptMark,
                ConceptMark.concept_id == concept_id,
                ConceptMark.kind == kind,
            )
            current = 0 if latest is None else latest.revision
            if based_on != current:
                raise StaleWrite("concept mark", based_on, current)
            self._insert_event(
                ConceptMark(
                    id=event_id,
                    project_id=concept.project_id,
                    revision=current + 1,
                    created_at=utc_now(),
                    **content,
                )
            )
        return self._read(ConceptMarkRecord, ConceptMark, ConceptMark.id == event_id)[0]

    def of_concept(self, concept_id: str) -> dict[ConceptMarkKind, ConceptMarkRecord]:
        """Kind -> the latest event of a concept, also where it takes the mark off."""
        found = self._read(
            ConceptMarkRecord, ConceptMark, ConceptMark.concept_id == concept_id, ~_superseded()
        )
        return {each.kind: each for each in found}

    def numbers(
        self, project_id: str, dictionary_hash: str
    ) -> dict[ConceptMarkKind, frozenset[int]]:
        """Kind -> numbers of the concepts that bear that mark; both kinds are always there."""
        query = (
            select(ConceptMark.kind, Concept.number)
            .join(Concept, Concept.id == ConceptMark.concept_id)
            .where(
                Concept.project_id == project_id,
                Concept.dictionary_hash == dictionary_hash,
                ConceptMark.value,
                ~_superseded(),
            )
        )
        found: dict[ConceptMarkKind, set[int]] = {"artefact": set(), "locked": set()}
        for row in self._session.execute(query):
            found[row.kind].add(row.number)
        return {kind: frozenset(numbers) for kind, numbers in found.items()}

    def history(self, concept_id: str) -> tuple[ConceptMarkRecord, ...]:
        """Every event on a concept, oldest first."""
        return self._read(ConceptMarkRecord, ConceptMark, ConceptMark.concept_id == concept_id)


def _superseded() -> ColumnElement[bool]:
    later = aliased(ConceptMark)
    return exists().where(
        later.concept_id == ConceptMark.concept_id,
        later.kind == ConceptMark.kind,
        later.revision > ConceptMark.revision,
    )
