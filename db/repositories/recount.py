"""Working the counters out anew, and moving the start of searches for open cases."""

from typing import Any

from sqlalchemy import (
    Boolean,
    Integer,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    union_all,
)

from db.models import (
    Assessment,
    Case,
    CaseWord,
    Concept,
    ConceptTally,
    ModelVersion,
    QueueProgress,
    Verdict,
)
from db.repositories import queue_folds as folds
from db.repositories.base import Repository, translated
from db.repositories.counters import TALLIED, TEAM
from db.repositories.folds import standing_assessments, standing_verdicts

AHEAD = 2000  # places looked at in one go


class Recount(Repository):
    """What the counters are by definition: folds over everything that was said."""

    def everything(self, version_id: str) -> None:
        """The counters of a version and the tallies of its dictionary."""
        version = self._require(ModelVersion, version_id, "model version", lock=True)
        self._words(version_id)
        self._tallies(version.project_id, version.dictionary_hash)
        self.progress(version_id)

    def progress(self, version_id: str) -> None:
        """How many cases each reviewer and the team did, and where open cases begin."""
        self._session.execute(delete(QueueProgress).where(QueueProgress.version_id == version_id))
        said = (
            select(CaseWord.reviewer_id, func.count())
            .join(Case, Case.id == CaseWord.case_id)
            .where(Case.version_id == version_id)
            .group_by(CaseWord.reviewer_id)
        )
        done: dict[str, int] = self._mapping(said)
        if not done:
            return
        enough = (
            select(Case.id)
            .join(CaseWord, CaseWord.case_id == Case.id)
            .where(Case.version_id == version_id)
            .group_by(Case.id, Case.wanted)
            .having(func.count() >= Case.wanted)
            .subquery()
        )
        done[TEAM] = self._session.scalar(select(func.count()).select_from(enough)) or 0
        rows = [
            {"version_id": version_id, "who": who, "done": count, "open_from": 0}
            for who, count in sorted(done.items())
        ]
        self._insert_many(QueueProgress, rows)
        for who in sorted(done):
            while who != TEAM and self.advance(version_id, who):
                pass

    def advance(self, version_id: str, reviewer_id: str) -> bool:
        """Move the start of the reviewer's searches over closed cases, `AHEAD` places at most.

        Leases are left aside: they end by themselves. Returns whether there is more to move.
        """
        key = (QueueProgress.version_id == version_id, QueueProgress.who == reviewer_id)
        begin = self._session.scalar(select(QueueProgress.open_from).where(*key))
        start = begin or 0
        if self._first_open(version_id, reviewer_id, start, start) is not None:
            return False
        # Nobody may open a case between looking and moving.
        self._require(ModelVersion, version_id, "model version", lock=True)
        row = self._session.get(QueueProgress, (version_id, reviewer_id), populate_existing=True)
        if row is None:
            row = QueueProgress(version_id=version_id, who=reviewer_id, done=0, open_from=0)
            self._session.add(row)
        end = row.open_from + AHEAD
        found = self._first_open(version_id, reviewer_id, row.open_from, end - 1)
        last = select(func.max(Case.queue_order)).where(Case.version_id == version_id)
        total = (self._session.scalar(last) or 0) + 1
        row.open_from = min(end, total) if found is None else found
        self._flush()
        return found is None and end < total

    def _first_open(self, version_id: str, reviewer_id: str, start: int, last: int) -> int | None:
        query = (
            select(Case.queue_order)
            .where(
                Case.version_id == version_id,
                Case.queue_order.between(start, last),
                folds.is_open(reviewer_id, None),
            )
            .order_by(Case.queue_order)
            .limit(1)
        )
        return self._session.scalar(query)

    def _words(self, version_id: str) -> None:
        own = select(Case.id).where(Case.version_id == version_id)
        self._session.execute(delete(CaseWord).where(CaseWord.case_id.in_(own)))
        verdicts = standing_verdicts(Verdict.case_id.in_(own))
        assessments = standing_assessments(Assessment.case_id.in_(own))
        said = union_all(
            select(
                verdicts.c.case_id,
                verdicts.c.reviewer_id,
                literal(1).label("cues"),
                literal(0).label("assessed"),
            ),
            select(assessments.c.case_id, assessments.c.reviewer_id, literal(0), literal(1)),
        ).subquery()
        query = select(
            said.c.case_id,
            said.c.reviewer_id,
            cast(func.sum(said.c.cues), Integer),
            (func.sum(said.c.assessed) > 0).cast(Boolean),
        ).group_by(said.c.case_id, said.c.reviewer_id)
        self._insert_selected(CaseWord, query)

    def _tallies(self, project_id: str, dictionary_hash: str) -> None:
        own = select(Concept.id).where(
            Concept.project_id == project_id, Concept.dictionary_hash == dictionary_hash
        )
        self._session.execute(delete(ConceptTally).where(ConceptTally.concept_id.in_(own)))
        stands = standing_verdicts(Verdict.concept_id.in_(own))
        figures = [
            cast(func.sum(case((stands.c.value == value, 1), else_=0)), Integer)
            for value in TALLIED
        ]
        query = select(stands.c.concept_id, *figures).group_by(stands.c.concept_id)
        self._insert_selected(ConceptTally, query)

    def _insert_selected(self, model: Any, query: Any) -> None:
        columns = [column.name for column in model.__table__.columns]
        with translated():
            self._session.execute(insert(model).from_select(columns, query))
            self._session.expire_all()
