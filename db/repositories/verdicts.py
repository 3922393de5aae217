"""Verdicts: appending, undoing and folding. Bulk reading for runs and exports: verdict_reads.py."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, exists, select
from sqlalchemy.orm import aliased

from db.errors import Conflict, InvalidValue, NotFound, StaleWrite
from db.feedback_records import VerdictRecord
from db.models import Case, Cue, Reviewer, Verdict
from db.records import Scope, VerdictValue, utc_now
from db.repositories.base import AnySelect, build, checked_id, checked_word, cleaned, same_content
from db.repositories.counters import Counters
from db.repositories.verdict_reads import VerdictReads


class VerdictRepository(VerdictReads):
    """What experts said of cues. Nothing is ever changed: a later row supersedes."""

    def append(
        self,
        *,
        id: str,
        cue_id: str,
        reviewer_id: str,
        value: VerdictValue,
        based_on: int,
        scope: Scope = "here",
        reason: str | None = None,
        comment: str = "",
        undoes: str | None = None,
        created_at: datetime | None = None,
    ) -> VerdictRecord:
        """Append a verdict; it stands from now on for this reviewer and cue.

        Args:
            id: made by the client; the same id and content again returns the stored row.
            based_on: revision of the reviewer's verdict that stood (0 = none).
            undoes: id of the verdict that this one takes back; each can be taken back once.
            created_at: when it was given (imports); by default now, strictly later than the
                reviewer's former one.

        Raises StaleWrite where another revision stands, Conflict where the id came with other
        content, NotFound for an unknown cue, reviewer or undone verdict.
        """
        content: dict[str, Any] = {
            "cue_id": cue_id,
            "reviewer_id": reviewer_id,
            "value": checked_word(value, VerdictValue, "verdict"),
            "scope": checked_word(scope, Scope, "scope"),
            "reason": None if reason is None else cleaned(reason),
            "comment": cleaned(comment),
            "undoes": undoes,
        }
        verdict_id = checked_id(id)
        # Writers to one cue queue up here, so the revision read below cannot be overtaken.
        cue = self._part("cue", cue_id, Cue.case_id, Cue.concept_id, lock=True)
        stored = self._repeated(verdict_id, content)
        if stored is not None:
            return stored
        current, stood = self._stands(cue_id, reviewer_id)
        if based_on != current:
            raise StaleWrite("verdict", based_on, current)
        if undoes is not None and self.get(undoes).cue_id != cue_id:
            raise InvalidValue("a verdict can only take back one on the same cue")
        self._require(Reviewer, reviewer_id, "reviewer")
        project_id = self._part("case", cue.case_id, Case.project_id).project_id
        self._insert_event(
            Verdict(
                id=verdict_id,
                case_id=cue.case_id,
                concept_id=cue.concept_id,
                project_id=project_id,
                revision=current + 1,
                created_at=created_at or self._next_time(project_id, reviewer_id),
                **content,
            )
        )
        Counters(self._session).verdict_changed(
            case_id=cue.case_id,
            concept_id=cue.concept_id,
            reviewer_id=reviewer_id,
            before=stood,
            now=value,
        )
        return self.get(verdict_id)

    def undo(self, *, id: str, reviewer_id: str, project_id: str) -> VerdictRecord | None:
        """Take back the reviewer's latest verdict that is not taken back yet.

        Appends what stood before it on that cue ("withdrawn" where nothing did) and returns
        it; None where nothing is left to undo. Repeat with fresh ids to go further back; the
        same id again returns the stored row.
        """
        event_id = checked_id(id)
        self._require(Reviewer, reviewer_id, "reviewer", lock=True)
        stored = self.find(event_id)
        if stored is not None:
            return self._same_undo(stored, reviewer_id, project_id)
        target = self.undoable(project_id, reviewer_id)
        if target is None:
            return None
        return self.take_back(target, event_id)

    def take_back(self, target: VerdictRecord, event_id: str) -> VerdictRecord:
        """Append what stood before `target`, the reviewer's latest act; StaleWrite if it is not."""
        cue_id, reviewer_id = target.cue_id, target.reviewer_id
        self._part("cue", cue_id, Cue.id, lock=True)
        current, _stood = self._stands(cue_id, reviewer_id)
        if self.undoable(target.project_id, reviewer_id) != target:
            raise StaleWrite("verdict", target.revision, current)
        before = self._at_revision(cue_id, reviewer_id, target.revision - 1)
        return self.append(
            id=event_id,
            cue_id=cue_id,
            reviewer_id=reviewer_id,
            based_on=current,
            value="withdrawn" if before is None else before.value,
            scope="here" if before is None else before.scope,
            reason=None if before is None else before.reason,
            comment="" if before is None else before.comment,
            undoes=target.id,
        )

    def get(self, verdict_id: str) -> VerdictRecord:
        """The verdict event of that id, or NotFound."""
        found = self.find(verdict_id)
        if found is None:
            raise NotFound("verdict", verdict_id)
        return found

    def undoable(self, project_id: str, reviewer_id: str) -> VerdictRecord | None:
        """What `undo` would take back: the latest event that is no undo and not undone."""
        taker = aliased(Verdict)
        query = _events().where(
            Verdict.project_id == project_id,
            Verdict.reviewer_id == reviewer_id,
            Verdict.undoes.is_(None),
            ~exists().where(taker.undoes == Verdict.id),
        )
        return self._first(query.order_by(Verdict.seq.desc()))

    def latest(self, project_id: str, reviewer_id: str) -> VerdictRecord | None:
        """The reviewer's latest event in a project, undos included."""
        query = _events().where(
            Verdict.project_id == project_id, Verdict.reviewer_id == reviewer_id
        )
        return self._first(query.order_by(Verdict.seq.desc()))

    def by_reviewer(self, project_id: str, reviewer_id: str) -> tuple[VerdictRecord, ...]:
        """Every event of a reviewer in a project, in the order of being given."""
        query = _events().where(
            Verdict.project_id == project_id, Verdict.reviewer_id == reviewer_id
        )
        return self._all(query.order_by(Verdict.seq))

    def history(self, cue_id: str, reviewer_id: str | None = None) -> tuple[VerdictRecord, ...]:
        """Every event on a cue (of one reviewer), oldest first."""
        query = _events().where(Verdict.cue_id == cue_id)
        if reviewer_id is not None:
            query = query.where(Verdict.reviewer_id == reviewer_id)
        return self._all(query.order_by(Verdict.seq))

    def _same_undo(self, stored: VerdictRecord, reviewer_id: str, project_id: str) -> VerdictRecord:
        if (stored.reviewer_id, stored.project_id) != (reviewer_id, project_id) or (
            stored.undoes is None
        ):
            raise Conflict(f"verdict {stored.id} is known with other content")
        return stored

    def _repeated(self, verdict_id: str, content: dict[str, Any]) -> VerdictRecord | None:
        stored = self.find(verdict_id)
        if stored is not None and not same_content(stored, content):
            raise Conflict(f"verdict {verdict_id} is known with other content")
        return stored

    def _stands(self, cue_id: str, reviewer_id: str) -> tuple[int, str]:
        """Revision and value that stand: 0 and "withdrawn" where nothing was said."""
        query = (
            select(Verdict.revision, Verdict.value)
            .where(Verdict.cue_id == cue_id, Verdict.reviewer_id == reviewer_id)
            .order_by(Verdict.revision.desc())
            .limit(1)
        )
        row = self._session.execute(query).one_or_none()
        return (0, "withdrawn") if row is None else (row.revision, row.value)

    def _at_revision(self, cue_id: str, reviewer_id: str, revision: int) -> VerdictRecord | None:
        return self._first(
            _events().where(
                Verdict.cue_id == cue_id,
                Verdict.reviewer_id == reviewer_id,
                Verdict.revision == revision,
            )
        )

    def _next_time(self, project_id: str, reviewer_id: str) -> datetime:
        """Now, or a microsecond after the reviewer's former verdict if the clock lags."""
        former = self.latest(project_id, reviewer_id)
        now = utc_now()
        return now if former is None else max(now, former.created_at + timedelta(microseconds=1))

    def find(self, verdict_id: str) -> VerdictRecord | None:
        """The verdict event of that id, if there is one."""
        return self._first(_events().where(Verdict.id == verdict_id))

    def _first(self, query: AnySelect) -> VerdictRecord | None:
        row = self._session.execute(query.limit(1)).one_or_none()
        return None if row is None else _record(row)

    def _all(self, query: AnySelect) -> tuple[VerdictRecord, ...]:
        return tuple(_record(row) for row in self._session.execute(query))


def _events() -> AnySelect:
    return select(Verdict, Reviewer.name.label("reviewer_name")).join(Verdict.reviewer)


def _record(row: Row[Any]) -> VerdictRecord:
    return build(VerdictRecord, row.Verdict, reviewer=row.reviewer_name)
