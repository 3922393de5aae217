"""A pinned case as plain JSON: what is frozen, and how it is shown again. Pure.

Names, figures, maps, everybody's verdicts and the right answers are kept with the pin, so that a
collection teaches the same years later, whatever was renamed, judged or refitted since. Only the
image stays where it is (its hash is kept).

The right answer for a cue (its reference) is what was adjudicated; else what most people said; else
what the only person said. "Unsure" is never one: a newcomer is not asked what nobody knows.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, cast

from dashboard.services.blinding import image_name
from dashboard.services.case_view import letter
from dashboard.viewmodels.desk import RegionView
from dashboard.viewmodels.studies import PinnedCueView, PinnedWordView, PinView, Source
from db.desk_records import PinRecord
from db.feedback_records import AssessmentRecord, VerdictRecord
from db.people import named, person_key
from db.records import CaseRecord, CueRecord, VersionRecord

FORMAT = 1
ANSWERS = ("correct", "spurious")
MAX_MAP = 1 << 24  # bytes of an unpacked map; a stored one is never near it


def freeze(
    case: CaseRecord,
    version: VersionRecord,
    cues: Sequence[CueRecord],
    *,
    narrative: str,
    verdicts: Iterable[VerdictRecord],
    assessments: Iterable[AssessmentRecord],
    decided: Mapping[str, str],
) -> dict[str, Any]:
    """Everything that a pin keeps.

    Args:
        verdicts, assessments: that stand, of everybody.
        decided: adjudicated words by cue id and by case id.
    """
    by_cue: dict[str, list[VerdictRecord]] = {}
    for verdict in verdicts:
        if verdict.value != "withdrawn":
            by_cue.setdefault(verdict.cue_id, []).append(verdict)
    return {
        "format": FORMAT,
        "image_id": case.image.id,
        "image_name": case.image.relpath,
        "image_sha256": case.image.sha256,
        "label": case.image.label,
        "prediction": case.prediction,
        "confidence": case.confidence,
        "narrative": narrative,
        "version": version.hash,
        "classes": list(version.classes),
        "cues": [
            _frozen_cue(cue, rank, by_cue.get(cue.id, []), decided.get(cue.id))
            for rank, cue in enumerate(cues)
        ],
        "reference_label": _label(case, list(assessments), decided.get(case.id)),
    }


def frozen_hash(frozen: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON."""
    text = json.dumps(frozen, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def thaw(row: PinRecord) -> PinView:
    """A pin as shown."""
    kept = named(row.frozen, row.people)
    return PinView(
        id=row.id,
        collection_id=row.collection_id,
        case_id=row.case_id,
        note=row.note,
        by=row.reviewer,
        at=row.created_at,
        image_id=kept["image_id"],
        image_name=kept["image_name"],
        label=kept["label"],
        prediction=kept["prediction"],
        confidence=kept["confidence"],
        narrative=kept["narrative"],
        version_hash=kept["version"],
        cues=tuple(map(_thawed_cue, kept["cues"])),
        reference_label=kept["reference_label"],
        frozen_hash=frozen_hash(row.frozen),
    )


def veiled(pin: PinView, hidden: Set[str]) -> PinView:
    """The pin without what a blind project hides of its case from this reviewer for now.

    The note and others' words would tell it as well, so they go with the rest.
    """
    if not hidden:
        return pin
    cues = tuple(replace(cue, words=(), reference=None, source=None) for cue in pin.cues)
    shown = replace(
        pin, cues=cues, note="", reference_label=None, frozen_hash="", hidden=frozenset(hidden)
    )
    if "model" in hidden:
        shown = replace(shown, version_hash="")
    if "labels" in hidden:
        name = image_name(pin.image_name, pin.frozen_hash, hidden)
        shown = replace(shown, label=None, image_name=name)
    if "prediction" in hidden:
        unsigned = tuple(replace(cue, contribution=0.0, causal_effect=0.0) for cue in shown.cues)
        shown = replace(shown, prediction="", confidence=0.0, narrative="", cues=unsigned)
    return shown


def reference(words: Sequence[str], decided: str | None) -> tuple[str | None, Source | None]:
    """The right answer among what people said of one cue, and where it comes from.

    >>> reference(["spurious", "spurious", "correct"], None)
    ('spurious', 'majority')
    >>> reference(["spurious", "correct"], None), reference(["spurious", "unsure"], "correct")
    ((None, None), ('correct', 'adjudicated'))
    """
    if decided is not None:
        return (decided, "adjudicated") if decided in ANSWERS else (None, None)
    said = Counter(word for word in words if word in ANSWERS).most_common()
    if not said or (len(said) > 1 and said[0][1] == said[1][1]):
        return None, None
    return said[0][0], "majority" if said[0][1] > 1 else "one person"


def _frozen_cue(
    cue: CueRecord, rank: int, verdicts: Sequence[VerdictRecord], decided: str | None
) -> dict[str, Any]:
    answer, source = reference([verdict.value for verdict in verdicts], decided)
    return {
        "id": cue.id,
        "letter": letter(rank),
        "name": cue.shown_name,
        "concept": cue.number,
        "contribution": cue.contribution,
        "causal_effect": cue.causal_effect,
        "grid": [cue.grid_rows, cue.grid_cols],
        "map": base64.b64encode(zlib.compress(cue.map_u8, 9)).decode(),
        "regions": [[r.x0, r.y0, r.x1, r.y1, r.area] for r in cue.regions],
        "words": [
            {
                "reviewer": person_key(each.reviewer_id),
                "value": each.value,
                "scope": each.scope,
                "reason": each.reason,
                "comment": each.comment,
            }
            for each in verdicts
        ],
        "reference": answer,
        "source": source,
    }


def _thawed_cue(kept: Mapping[str, Any]) -> PinnedCueView:
    rows, columns = kept["grid"]
    unpacked = zlib.decompressobj().decompress(base64.b64decode(kept["map"]), MAX_MAP)
    return PinnedCueView(
        id=kept["id"],
        letter=kept["letter"],
        name=kept["name"],
        contribution=kept["contribution"],
        causal_effect=kept["causal_effect"],
        grid=(rows, columns),
        map_u8=unpacked,
        regions=tuple(RegionView(*box) for box in kept["regions"]),
        words=tuple(PinnedWordView(**word) for word in kept["words"]),
        reference=kept["reference"],
        source=cast("Source | None", kept["source"]),
    )


def _label(
    case: CaseRecord, assessments: Sequence[AssessmentRecord], decided: str | None
) -> str | None:
    """The true class: as adjudicated, as most people say, else as it came with the image."""
    if decided is not None:
        return decided
    said = Counter(
        each.corrected_label or case.prediction
        for each in assessments
        if each.corrected_label is not None or each.agree
    ).most_common()
    if said and (len(said) == 1 or said[0][1] > said[1][1]):
        return said[0][0]
    return case.image.label
