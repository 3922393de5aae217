"""Audit rows of what is said at the desk: one per act, written in the act's own transaction."""

from __future__ import annotations

from db.desk_records import ActRecord, DrawingRecord, NoteRecord
from db.feedback_records import AssessmentRecord, VerdictRecord
from db.unit_of_work import UnitOfWork


def verdict(uow: UnitOfWork, row: VerdictRecord) -> None:
    """A verdict was given."""
    detail = {
        "cue": row.cue_id, "value": row.value, "scope": row.scope, "reason": row.reason,
        "revision": row.revision, "undoes": row.undoes,
    }  # fmt: skip
    uow.audit.append(
        actor=row.reviewer, action="verdict.given", entity="verdict", entity_id=row.id,
        detail=detail, project_id=row.project_id,
    )  # fmt: skip


def assessment(uow: UnitOfWork, row: AssessmentRecord) -> None:
    """A word on a whole case was given."""
    detail = {
        "case": row.case_id, "agree": row.agree, "corrected_label": row.corrected_label,
        "ratings": row.ratings, "blind": row.blind, "revision": row.revision,
    }  # fmt: skip
    uow.audit.append(
        actor=row.reviewer, action="assessment.given", entity="assessment", entity_id=row.id,
        detail=detail, project_id=row.project_id,
    )  # fmt: skip


def drawing(uow: UnitOfWork, row: DrawingRecord, action: str) -> None:
    """A drawing was made or erased."""
    detail = {
        "case": row.case_id, "cue": row.cue_id, "kind": row.kind, "shape": row.shape,
        "points": len(row.points), "removes": row.removes,
    }  # fmt: skip
    uow.audit.append(
        actor=row.reviewer, action=action, entity="drawing", entity_id=row.id, detail=detail,
        project_id=row.project_id,
    )  # fmt: skip


def note(uow: UnitOfWork, row: NoteRecord) -> None:
    """A note was made."""
    uow.audit.append(
        actor=row.reviewer, action="note.made", entity="note", entity_id=row.id,
        detail={"case": row.case_id, "concept": row.concept_id, "kind": row.kind},
        project_id=row.project_id,
    )  # fmt: skip


def undone(uow: UnitOfWork, act: ActRecord) -> None:
    """An act was taken back."""
    uow.audit.append(
        actor=act.reviewer, action=f"{act.kind}.undone", entity=act.kind, entity_id=act.id,
        detail={"case": act.case_id, "cue": act.cue_id, "undoes": act.undoes, "value": act.value},
        project_id=act.project_id,
    )  # fmt: skip


def is_known(uow: UnitOfWork, event_id: str) -> bool:
    """Whether an act of that id was stored before."""
    kinds = (uow.verdicts.find, uow.assessments.find, uow.drawings.find)
    return any(find(event_id) is not None for find in kinds)
