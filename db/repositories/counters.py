"""Counters beside the folds: who gave a word on which case, progress, tallies of concepts.

They hold nothing that the events do not say: whoever appends an event keeps them in the same
transaction, `recount` works them out anew, and property tests compare them with the folds.
"""

from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.models import Base, Case, CaseWord, ConceptTally, ModelVersion, QueueProgress
from db.repositories.base import Repository, translated

TEAM = "team"
_PLACE = (Case.id, Case.version_id, Case.queue_order, Case.wanted)
TALLIED = ("correct", "spurious", "unsure")


class Counters(Repository):
    """Keeps the counters; called by the repositories that append events."""

    def verdict_changed(
        self, *, case_id: str, concept_id: str, reviewer_id: str, before: str, now: str
    ) -> None:
        """A reviewer's standing word on a cue moved ("withdrawn" = none)."""
        if before == now:
            return
        moves = dict.fromkeys(TALLIED, 0) | {before: -1, now: 1}
        moves.pop("withdrawn", None)
        self._add(ConceptTally, {"concept_id": concept_id}, moves)
        change = (now != "withdrawn") - (before != "withdrawn")
        if change:
            self._word(case_id, reviewer_id, cues=change)

    def assessment_changed(self, *, case_id: str, reviewer_id: str, says: bool) -> None:
        """A reviewer's standing assessment says something, or no longer does."""
        self._word(case_id, reviewer_id, assessed=says)

    def opened(self, version_id: str, queue_order: int) -> None:
        """A case may be open again for somebody: no search may start behind it."""
        self._require(ModelVersion, version_id, "model version", lock=True)
        query = update(QueueProgress).where(
            QueueProgress.version_id == version_id, QueueProgress.open_from > queue_order
        )
        with translated():
            self._session.execute(query.values(open_from=queue_order))

    def _word(
        self, case_id: str, reviewer_id: str, *, cues: int = 0, assessed: bool | None = None
    ) -> None:
        case = self._part("case", case_id, *_PLACE, lock=True)
        key = {"case_id": case_id, "reviewer_id": reviewer_id}
        row = self._session.get(CaseWord, key, populate_existing=True)
        had = row is not None
        if row is None:
            row = CaseWord(**key, cues=0, assessed=False)
        row.cues += cues
        row.assessed = row.assessed if assessed is None else assessed
        has = row.cues > 0 or row.assessed
        if has and not had:
            self._session.add(row)
        elif had and not has:
            self._session.delete(row)
        self._flush()
        if had != has:
            self._moved(case, reviewer_id, has)

    def _moved(self, case: Row[Any], reviewer_id: str, has: bool) -> None:
        """The reviewer's first word on a case, or the last one gone."""
        step = 1 if has else -1
        if has:  # together with others, but not while the counters are worked out anew
            shared = select(ModelVersion.id).where(ModelVersion.id == case.version_id)
            self._session.execute(shared.with_for_update(read=True))
        else:
            self.opened(case.version_id, case.queue_order)
        count = select(func.count()).select_from(CaseWord).where(CaseWord.case_id == case.id)
        now = self._session.scalar(count) or 0
        self._progress(case.version_id, reviewer_id, step)
        self._progress(case.version_id, TEAM, (now >= case.wanted) - (now - step >= case.wanted))

    def _progress(self, version_id: str, who: str, step: int) -> None:
        if step:
            key = {"version_id": version_id, "who": who, "open_from": 0}
            self._add(QueueProgress, key, {"done": step})

    def _add(self, model: type[Base], key: dict[str, Any], moves: dict[str, int]) -> None:
        """Add to the figures of one row, made if it is missing; one statement, no lost count."""
        server = self._session.get_bind().dialect.name == "postgresql"
        query: Any = (postgresql if server else sqlite).insert(model).values(**key, **moves)
        primary = [column.name for column in model.__table__.primary_key]
        figures = {name: getattr(model, name) + query.excluded[name] for name in moves}
        with translated():
            self._session.execute(query.on_conflict_do_update(index_elements=primary, set_=figures))
