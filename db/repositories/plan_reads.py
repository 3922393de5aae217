"""What the plan of a queue reads of a whole version (cases: queue_reads.py). It writes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, String, cast, exists, func, or_, select

from db.desk_records import QueuePlace
from db.models import (
    Assessment,
    Case,
    CaseWord,
    Concept,
    ConceptMark,
    ConceptTally,
    Cue,
    Lease,
    Verdict,
)
from db.repositories.base import Repository
from db.repositories.folds import standing_verdicts


@dataclass(frozen=True)
class FigureRow:
    """A cue's figures, without its map."""

    case_id: str
    number: int  # of the concept
    contribution: float
    causal_effect: float


class PlanReads(Repository):
    """Reads that pass over all cases: for the plan and for overviews, never for one case."""

    def figures(self, version_id: str, among: Sequence[str] | None = None) -> tuple[FigureRow, ...]:
        """The figures of every stored cue of a version; `among`: of those cases only."""
        query = (
            select(Cue.case_id, Concept.number, Cue.contribution, Cue.causal_effect)
            .join(Concept, Concept.id == Cue.concept_id)
            .join(Case, Case.id == Cue.case_id)
            .where(Case.version_id == version_id)
        )
        return tuple(FigureRow(*row) for row in self._of_cases(query, Case.id, among))

    def reconstructions(
        self, version_id: str, among: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Case id -> how much of the tokens the concepts explain, where a case is explained."""
        share = Case.explanation["reconstruction"].as_float()
        query = select(Case.id, share).where(
            Case.version_id == version_id, Case.explanation.is_not(None)
        )
        return {row[0]: float(row[1] or 0.0) for row in self._of_cases(query, Case.id, among)}

    def spoken(self, version_id: str) -> frozenset[str]:
        """Ids of the cases on which anybody has a standing word."""
        query = select(CaseWord.case_id).join(Case, Case.id == CaseWord.case_id)
        return frozenset(self._session.scalars(query.where(Case.version_id == version_id)))

    def begun(self, version_id: str, now: datetime) -> tuple[QueuePlace, ...]:
        """Cases with a word of anybody or in somebody's hands now, in queue order."""
        query = select(
            Case.id, Case.queue_reason, Case.queue_score, Case.wanted
        ).where(Case.version_id == version_id, is_begun(now))  # fmt: skip
        rows = self._session.execute(query.order_by(Case.queue_order, Case.id))
        return tuple(QueuePlace(*row) for row in rows)

    def not_begun(self, version_id: str, now: datetime, *, limit: int) -> tuple[str, ...]:
        """Ids of the other cases, the first `limit` in queue order."""
        query = select(Case.id).where(Case.version_id == version_id, ~is_begun(now))
        ordered = query.order_by(Case.queue_order, Case.id).limit(limit)
        return tuple(self._session.scalars(ordered))

    def served(self, version_id: str, now: datetime) -> dict[str, int]:
        """Reasons (up to the first ":") of the cases that are begun -> how many."""
        query = select(Case.queue_reason, func.count()).where(
            Case.version_id == version_id, is_begun(now)
        )
        found: dict[str, int] = {}
        for reason, count in self._session.execute(query.group_by(Case.queue_reason)):
            word = reason.partition(":")[0]
            found[word] = found.get(word, 0) + count
        return found

    def said(self, project_id: str) -> int:
        """How many verdicts were given in a project, those taken back or replaced included."""
        query = select(func.count()).select_from(Verdict).where(Verdict.project_id == project_id)
        return self._session.scalar(query) or 0

    def disputed(self, project_id: str, version_id: str) -> dict[str, float]:
        """Case id -> share of the cues that several people judged on which they differ."""
        stands = standing_verdicts(Verdict.project_id == project_id)
        people = func.count().label("people")
        words = func.count(stands.c.value.distinct()).label("words")
        by_cue = (
            select(stands.c.case_id, stands.c.cue_id, people, words)
            .group_by(stands.c.case_id, stands.c.cue_id)
            .having(people > 1)
            .subquery("by_cue")
        )
        differ: Any = func.sum(cast(by_cue.c.words > 1, Integer))
        query = (
            select(by_cue.c.case_id, differ, func.count())
            .join(Case, Case.id == by_cue.c.case_id)
            .where(Case.version_id == version_id)
            .group_by(by_cue.c.case_id)
            .having(differ > 0)
        )
        return {row[0]: row[1] / row[2] for row in self._session.execute(query)}

    def judged(self, project_id: str, dictionary_hash: str) -> dict[int, tuple[int, int]]:
        """Concept number -> how many standing verdicts call it spurious, and of how many."""
        said = ConceptTally.correct + ConceptTally.spurious + ConceptTally.unsure
        query = (
            select(Concept.number, ConceptTally.spurious, said)
            .join(Concept, Concept.id == ConceptTally.concept_id)
            .where(
                Concept.project_id == project_id,
                Concept.dictionary_hash == dictionary_hash,
                said > 0,
            )
        )
        return {row[0]: (row[1], row[2]) for row in self._session.execute(query)}

    def artefacts(self, project_id: str, dictionary_hash: str) -> frozenset[int]:
        """Numbers of the concepts that people marked as artefacts."""
        latest = (
            select(ConceptMark.concept_id, func.max(ConceptMark.revision).label("revision"))
            .where(ConceptMark.kind == "artefact")
            .group_by(ConceptMark.concept_id)
            .subquery("latest_mark")
        )
        query = (
            select(Concept.number)
            .join(ConceptMark, ConceptMark.concept_id == Concept.id)
            .join(
                latest,
                (latest.c.concept_id == ConceptMark.concept_id)
                & (latest.c.revision == ConceptMark.revision),
            )
            .where(
                ConceptMark.kind == "artefact",
                ConceptMark.value,
                Concept.project_id == project_id,
                Concept.dictionary_hash == dictionary_hash,
            )
        )
        return frozenset(self._session.scalars(query))

    def is_rated(self, project_id: str) -> bool:
        """Whether anybody ever rated a case of the project by its criteria."""
        query = select(Assessment.seq).where(
            Assessment.project_id == project_id, cast(Assessment.ratings, String) != "{}"
        )
        return self._session.scalar(query.limit(1)) is not None


def is_begun(now: datetime) -> ColumnElement[bool]:
    """Whether a case has a word of anybody, or is in somebody's hands now."""
    return or_(
        exists().where(CaseWord.case_id == Case.id).correlate(Case),
        exists().where(Lease.case_id == Case.id, Lease.expires_at > now).correlate(Case),
    )
