"""What an import of words has to know, for many rows at once: no query per row."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, tuple_

from db.models import (
    Assessment,
    Case,
    ClassVerdict,
    ColumnVerdict,
    Concept,
    ConceptName,
    Cue,
    Drawing,
    Image,
    Note,
    Verdict,
)
from db.repositories.base import Repository, batches, same_content

_WORDS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "verdicts": (Verdict, ("value", "scope", "reason", "comment")),
    "assessments": (Assessment, ("agree", "corrected_label", "ratings", "comment", "blind")),
    "class_verdicts": (ClassVerdict, ("class_name", "value", "reason", "comment")),
    "column_verdicts": (ColumnVerdict, ("column_name", "value", "reason", "comment")),
    "names": (ConceptName, ("name", "reason")),
    "drawings": (Drawing, ("kind", "shape", "points", "note")),
    "notes": (Note, ("kind", "text", "payload")),
}
_SIZE = 400  # keys per query


@dataclass(frozen=True)
class CaseKey:
    """A case as an import finds it."""

    case_id: str
    relpath: str
    explained: bool


@dataclass(frozen=True)
class Stood:
    """The latest word of somebody on something."""

    revision: int
    created_at: datetime


class WordReads(Repository):
    """Reads only."""

    def known(
        self, project_id: str, table: str, said: Sequence[tuple[str, dict[str, Any]]]
    ) -> dict[str, bool]:
        """Id -> whether it says the same in this project, for the (id, content) that are stored."""
        model, names = _WORDS[table]
        wanted = dict(said)
        found: dict[str, bool] = {}
        for batch in batches(wanted, _SIZE):
            owner = Concept.project_id if model is ConceptName else model.project_id
            query = select(model, owner.label("owner")).where(model.id.in_(batch))
            if model is ConceptName:
                query = query.join(Concept, Concept.id == ConceptName.concept_id)
            for row, owned_by in self._session.execute(query):
                content = {name: wanted[row.id].get(name) for name in names}
                found[row.id] = owned_by == project_id and same_content(row, content)
        return found

    def images(
        self, project_id: str, shas: Collection[str], paths: Collection[str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """SHA-256 -> image id, and path -> image id, of those that the project has."""
        return (
            self._images(project_id, Image.sha256, shas),
            self._images(project_id, Image.relpath, paths),
        )

    def cases(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], CaseKey]:
        """(version id, image id) -> the case."""
        found: dict[tuple[str, str], CaseKey] = {}
        for batch in batches(sorted(set(keys)), _SIZE):
            query = (
                select(
                    Case.version_id, Case.image_id, Case.id, Image.relpath,
                    Case.explanation.is_not(None).label("explained"),
                )
                .join(Image, Image.id == Case.image_id)
                .where(tuple_(Case.version_id, Case.image_id).in_(batch))
            )  # fmt: skip
            for row in self._session.execute(query):
                key = CaseKey(row.id, row.relpath, bool(row.explained))
                found[row.version_id, row.image_id] = key
        return found

    def cues(self, case_ids: Iterable[str]) -> dict[tuple[str, int], str]:
        """(case id, concept number) -> cue id."""
        found: dict[tuple[str, int], str] = {}
        for batch in batches(sorted(set(case_ids)), _SIZE):
            query = (
                select(Cue.case_id, Concept.number, Cue.id)
                .join(Concept, Concept.id == Cue.concept_id)
                .where(Cue.case_id.in_(batch))
            )
            found |= {(row[0], row[1]): row[2] for row in self._session.execute(query)}
        return found

    def latest_verdicts(self, cue_ids: Iterable[str]) -> dict[tuple[str, str], Stood]:
        """(cue id, reviewer id) -> the latest verdict event, withdrawn ones included."""
        return self._latest(Verdict, Verdict.cue_id, cue_ids)

    def latest_assessments(self, case_ids: Iterable[str]) -> dict[tuple[str, str], Stood]:
        """(case id, reviewer id) -> the latest assessment event, blank ones included."""
        return self._latest(Assessment, Assessment.case_id, case_ids)

    def latest_names(self, concept_ids: Iterable[str]) -> dict[str, Stood]:
        """Concept id -> its latest name event; revision 0 is not told."""
        found: dict[str, Stood] = {}
        for batch in batches(sorted(set(concept_ids)), _SIZE):
            query = select(
                ConceptName.concept_id, ConceptName.revision, ConceptName.created_at
            ).where(ConceptName.concept_id.in_(batch))
            for row in self._session.execute(query.order_by(ConceptName.revision)):
                found[row.concept_id] = Stood(row.revision, row.created_at)
        return found

    def _images(self, project_id: str, column: Any, keys: Collection[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for batch in batches(sorted(set(keys)), _SIZE):
            query = select(column, Image.id).where(
                Image.project_id == project_id, column.in_(batch)
            )
            found |= self._mapping(query)
        return found

    def _latest(self, model: Any, column: Any, keys: Iterable[str]) -> dict[tuple[str, str], Stood]:
        found: dict[tuple[str, str], Stood] = {}
        for batch in batches(sorted(set(keys)), _SIZE):
            query = select(column, model.reviewer_id, model.revision, model.created_at)
            rows = self._session.execute(query.where(column.in_(batch)).order_by(model.revision))
            found |= {(row[0], row[1]): Stood(row[2], row[3]) for row in rows}
        return found
