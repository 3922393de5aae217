"""Places that people rejected where no concept shows what they mean: what they say together.

Somebody draws a box or lasso and says that it must not count. The rules:

- drawings of one image are of one place where they share half of the smaller one (and so on, from
  drawing to drawing); its patches are those that half of the people who drew it took;
- the words on a place are "spurious" of whoever drew it, and "correct" of whoever drew a sign over
  it (half of the smaller one shared): a missed sign, "look here", or "here" on a cue that the same
  person calls correct. Who rejects a place does not speak for it;
- its probability comes from the reliabilities of the snapshot's one fold, as for further items; the
  weight is |2p - 1|, as of cues, and under MIN_WEIGHT the place is a tie, used for nothing. So one
  person's place weighs what that person's words are worth. A place is never "correct".

Legend: P patches; N places; R people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.drawn import drawn_patches
from core.evidence import CORRECT, MISSING, SPURIOUS, Fold
from dashboard.services.evidence_said import MIN_WEIGHT, PLACES, Said
from db.feedback_records import DrawingMark

KIND = "spurious"
SIGNS = ("missed", "here")
"""Kinds of drawings that say that something is a sign."""
SHARED = 0.5
"""Share of the smaller of two drawings that both must take to speak of one place."""
Drawn = tuple[DrawingMark, NDArray[np.bool_]]
"""A drawing with its patches, bool [P]."""


@dataclass(eq=False)
class Place:
    """One rejected place, with the drawings behind it."""

    image_sha256: str
    region_P: NDArray[np.bool_]
    ids: list[str] = field(default_factory=list)  # of the drawings, rising
    people: set[str] = field(default_factory=set)  # who rejected it
    against: set[str] = field(default_factory=set)  # who drew a sign over it


def places_of(
    said: Said, found: Fold, people: Sequence[str], counted: set[str]
) -> list[dict[str, Any]]:
    """The payload's entries, by image and first drawing; none without such drawings.

    Args:
        people: ids in the order of the fold's people.
        counted: those whose words count; drawings of the others are left out.
    """
    if said.grid is None:
        return []
    places = gathered(said, counted, said.grid)
    if not places:
        return []
    word_NR = np.full((len(places), len(people)), MISSING)
    for row, place in enumerate(places):
        for r, who in enumerate(people):
            if who in place.people:
                word_NR[row, r] = SPURIOUS
            elif who in place.against:
                word_NR[row, r] = CORRECT
    chance_N, weight_N = found.probability_of(word_NR)
    return [
        _entry(place, said.grid, float(chance), float(weight))
        for place, chance, weight in zip(places, chance_N, weight_N, strict=True)
    ]


def gathered(said: Said, counted: set[str], grid: tuple[int, int]) -> list[Place]:
    """The rejected places of people who count, each with who speaks against it."""
    by_image: dict[str, list[Drawn]] = {}
    for each in said.drawings:  # in the order of their ids, so that everything below is as well
        if each.kind == KIND and each.reviewer_id in counted:
            patches_P = drawn_patches(each.shape, each.points, grid)
            by_image.setdefault(each.image_sha256, []).append((each, patches_P))
    places = [
        _place(sha, group) for sha, drawn in sorted(by_image.items()) for group in _linked(drawn)
    ]
    signs = [
        (each, drawn_patches(each.shape, each.points, grid))
        for each in said.drawings
        if each.image_sha256 in by_image and each.reviewer_id in counted and _sign(said, each)
    ]
    for place in places:
        place.against = {
            each.reviewer_id
            for each, patches_P in signs
            if each.image_sha256 == place.image_sha256
            and each.reviewer_id not in place.people
            and _shared(patches_P, place.region_P)
        }
    return places


def by_person(drawn: Iterable[Drawn]) -> dict[str, NDArray[np.bool_]]:
    """Person -> patches that they drew, all their drawings together, bool [P]."""
    found: dict[str, NDArray[np.bool_]] = {}
    for each, patches_P in drawn:
        found[each.reviewer_id] = found.get(each.reviewer_id, patches_P) | patches_P
    return found


def _sign(said: Said, drawing: DrawingMark) -> bool:
    """Whether a drawing says that something is a sign."""
    if drawing.kind not in SIGNS:
        return False
    if drawing.concept is None:
        return True
    # "Here" on a cue says where the cue lies; whether that is a sign the verdict on it says.
    word = said.votes.get((drawing.image_sha256, drawing.concept), {}).get(drawing.reviewer_id)
    return word is not None and word.number == CORRECT


def _linked(drawn: Sequence[Drawn]) -> list[list[Drawn]]:
    """Drawings of one image, put together from overlap to overlap."""
    groups: list[list[Drawn]] = []
    for each in drawn:
        merged, rest = [each], []
        for group in groups:
            if any(_shared(each[1], other_P) for _, other_P in group):
                merged += group
            else:
                rest.append(group)
        groups = [*rest, merged]
    for group in groups:
        group.sort(key=lambda one: one[0].drawing_id)
    return sorted(groups, key=lambda group: group[0][0].drawing_id)


def _place(sha: str, drawn: Sequence[Drawn]) -> Place:
    people = by_person(drawn)
    taken_P = np.mean(list(people.values()), axis=0)
    region_P = taken_P >= 0.5
    if not region_P.any():  # a chain of drawings, no two of which say the same
        region_P = taken_P > 0
    return Place(sha, region_P, [each.drawing_id for each, _ in drawn], set(people))


def _shared(one_P: NDArray[np.bool_], two_P: NDArray[np.bool_]) -> bool:
    smaller = min(int(one_P.sum()), int(two_P.sum()))
    return int((one_P & two_P).sum()) >= SHARED * smaller


def _entry(place: Place, grid: tuple[int, int], chance: float, weight: float) -> dict[str, Any]:
    chance, weight = round(chance, PLACES), round(weight, PLACES)
    clear = chance > 0.5 and weight >= MIN_WEIGHT
    return {
        "image_sha256": place.image_sha256,
        "grid": list(grid),
        "bits": np.packbits(place.region_P).tobytes().hex(),
        "outcome": "spurious" if clear else "tie",
        "probability": chance,
        "weight": weight,
        "people": sorted(place.people),
        "against": sorted(place.against),
        "drawings": place.ids,
    }


def places_in(payload: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The places of a snapshot; none in one from before places could be rejected."""
    found: Sequence[Mapping[str, Any]] = payload.get("places", ())
    return found
