"""Concepts: the list and one page."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Rank = Literal["top", "middle", "lowest"]
MarkKind = Literal["artefact", "locked"]


@dataclass(frozen=True)
class NameEvent:
    """One entry of a concept's name history."""

    name: str
    source: str  # "model" or "person"
    by: str | None
    reason: str
    at: datetime
    revision: int


@dataclass(frozen=True)
class ConceptRow:
    """A concept as listed."""

    id: str
    concept: int
    name: str
    named: bool
    level: int
    frequency: float  # share of images in which it fires, [0, 1]
    parent: str | None
    margin: float
    verdicts_correct: int
    verdicts_spurious: int
    verdicts_unsure: int = 0
    artefact: bool = False  # marked as something that is no property of the object
    locked: bool = False  # its name may not be changed
    merged_into: str | None = None  # name of the concept that stands for it now


@dataclass(frozen=True)
class ConceptListView:
    """One page of the list."""

    rows: tuple[ConceptRow, ...]
    total: int  # that match, on all pages
    offset: int  # of the first row


@dataclass(frozen=True)
class MarkEvent:
    """One entry of a concept's history of marks."""

    kind: MarkKind
    value: bool
    by: str
    reason: str
    at: datetime
    revision: int


@dataclass(frozen=True)
class RelativeView:
    """A concept above or below."""

    concept_id: str
    concept: int
    name: str
    kind: str  # "is-a" or "part-of"
    source: str  # "model" or "person"
    weight: float  # share of what fires below that fires above too, [0, 1]; 1 from a person


@dataclass(frozen=True)
class NeighbourView:
    """A concept whose direction is close."""

    concept_id: str
    concept: int
    name: str
    cosine: float  # of the decoder directions, [-1, 1]
    frequency: float


@dataclass(frozen=True)
class TallyView:
    """Standing verdicts on a concept as a reason for one class."""

    label: str  # the class that the model named
    correct: int
    spurious: int
    unsure: int


@dataclass(frozen=True)
class ExampleView:
    """An image in which a concept fires."""

    image_id: str
    image_name: str
    label: str | None
    activation: float  # peak over the patches, encoder units
    grid: tuple[int, int]
    map_u8: bytes = field(repr=False)  # 0..255 of the map's own maximum
    rank: Rank = "top"
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)  # x0, y0, x1, y1 of the place
    # where it fires most, fractions of the image


@dataclass(frozen=True)
class FiringView:
    """How often and how strongly a concept fires in one class, group or split."""

    name: str
    images: int  # in which it fires
    total: int  # images of that kind
    strength: float  # mean peak activation where it fires, encoder units

    @property
    def share(self) -> float:
        """Share of the images of that kind in which it fires, [0, 1]."""
        return self.images / self.total if self.total else 0.0


@dataclass(frozen=True)
class PositionsView:
    """Where in the image a concept fires, on average."""

    grid: tuple[int, int]  # rows, columns
    shares: tuple[float, ...]  # per patch: share of the images in which it fires there, [0, 1]
    images: int  # looked at: those in which it fires, at most a few hundred


@dataclass(frozen=True)
class FactsView:
    """Where a concept fires and what lies near it."""

    images: int  # with codes, in all
    classes: tuple[FiringView, ...]
    groups: tuple[FiringView, ...]
    splits: tuple[FiringView, ...]
    positions: PositionsView | None  # None where it fires nowhere
    nearest: tuple[NeighbourView, ...]  # largest cosine first


@dataclass(frozen=True)
class ConceptView:
    """The page of one concept, as far as the store knows it."""

    row: ConceptRow
    revision: int  # of the name that stands: give it back as `based_on`
    suggestions: tuple[tuple[str, float], ...]  # name, score; best first; 0: from the vocabulary
    history: tuple[NameEvent, ...]  # oldest first
    parents: tuple[RelativeView, ...]
    children: tuple[RelativeView, ...]
    weights: tuple[tuple[str, float], ...]  # class, head weight
    tallies: tuple[TallyView, ...] = ()
    marks: tuple[MarkEvent, ...] = ()  # oldest first
    mark_revisions: tuple[tuple[MarkKind, int], ...] = ()  # `based_on` of the next mark
    merged: tuple[str, ...] = ()  # names of the concepts that this one stands for
    parts: tuple[str, ...] = ()  # what people say that it should be split into
    survivor_id: str | None = None  # the concept that stands for it, where it was merged away
    may_change: bool = True  # whether this reviewer may rename, merge, mark and lock
