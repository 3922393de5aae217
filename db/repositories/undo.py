"""One stack of acts per reviewer and project: verdicts, assessments and drawings, latest first."""

from typing import assert_never

from db.desk_records import ActKind, ActRecord, DrawingRecord
from db.errors import Conflict
from db.feedback_records import AssessmentRecord, VerdictRecord
from db.models import Reviewer
from db.repositories.assessments import AssessmentRepository
from db.repositories.base import Repository, checked_id
from db.repositories.drawings import DrawingRepository
from db.repositories.verdicts import VerdictRepository

Act = VerdictRecord | AssessmentRecord | DrawingRecord
_KINDS: dict[type[Act], ActKind] = {
    VerdictRecord: "verdict",
    AssessmentRecord: "assessment",
    DrawingRecord: "drawing",
}


class UndoRepository(Repository):
    """Takes acts back by appending; what was taken back stays in the history."""

    def undo(self, *, id: str, reviewer_id: str, project_id: str) -> ActRecord | None:
        """Take back the reviewer's latest act that is not taken back yet.

        What stood before it stands again. Returns the row that was appended, or None where
        nothing is left to undo. Repeat with fresh ids to go further back; the same id again
        returns the stored row. An undo itself is never undone.
        """
        event_id = checked_id(id)
        self._require(Reviewer, reviewer_id, "reviewer", lock=True)
        known = self._find(event_id)
        if known is not None:
            if (known.reviewer_id, known.project_id) != (reviewer_id, project_id) or (
                known.undoes is None
            ):
                raise Conflict(f"event {event_id} is known with other content")
            return _record(known)
        target = self._latest(project_id, reviewer_id)
        return None if target is None else _record(self._take_back(target, event_id))

    def undoable(self, project_id: str, reviewer_id: str) -> ActRecord | None:
        """What `undo` would take back."""
        target = self._latest(project_id, reviewer_id)
        return None if target is None else _record(target)

    def _latest(self, project_id: str, reviewer_id: str) -> Act | None:
        kinds = (VerdictRepository, AssessmentRepository, DrawingRepository)
        heads = [kind(self._session).undoable(project_id, reviewer_id) for kind in kinds]
        found = [head for head in heads if head is not None]
        return max(found, key=lambda act: (act.seq, act.created_at), default=None)

    def _take_back(self, target: Act, event_id: str) -> Act:
        match target:
            case VerdictRecord():
                return VerdictRepository(self._session).take_back(target, event_id)
            case AssessmentRecord():
                return AssessmentRepository(self._session).take_back(target, event_id)
            case DrawingRecord():
                return DrawingRepository(self._session).take_back(target, event_id)
            case _:
                assert_never(target)

    def _find(self, event_id: str) -> Act | None:
        kinds = (VerdictRepository, AssessmentRepository, DrawingRepository)
        found = (kind(self._session).find(event_id) for kind in kinds)
        return next((act for act in found if act is not None), None)


def _record(act: Act) -> ActRecord:
    return ActRecord(
        kind=_KINDS[type(act)],
        id=act.id,
        seq=act.seq,
        project_id=act.project_id,
        case_id=act.case_id,
        cue_id=None if isinstance(act, AssessmentRecord) else act.cue_id,
        reviewer_id=act.reviewer_id,
        reviewer=act.reviewer,
        undoes=act.undoes,
        value=act.value if isinstance(act, VerdictRecord) else None,
        created_at=act.created_at,
    )
