"""Verdicts folded into a frozen, hashed feedback snapshot, and read back as marks for a run.

The fold, written out because it decides what a model learns:
- Only standing verdicts count. A reviewer who judged the same concept in the same image under
  several versions of one dictionary counts once, with the latest word.
- *unsure* is an abstention. Among *correct* and *spurious* the majority of the reviewers decides
  each cue; on a tie the cue is not used.
- A verdict whose reason is "wrong region" or "wrong name" says that the explanation is at fault,
  not the cue: it is recorded in the snapshot and set aside, and teaches no detector.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from db.feedback_records import MarkRecord, SnapshotRecord, VerdictRecord
from db.unit_of_work import UnitOfWork

SCHEMA = 1
SET_ASIDE_REASONS = frozenset({"wrong region", "wrong name"})
Outcome = Literal["correct", "spurious", "tie", "set aside", "unsure"]


@dataclass(frozen=True)
class FeedbackMark:
    """One cue on which the reviewers agree."""

    image_sha256: str
    concept: int
    value: Literal["correct", "spurious"]
    region_P: NDArray[np.bool_]
    grid: tuple[int, int]


def majority(votes: Sequence[str]) -> str | None:
    """The value with strictly the most votes; None on a tie or without votes.

    >>> majority(["spurious", "spurious", "correct"])
    'spurious'
    >>> majority(["spurious", "correct"]) is None
    True
    """
    counts = sorted(((votes.count(value), value) for value in set(votes)), reverse=True)
    if not counts or (len(counts) > 1 and counts[0][0] == counts[1][0]):
        return None
    return counts[0][1]


def build_payload(
    dictionary_hash: str, marks: Iterable[MarkRecord], order: Mapping[str, int]
) -> dict[str, Any]:
    """The snapshot's content, in one canonical order.

    Args:
        marks: standing verdicts with their regions, *unsure* ones included.
        order: verdict id -> the store's sequence number, larger is later.
    """
    by_cue: dict[tuple[str, int], dict[str, MarkRecord]] = {}
    for mark in sorted(marks, key=lambda m: order.get(m.verdict_id, 0)):
        # A later verdict of the same reviewer on the same image and concept replaces the earlier.
        by_cue.setdefault((mark.image_sha256, mark.concept), {})[mark.reviewer_id] = mark
    cues = [_cue_entry(list(votes.values())) for _, votes in sorted(by_cue.items())]
    return {"schema": SCHEMA, "dictionary_hash": dictionary_hash, "cues": cues}


def _cue_entry(marks: Sequence[MarkRecord]) -> dict[str, Any]:
    votes = [m.value for m in marks if not _set_aside(m)]
    # The latest mark carries the region: regions come from the dictionary, so all are alike.
    last = marks[-1]
    return {
        "image_sha256": last.image_sha256,
        "concept": last.concept,
        "outcome": _outcome(marks, votes),
        "grid": [last.grid_rows, last.grid_cols],
        "region_bits": last.region_bits.hex(),
        "verdicts": sorted(
            (
                {"id": m.verdict_id, "value": m.value, "scope": m.scope, "reason": m.reason}
                for m in marks
            ),
            key=lambda entry: str(entry["id"]),
        ),
    }


def _set_aside(mark: MarkRecord) -> bool:
    return mark.reason in SET_ASIDE_REASONS


def _outcome(marks: Sequence[MarkRecord], votes: Sequence[str]) -> Outcome:
    decided = [value for value in votes if value in ("correct", "spurious")]
    if not decided:
        return "set aside" if any(_set_aside(m) for m in marks) else "unsure"
    match majority(decided):
        case "correct":
            return "correct"
        case "spurious":
            return "spurious"
        case _:
            return "tie"


def canonical_json(payload: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no spaces: the same content always gives the same text."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), allow_nan=False)


def payload_hash(payload: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON."""
    return hashlib.sha256(canonical_json(payload).encode("utf-8")).hexdigest()


def take_snapshot(uow: UnitOfWork, project_id: str, dictionary_hash: str) -> SnapshotRecord:
    """Folds what stands now and stores it once; the same verdicts give the same row."""
    marks = uow.verdicts.marks(
        project_id, dictionary_hash, values=("correct", "spurious", "unsure")
    )
    rows: tuple[VerdictRecord, ...] = uow.verdicts.standing_of_project(
        project_id, dictionary_hash=dictionary_hash
    )
    payload = build_payload(dictionary_hash, marks, {row.id: row.seq for row in rows})
    used = sum(len(cue["verdicts"]) for cue in payload["cues"])
    return uow.snapshots.add(project_id, hash=payload_hash(payload), payload=payload, verdicts=used)


def marks_of(payload: Mapping[str, Any]) -> tuple[FeedbackMark, ...]:
    """The decided cues of a snapshot with a region, in the snapshot's order."""
    found = []
    for cue in payload["cues"]:
        if cue["outcome"] not in ("correct", "spurious"):
            continue
        rows, cols = (int(n) for n in cue["grid"])
        bits = np.frombuffer(bytes.fromhex(cue["region_bits"]), dtype=np.uint8)
        region_P = np.unpackbits(bits, count=rows * cols).astype(np.bool_)
        if region_P.any():
            found.append(
                FeedbackMark(
                    cue["image_sha256"], int(cue["concept"]), cue["outcome"], region_P, (rows, cols)
                )
            )
    return tuple(found)


def rejected_concepts(payload: Mapping[str, Any]) -> tuple[int, ...]:
    """Concepts that were called spurious in more cues than correct, in rising order."""
    score: dict[int, int] = {}
    for cue in payload["cues"]:
        step = {"spurious": 1, "correct": -1}.get(cue["outcome"], 0)
        score[int(cue["concept"])] = score.get(int(cue["concept"]), 0) + step
    return tuple(sorted(concept for concept, value in score.items() if value > 0))
