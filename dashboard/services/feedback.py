"""Feedback snapshots: what people said, frozen and hashed, and read back as evidence for a run.

The door to evidence_said (gathering), evidence_payload and evidence_places (the content and its
rules) and evidence (reading). Standing words only: verdicts, decisions, words on classes and
metadata columns, drawings. *Unsure* is an abstention; reasons "wrong region" and "wrong name" speak
of the explanation and change no weight, nor do corrected names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from dashboard.services.evidence import (
    ColumnEvidence,
    ConceptEvidence,
    EvidenceSet,
    FeedbackMark,
    RaterEvidence,
    RegionEvidence,
    evidence_of,
    marks_of,
    rejected_of,
)
from dashboard.services.evidence_payload import SCHEMA, payload_of, words_in
from dashboard.services.evidence_said import MIN_WEIGHT, SET_ASIDE_REASONS, gather, said_of
from db.feedback_records import MarkRecord, SnapshotRecord
from db.unit_of_work import UnitOfWork

__all__ = [
    "MIN_WEIGHT",
    "SCHEMA",
    "SET_ASIDE_REASONS",
    "ColumnEvidence",
    "ConceptEvidence",
    "EvidenceSet",
    "FeedbackMark",
    "RaterEvidence",
    "RegionEvidence",
    "build_payload",
    "canonical_json",
    "current_payload",
    "evidence_of",
    "marks_of",
    "payload_hash",
    "rejected_concepts",
    "take_snapshot",
]


def build_payload(
    dictionary_hash: str, marks: Iterable[MarkRecord], order: Mapping[str, int], **more: Any
) -> dict[str, Any]:
    """The snapshot's content from plain records, in one canonical order.

    Args:
        marks: standing verdicts with their regions, *unsure* ones included.
        order: verdict id -> the store's sequence number, larger is later.
        more: decisions, words on classes and columns, drawings, grid; see `said_of`.
    """
    return payload_of(dictionary_hash, said_of(marks, order, **more))


def current_payload(uow: UnitOfWork, project_id: str, dictionary_hash: str) -> dict[str, Any]:
    """What a snapshot taken now would hold. Reads only."""
    return payload_of(dictionary_hash, gather(uow, project_id, dictionary_hash))


def take_snapshot(uow: UnitOfWork, project_id: str, dictionary_hash: str) -> SnapshotRecord:
    """Folds what stands now and stores it once; the same words give the same row."""
    payload = current_payload(uow, project_id, dictionary_hash)
    return uow.snapshots.add(
        project_id, hash=payload_hash(payload), payload=payload, verdicts=words_in(payload)
    )


def rejected_concepts(payload: Mapping[str, Any]) -> tuple[int, ...]:
    """Concepts that people are clear are spurious, at least in one class, in rising order."""
    return rejected_of(payload)


def canonical_json(payload: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no spaces: the same content always gives the same text."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)


def payload_hash(payload: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON."""
    return hashlib.sha256(canonical_json(payload).encode("utf-8")).hexdigest()
