"""The content of a feedback snapshot, schema 2: words, what they say together, whose count.

Plain JSON in one canonical order; probabilities rounded to PLACES, so that the same words give the
same text on every machine. The rules, since they decide what a model learns:

- a cue: the fold of core.evidence over the people's words; a decision (adjudication) is known;
- outcome *tie* under MIN_WEIGHT, *doubted* where the fold contradicts every word on the cue (a lone
  odd word): both are used for nothing;
- a concept: the claim "everywhere" and all its cues, log odds added; in a class: the claim on that
  class (where a person made none, their claim "everywhere") and the cues in cases decided for it;
- drawn places: patches that half of those who drew "here" on a cue took are its region instead of
  the map's; what they called a wrong part is taken away; with nothing left the map's region stays;
- places that no concept shows, called spurious: see evidence_places; the key "places" is only there
  where somebody rejected one, so that older snapshots and new ones without places are alike;
- whoever core.rater_checks finds suspect counts for nothing, drawings included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.consensus import RIGHT, SHARE, WRONG
from core.drawn import drawn_patches
from core.evidence import CORRECT, MISSING, SPURIOUS, Fold, fold, pooled, together
from core.rater_checks import SURE, USEFUL
from dashboard.services.evidence_places import by_person, places_of
from dashboard.services.evidence_said import (
    MIN_WEIGHT,
    PLACES,
    ClaimKey,
    CueKey,
    Said,
    Tables,
    Word,
    numbers,
    tables,
)
from db.feedback_records import DrawingMark, MarkRecord

SCHEMA = 2
PRIOR = {
    "right": RIGHT, "wrong": WRONG, "share": SHARE, "useful": USEFUL, "sure": SURE,
    "min_weight": MIN_WEIGHT,
}  # fmt: skip


def payload_of(dictionary_hash: str, said: Said) -> dict[str, Any]:
    """The whole content; the same words give the same content, in whatever order they came."""
    made = tables(said)
    found = fold(made.statements)
    counted = {who for who, yes in zip(made.people, found.counted_R, strict=True) if yes}
    drawings = _by_cue(said, counted)
    places = places_of(said, found, made.people, counted)
    return {
        "schema": SCHEMA,
        "dictionary_hash": dictionary_hash,
        "prior": PRIOR,
        "cues": [
            _cue(said, found, counted, drawings, row, key) for row, key in enumerate(made.cues)
        ],
        "claims": [
            _claim(said, found, made, made.claims_at + row, key)
            for row, key in enumerate(made.claims)
        ],
        "concepts": _concepts(said, made, found, counted),
        "columns": [
            _column(said, found, made.columns_at + row, name)
            for row, name in enumerate(made.columns)
        ],
        "regions": _regions(said, found, made, counted),
        "raters": [_rater(said, found, r, who) for r, who in enumerate(made.people)],
        # Only where there are some: what was said before there were places hashes as it did.
        **({"places": places} if places else {}),
    }


def words_in(payload: Mapping[str, Any]) -> int:
    """How many words a snapshot holds: verdicts, words on classes and columns, drawings."""
    direct: int = sum(
        word["source"] == "class verdict" for each in payload["claims"] for word in each["words"]
    )
    cues: int = sum(len(cue["verdicts"]) for cue in payload["cues"])
    columns: int = sum(len(each["words"]) for each in payload["columns"])
    return cues + direct + columns + len(payload["regions"])


def _cue(
    said: Said, found: Fold, counted: set[str], drawings: Mapping[CueKey, Sequence[DrawingMark]],
    row: int, key: CueKey,
) -> dict[str, Any]:  # fmt: skip
    marks = list(said.marks.get(key, {}).values())
    words = list(said.votes.get(key, {}).values())
    decided = said.decided.get(key)
    # The latest mark carries region and class: regions come from the dictionary, so all are alike.
    last = marks[-1] if marks else decided
    assert last is not None
    own = drawings.get(key, ())
    drawn_P = _drawn(own, _bits(last), (last.grid_rows, last.grid_cols)) if own else None
    return {
        "image_sha256": key[0],
        "concept": key[1],
        "class": last.prediction,
        "outcome": _outcome(words, decided, found, counted, row),
        "probability": _rounded(found.probability_I[row]),
        "weight": _rounded(found.weight_I[row]),
        "grid": [last.grid_rows, last.grid_cols],
        "region_bits": last.region_bits.hex(),
        "drawn_bits": None if drawn_P is None else np.packbits(drawn_P).tobytes().hex(),
        "decided": None if decided is None else decided.value,
        "verdicts": [_word_entry(word) for word in sorted(words, key=lambda each: each.id)],
    }


def _outcome(
    words: Sequence[Word], decided: MarkRecord | None, found: Fold, counted: set[str], row: int
) -> str:
    """correct, spurious, tie, doubted, unsure, set aside, or not counted."""
    if decided is not None:
        return decided.value
    spoken = [word for word in words if word.number != MISSING]
    if not spoken:
        aside = any(word.value in ("correct", "spurious") for word in words)
        return "set aside" if aside else "unsure"
    if not any(word.reviewer_id in counted for word in spoken):
        return "not counted"
    if found.weight_I[row] < MIN_WEIGHT:
        return "tie"
    if found.against_I[row]:
        return "doubted"
    return "spurious" if found.probability_I[row] > 0.5 else "correct"


def _word_entry(word: Word) -> dict[str, Any]:
    return {
        "id": word.id, "reviewer": word.reviewer_id, "value": word.value, "scope": word.scope,
        "reason": word.reason,
    }  # fmt: skip


def _claim(said: Said, found: Fold, made: Tables, row: int, key: ClaimKey) -> dict[str, Any]:
    direct = {each.word.id for each in said.classes}
    return {
        "concept": key[0],
        "class": key[1],
        "probability": _rounded(found.probability_I[row]),
        "weight": _rounded(found.weight_I[row]),
        "words": [
            _word_entry(word) | {"source": "class verdict" if word.id in direct else "verdict"}
            for word in sorted(made.claims[key].values(), key=lambda each: each.id)
        ],
    }


def _concepts(said: Said, made: Tables, found: Fold, counted: set[str]) -> list[dict[str, Any]]:
    """Every concept that counted words speak of: whatever the class, and per class claimed."""
    rows_of: dict[ClaimKey, list[int]] = {}
    for row, cue in enumerate(made.cues):
        for class_name in (None, _class(said, cue)):
            rows_of.setdefault((cue[1], class_name), []).append(row)
    every = {(concept, None) for concept, _ in (*made.claims, *rows_of)}
    keys = sorted({*made.claims, *every}, key=lambda key: (key[0], key[1] or ""))
    claims = [_claimed(made, key) for key in keys]
    chance_I = found.probability_of(numbers(claims, made.people))[0]
    entries = [
        _concept(said, made, found, counted, key, claimed, float(chance), rows_of.get(key, []))
        for key, claimed, chance in zip(keys, claims, chance_I, strict=True)
    ]
    return [entry for entry in entries if entry["words"]]


def _claimed(made: Tables, key: ClaimKey) -> dict[str, Word]:
    """Person -> word on a claim; who made none on this class is taken by their wider word."""
    own = {who: word for who, word in made.claims.get(key, {}).items() if word.number != MISSING}
    return {**made.claims.get((key[0], None), {}), **own}


def _concept(
    said: Said, made: Tables, found: Fold, counted: set[str], key: ClaimKey,
    claimed: Mapping[str, Word], claim: float, rows: Sequence[int],
) -> dict[str, Any]:  # fmt: skip
    spoke = [row for row in rows if found.weight_I[row] > 0 or _decided(said, made.cues[row])]
    chance = together(claim, pooled(found.probability_I[spoke]))
    claimers = {who for who, word in claimed.items() if who in counted and word.number != MISSING}
    voices = [
        who
        for row in rows
        for who, word in said.votes.get(made.cues[row], {}).items()
        if who in counted and word.number != MISSING
    ]
    decided = sum(_decided(said, made.cues[row]) for row in rows)
    return {
        "concept": key[0],
        "class": key[1],
        "scope": "class" if key[1] is not None else "everywhere" if claimers else "here",
        "probability": _rounded(chance),
        "weight": _rounded(abs(2 * chance - 1)),
        "words": len(claimers) + len(voices) + decided,
        "people": len(claimers | set(voices)),
    }


def _class(said: Said, key: CueKey) -> str:
    votes = said.marks.get(key)
    last = list(votes.values())[-1] if votes else said.decided[key]
    return last.prediction


def _decided(said: Said, key: CueKey) -> bool:
    decided = said.decided.get(key)
    return decided is not None and decided.value in ("correct", "spurious")


def _column(said: Said, found: Fold, row: int, name: str) -> dict[str, Any]:
    weight, chance = float(found.weight_I[row]), float(found.probability_I[row])
    words = [each for each in said.columns if each.column_name == name]
    return {
        "column": name,
        "probability": _rounded(chance),
        "weight": _rounded(weight),
        "outcome": "tie" if weight < MIN_WEIGHT else ("correct", "spurious")[chance > 0.5],
        "words": [
            {"id": w.id, "reviewer": w.reviewer_id, "value": w.value, "reason": w.reason}
            for w in words
        ],
    }


def _regions(said: Said, found: Fold, made: Tables, counted: set[str]) -> list[dict[str, Any]]:
    """Every drawing of somebody who counts, as patches; weight: how often that person is right."""
    right_R = found.confusion_RKK[:, (CORRECT, SPURIOUS), (CORRECT, SPURIOUS)].mean(axis=1)
    entries = []
    for drawing in said.drawings:
        if drawing.reviewer_id not in counted or said.grid is None:
            continue
        patches_P = drawn_patches(drawing.shape, drawing.points, said.grid)
        entries.append(
            {
                "id": drawing.drawing_id,
                "image_sha256": drawing.image_sha256,
                "concept": drawing.concept,
                "kind": drawing.kind,
                "grid": list(said.grid),
                "bits": np.packbits(patches_P).tobytes().hex(),
                "weight": _rounded(right_R[made.people.index(drawing.reviewer_id)]),
                "reviewer": drawing.reviewer_id,
            }
        )
    return entries


def _by_cue(said: Said, counted: set[str]) -> dict[CueKey, list[DrawingMark]]:
    """Drawings of people who count, by the cue they speak of."""
    found: dict[CueKey, list[DrawingMark]] = {}
    for each in said.drawings:
        if each.concept is not None and each.reviewer_id in counted:
            found.setdefault((each.image_sha256, each.concept), []).append(each)
    return found


def _drawn(
    drawings: Sequence[DrawingMark], region_P: NDArray[np.bool_], grid: tuple[int, int]
) -> NDArray[np.bool_] | None:
    """The cue's region as people drew it; None where nothing would be left of it."""
    here = _patches(drawings, "here", grid)
    wrong = _patches(drawings, "wrong-part", grid)
    if not here and not wrong:
        return None
    kept_P = np.mean(list(here.values()), axis=0) >= 0.5 if here else region_P.copy()
    for taken_P in wrong.values():
        kept_P &= ~taken_P
    return kept_P if kept_P.any() else None


def _patches(
    drawings: Sequence[DrawingMark], kind: str, grid: tuple[int, int]
) -> dict[str, NDArray[np.bool_]]:
    """Person -> patches that they drew, all their drawings of a kind together."""
    return by_person(
        (each, drawn_patches(each.shape, each.points, grid))
        for each in drawings
        if each.kind == kind
    )


def _rater(said: Said, found: Fold, r: int, who: str) -> dict[str, Any]:
    checked = found.checks[r]
    votes = [own[who] for own in said.votes.values() if who in own]
    alike, repeated = said.repeats.get(who, (0, 0))
    return {
        "reviewer_id": who,
        "reviewer": said.people[who],
        "words": checked.words,
        "unsure": sum(word.value == "unsure" for word in votes),
        "compared": checked.compared,
        "right_spurious": _rounded(checked.right_spurious),
        "right_correct": _rounded(checked.right_correct),
        "informedness": _rounded(checked.informedness),
        "status": checked.status,
        "certainty": _rounded(checked.certainty),
        "counted": bool(found.counted_R[r]),
        "repeats": [alike, repeated],
    }


def region_of(bits: str, grid: Sequence[int]) -> NDArray[np.bool_]:
    """Patches from packed bits in hex, bool [P], row-major."""
    packed = np.frombuffer(bytes.fromhex(bits), dtype=np.uint8)
    return np.unpackbits(packed, count=int(grid[0]) * int(grid[1])).astype(np.bool_)


def _bits(mark: MarkRecord) -> NDArray[np.bool_]:
    return region_of(mark.region_bits.hex(), (mark.grid_rows, mark.grid_cols))


def _rounded(value: Any) -> Any:
    return None if value is None else round(float(value), PLACES)
