"""Rows of the queue as a reviewer may see them: what the project hides is blanked here."""

from __future__ import annotations

from dataclasses import replace

from dashboard.services import blinding
from dashboard.services.case_view import assessment_view
from dashboard.services.permute import for_reviewer
from dashboard.services.project_settings import ProjectSettings
from dashboard.viewmodels.queue import QueueFilter, QueueRow
from db.desk_records import QueueRecord, QueueSlice
from db.unit_of_work import UnitOfWork


def told_filters(filters: QueueFilter, rules: ProjectSettings) -> QueueFilter:
    """The filters without those that would tell what is hidden."""
    if "labels" in rules.blind:
        filters = replace(filters, search="", label="")
    if "prediction" in rules.blind:
        filters = replace(filters, prediction="")
    if rules.blind & {"labels", "prediction"}:
        filters = replace(filters, reason="")
    return filters


def queue_rows(
    uow: UnitOfWork, found: QueueSlice, reviewer_id: str, rules: ProjectSettings, total: int
) -> tuple[QueueRow, ...]:
    """The rows as listed, numbered in the reviewer's own order."""
    shuffled = for_reviewer(total, rules.seed, reviewer_id) if rules.order == "random" else None
    rows = []
    for item in found.items:
        hidden = _hidden(uow, item, reviewer_id, rules)
        place = shuffled.place(item.queue_order) if shuffled else item.queue_order
        rows.append(_row(item, place + 1, hidden))
    return tuple(rows)


def _hidden(
    uow: UnitOfWork, item: QueueRecord, reviewer_id: str, rules: ProjectSettings
) -> frozenset[str]:
    """What is hidden of one case in a list: everything until the word on the case is in."""
    if not rules.blind or not item.done:
        return frozenset(rules.blind)
    word = uow.assessments.standing(item.case_id, reviewer_id)
    return blinding.hidden_now(rules.blind, assessment_view(word) if word else None)


def _row(item: QueueRecord, position: int, hidden: frozenset[str]) -> QueueRow:
    unseen = "prediction" in hidden
    return QueueRow(
        case_id=item.case_id,
        position=position,
        image_name=blinding.image_name(item.relpath, item.image_id, hidden),
        label=None if "labels" in hidden else item.label,
        split=item.split,
        prediction="" if unseen else item.prediction,
        confidence=0.0 if unseen else item.confidence,
        done=item.done,
        reason="" if hidden & {"prediction", "labels"} else item.reason,
        held_by=item.held_by,
        marks=item.marks,
        assigned_to=item.assigned_to,
        reviewers=item.words,
        wanted=item.wanted,
    )
