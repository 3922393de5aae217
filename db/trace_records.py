"""Frozen records of what a trace finds by a few characters of an id or a hash."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

TracedKind = Literal["version", "snapshot", "image", "case", "verdict", "run", "export", "person"]
WordKind = Literal["verdict", "class verdict", "column verdict", "drawing"]


@dataclass(frozen=True)
class Match:
    """Something that begins with what was asked for."""

    kind: TracedKind
    project_id: str | None  # None: a person, who belongs to no project
    id: str
    ref: str  # what matched: the hash, or the id
    title: str


@dataclass(frozen=True)
class SnapshotHead:
    """A feedback snapshot without its content."""

    id: str
    project_id: str
    hash: str
    verdicts: int
    created_at: datetime


@dataclass(frozen=True)
class TracedWord:
    """One thing that a person said, of whichever kind."""

    kind: WordKind
    id: str
    project_id: str
    reviewer_id: str
    reviewer: str  # name
    value: str
    reason: str | None
    comment: str
    revision: int | None  # None: a drawing, which has none
    created_at: datetime
    case_id: str | None
    cue_id: str | None
    concept_id: str | None
    about: str  # class or column, "" for words on one cue


@dataclass(frozen=True)
class ImageTally:
    """Images alike in label, split and group."""

    label: str | None
    split: str | None
    group_name: str | None
    count: int


@dataclass(frozen=True)
class Flip:
    """An image that two versions decide differently."""

    case_id: str  # under the later version
    image_id: str
    relpath: str
    label: str | None
    before: str  # class
    after: str
    before_confidence: float
    after_confidence: float


@dataclass(frozen=True)
class Flips:
    """How the decisions of two versions differ on the images that both decided."""

    cases: int
    turned: int
    righted: int  # wrong before, as labelled now
    broken: int  # as labelled before, wrong now
    first: tuple[Flip, ...]  # by path
