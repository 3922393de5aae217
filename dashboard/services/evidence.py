"""What a run is given of people's words: read back from a frozen snapshot, of either schema.

A snapshot of schema 1 holds no probabilities: its decided cues count fully, and a concept's
probability is drawn from the outcomes of its cues alone. Rejected places are in snapshots of
schema 2 that have the key "places"; those without it, older ones among them, hold none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.drawn import NO_CONCEPT
from core.evidence import pooled
from core.notices import Notice
from core.rater_checks import Status
from dashboard.services.evidence_payload import region_of
from dashboard.services.evidence_places import places_in
from dashboard.services.evidence_said import MIN_WEIGHT

REJECTED = 0.1
"""Weight from which a concept counts as rejected: a single word "here" is enough, if unopposed."""
Scope = Literal["here", "class", "everywhere"]
RegionKind = Literal["here", "missed", "wrong-part", "spurious"]
Outcome = Literal["correct", "spurious", "tie", "doubted", "unsure", "set aside", "not counted"]


@dataclass(frozen=True, eq=False)
class FeedbackMark:
    """One cue (or rejected place) on which people agree well enough, with its patches.

    concept   below 0 for a place that no concept shows (core.drawn.NO_CONCEPT, counting down)
    region_P  bool [P] on the grid, row-major: as drawn by people, else the cue's own
    weight    how far the words can be relied on, (0, 1]
    """

    image_sha256: str
    concept: int
    value: Literal["correct", "spurious"]
    region_P: NDArray[np.bool_]
    grid: tuple[int, int]
    weight: float = 1.0


@dataclass(frozen=True)
class ConceptEvidence:
    """What people said of one concept (in one class), as one probability."""

    concept: int
    class_name: str | None  # None: whatever the class
    scope: Scope  # the widest claim that was made
    probability: float  # that it is spurious, [0, 1]
    weight: float  # |2 p - 1|, [0, 1]
    words: int  # counted words behind it
    people: int  # who said them


@dataclass(frozen=True)
class ColumnEvidence:
    """What people said of one metadata column."""

    column: str
    probability: float  # that it is spurious, [0, 1]
    weight: float  # |2 p - 1|, [0, 1]
    words: int
    people: int


@dataclass(frozen=True, eq=False)
class RegionEvidence:
    """One drawn place as patches of the grid, bool [P]."""

    image_sha256: str
    concept: int | None  # the cue that it speaks of, where there is one
    kind: RegionKind
    region_P: NDArray[np.bool_]
    grid: tuple[int, int]
    weight: float  # how often the person who drew it is right, [0, 1]


@dataclass(frozen=True)
class RaterEvidence:
    """How far one person's words can be relied on; None: nothing to compare with."""

    reviewer_id: str
    reviewer: str  # name
    words: int
    unsure: int
    compared: int  # words on cues whose truth others or a decision tell
    right_spurious: float | None  # P(says spurious | spurious), [0, 1]
    right_correct: float | None  # P(says correct | correct), [0, 1]
    informedness: float | None  # their sum less 1: 1 perfect, 0 a coin, -1 turned round
    status: Status
    certainty: float  # probability of the status, [0, 1]
    counted: bool  # False: their words reach no mark, no concept, no column
    repeats: tuple[int, int]  # cues judged again with the same word, cues judged again


@dataclass(frozen=True, eq=False)
class EvidenceSet:
    """Everything that a run may learn from, and what its people must know of it."""

    marks: tuple[FeedbackMark, ...]
    concepts: tuple[ConceptEvidence, ...]
    columns: tuple[ColumnEvidence, ...]
    regions: tuple[RegionEvidence, ...]
    raters: tuple[RaterEvidence, ...]
    notices: tuple[Notice, ...]
    outcomes: Mapping[Outcome, int]  # of cues
    rejected: tuple[int, ...]  # concepts that are clearly spurious, at least in one class; rising

    def everywhere(self) -> dict[int, float]:
        """Concept -> probability that it is spurious, whatever the class."""
        return {each.concept: each.probability for each in self.concepts if not each.class_name}

    def of_classes(self, classes: Sequence[str]) -> dict[tuple[int, int], float]:
        """(concept, index of the class) -> the same for classes that somebody spoke of."""
        place = {name: number for number, name in enumerate(classes)}
        return {
            (each.concept, place[each.class_name]): each.probability
            for each in self.concepts
            if each.class_name in place
        }

    def rejected_columns(self) -> dict[str, float]:
        """Column -> probability that it is spurious, where people are clear that it is."""
        return {
            each.column: each.probability
            for each in self.columns
            if each.probability > 0.5 and each.weight >= MIN_WEIGHT
        }


def evidence_of(payload: Mapping[str, Any]) -> EvidenceSet:
    """The evidence in a snapshot's payload, of schema 1 or 2; it touches no store."""
    from dashboard.services.evidence_notices import notices_of

    cues = payload["cues"]
    outcomes: dict[Outcome, int] = {}
    for cue in cues:
        outcomes[cue["outcome"]] = outcomes.get(cue["outcome"], 0) + 1
    raters = tuple(_rater(entry) for entry in payload.get("raters", ()))
    return EvidenceSet(
        marks=marks_of(payload),
        concepts=_concepts(payload),
        columns=tuple(_column(entry) for entry in payload.get("columns", ())),
        regions=tuple(_region(entry) for entry in payload.get("regions", ())),
        raters=raters,
        notices=notices_of(payload, raters, outcomes),
        outcomes=outcomes,
        rejected=rejected_of(payload),
    )


def marks_of(payload: Mapping[str, Any]) -> tuple[FeedbackMark, ...]:
    """The decided cues of a snapshot with a region, then its places, in the snapshot's order."""
    found = []
    for cue in payload["cues"]:
        if cue["outcome"] not in ("correct", "spurious"):
            continue
        region_P = region_of(cue.get("drawn_bits") or cue["region_bits"], cue["grid"])
        if region_P.any():
            rows, columns = cue["grid"]
            found.append(
                FeedbackMark(
                    cue["image_sha256"],
                    int(cue["concept"]),
                    cue["outcome"],
                    region_P,
                    (int(rows), int(columns)),
                    float(cue.get("weight", 1.0)),
                )
            )
    return (*found, *_places(payload))


def _places(payload: Mapping[str, Any]) -> Iterator[FeedbackMark]:
    """The rejected places on which people agree, numbered down from NO_CONCEPT in each image."""
    count: dict[str, int] = {}
    for place in places_in(payload):
        region_P = region_of(place["bits"], place["grid"])
        if place["outcome"] != "spurious" or not region_P.any():
            continue
        sha = place["image_sha256"]
        rows, columns = place["grid"]
        yield FeedbackMark(
            sha, NO_CONCEPT - count.get(sha, 0), "spurious", region_P, (int(rows), int(columns)),
            float(place["weight"]),
        )  # fmt: skip
        count[sha] = count.get(sha, 0) + 1


def rejected_of(payload: Mapping[str, Any]) -> tuple[int, ...]:
    """Concepts that are clearly spurious, at least in one class, in rising order.

    Schema 1 knows no probabilities: there it is those called spurious in more cues than correct.
    """
    if "concepts" not in payload:
        return tuple(each.concept for each in _concepts(payload) if each.probability > 0.5)
    found = {
        each.concept
        for each in _concepts(payload)
        if each.probability > 0.5 and each.weight >= REJECTED
    }
    return tuple(sorted(found))


def _concepts(payload: Mapping[str, Any]) -> tuple[ConceptEvidence, ...]:
    if "concepts" in payload:
        return tuple(
            ConceptEvidence(
                e["concept"], e["class"], e["scope"], e["probability"], e["weight"], e["words"],
                e["people"],
            )
            for e in payload["concepts"]
        )  # fmt: skip
    found: dict[int, list[float]] = {}
    for cue in payload["cues"]:
        if cue["outcome"] in ("correct", "spurious"):
            found.setdefault(int(cue["concept"]), []).append(float(cue["outcome"] == "spurious"))
    entries = []
    for concept, outcomes in sorted(found.items()):
        chance = pooled(outcomes)
        weight = abs(2 * chance - 1)
        entries.append(ConceptEvidence(concept, None, "here", chance, weight, len(outcomes), 1))
    return tuple(entries)


def _column(entry: Mapping[str, Any]) -> ColumnEvidence:
    people = {word["reviewer"] for word in entry["words"]}
    return ColumnEvidence(
        entry["column"], entry["probability"], entry["weight"], len(entry["words"]), len(people)
    )


def _region(entry: Mapping[str, Any]) -> RegionEvidence:
    rows, columns = entry["grid"]
    return RegionEvidence(
        entry["image_sha256"],
        entry["concept"],
        entry["kind"],
        region_of(entry["bits"], entry["grid"]),
        (int(rows), int(columns)),
        float(entry["weight"]),
    )


def _rater(entry: Mapping[str, Any]) -> RaterEvidence:
    alike, repeated = entry["repeats"]
    return RaterEvidence(**{**entry, "repeats": (int(alike), int(repeated))})
