"""Frozen records: what repositories take (New...) and what they return (...Record).

Ids are canonical uuid strings (36 characters). Times are timezone-aware UTC. Fields typed
`dict` hold plain JSON (no NaN or infinity).
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

VerdictValue = Literal["correct", "spurious", "unsure", "withdrawn"]
Scope = Literal["here", "class", "everywhere"]
VersionKind = Literal["discover", "reweight", "finetune"]
VersionState = Literal["candidate", "active", "discarded"]
NameSource = Literal["model", "person"]
RelationKind = Literal["is-a", "part-of"]
RunKind = Literal["discover", "reweight", "finetune", "evaluate", "demo"]
RunState = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]


def new_id() -> str:
    """A fresh client-side id."""
    return str(uuid4())


def utc_now() -> datetime:
    """The present time, timezone-aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class ProjectRecord:
    """A dataset, label set, vocabulary and settings."""

    id: str
    name: str
    root: str  # folder of the images
    classes: tuple[str, ...]
    vocabulary: dict[str, Any]
    notice: str | None
    settings: dict[str, Any]
    active_version_id: str | None
    created_at: datetime


@dataclass(frozen=True)
class NewImage:
    """An image about to be ingested."""

    relpath: str
    sha256: str
    width: int
    height: int
    label: str | None = None
    split: str | None = None
    group_name: str | None = None
    mask_path: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageRecord:
    """An ingested image."""

    id: str
    project_id: str
    relpath: str
    sha256: str
    width: int
    height: int
    label: str | None
    split: str | None
    group_name: str | None
    mask_path: str | None
    meta: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class ImageLookup:
    """Every image of a project by the two keys that make ingest idempotent."""

    by_relpath: dict[str, ImageRecord]
    by_sha256: dict[str, ImageRecord]


@dataclass(frozen=True)
class ImageCounts:
    """How many images; a missing label or split is counted under None."""

    total: int
    by_label: dict[str | None, int]
    by_split: dict[str | None, int]


@dataclass(frozen=True)
class NewVersion:
    """A model version about to be registered; `hash` is its content address."""

    hash: str
    kind: VersionKind
    dictionary_hash: str
    encoder_spec: str
    encoder_hash: str
    folder: str
    seed: int
    classes: tuple[str, ...]
    code_version: str
    parent_hash: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    snapshot_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class VersionRecord:
    """A registered model version."""

    id: str
    project_id: str
    hash: str
    parent_hash: str | None
    kind: VersionKind
    state: VersionState
    dictionary_hash: str
    encoder_spec: str
    encoder_hash: str
    folder: str
    seed: int
    classes: tuple[str, ...]
    metrics: dict[str, Any]
    snapshot_id: str | None
    run_id: str | None
    code_version: str
    created_at: datetime


@dataclass(frozen=True)
class NewConcept:
    """A latent of the dictionary with the model's own name."""

    number: int
    level: int
    frequency: float  # share of images in which it fires, [0, 1]
    model_name: str | None = None  # None: the model abstained
    score: float = 0.0
    margin: float = 0.0
    runners_up: tuple[tuple[str, float], ...] = ()  # name, score; best first


@dataclass(frozen=True)
class ConceptRecord:
    """A stored concept with the name that stands."""

    id: str
    project_id: str
    dictionary_hash: str
    number: int
    level: int
    frequency: float
    model_name: str | None
    score: float
    margin: float
    runners_up: tuple[tuple[str, float], ...]
    name: str | None  # latest name event, else the model's name, else None
    revision: int  # of the name that stands; 0 = no name event yet

    @property
    def shown_name(self) -> str:
        """The name that stands, or "concept 17" where there is none."""
        return self.name if self.name is not None else f"concept {self.number}"


@dataclass(frozen=True)
class ConceptListing:
    """A concept as listed: with the verdicts that stand on its cues (all reviewers)."""

    concept: ConceptRecord
    correct: int
    spurious: int
    unsure: int


@dataclass(frozen=True)
class ConceptPage:
    """One page of a listing and how many concepts match in all."""

    items: tuple[ConceptListing, ...]
    total: int


@dataclass(frozen=True)
class TallyRecord:
    """Standing verdicts on one concept, with the mean causal effect of the judged cues."""

    concept_id: str
    number: int
    name: str | None
    correct: int
    spurious: int
    unsure: int
    mean_causal_effect: float  # logit units


@dataclass(frozen=True)
class ClassTally:
    """Standing verdicts on one concept in the cases predicted as one class."""

    label: str
    correct: int
    spurious: int
    unsure: int


@dataclass(frozen=True)
class NameRecord:
    """One event of a concept's name history (revision 1 is the first)."""

    id: str
    concept_id: str
    revision: int
    name: str
    source: NameSource
    reviewer_id: str | None
    reviewer: str | None  # name
    reason: str
    created_at: datetime


@dataclass(frozen=True)
class RenameRecord:
    """A name event with the name that stood before it (None: the model abstained)."""

    number: int
    former: str | None
    event: NameRecord


@dataclass(frozen=True)
class RelationRecord:
    """A directed edge between two concepts of one dictionary; also the input of add_many."""

    child_number: int
    parent_number: int
    kind: RelationKind
    weight: float
    support: int


@dataclass(frozen=True)
class NewCase:
    """A prediction for one image."""

    image_id: str
    prediction: str
    confidence: float
    logit: float
    bias: float
    probabilities: tuple[tuple[str, float], ...]  # class, probability; class order
    queue_order: int  # among the cases added with it; the store keeps places dense from 0
    queue_reason: str = ""  # why it stands there, in words
    queue_score: float = 0.0
    wanted: int = 1  # how many people are to judge it


@dataclass(frozen=True)
class CaseRecord:
    """One image under one model version, with its image."""

    id: str
    project_id: str
    image_id: str
    version_id: str
    prediction: str
    confidence: float
    logit: float
    bias: float
    probabilities: tuple[tuple[str, float], ...]
    queue_order: int
    explanation: dict[str, Any] | None  # None until explained
    image: ImageRecord
    queue_reason: str = ""
    queue_score: float = 0.0
    wanted: int = 1  # how many people are to judge it


@dataclass(frozen=True)
class QueueItem:
    """A case as it stands in the review queue of one reviewer."""

    case_id: str
    image_id: str
    relpath: str
    label: str | None
    split: str | None
    prediction: str
    confidence: float
    queue_order: int
    done: bool  # this reviewer has a standing verdict or assessment on it


@dataclass(frozen=True)
class Neighbours:
    """Where a case stands in its version's queue."""

    position: int  # 1-based
    total: int
    previous_id: str | None
    next_id: str | None


@dataclass(frozen=True)
class CaseCounts:
    """Cases of a version; reviewed = a standing verdict or assessment by anyone."""

    total: int
    explained: int
    reviewed: int


@dataclass(frozen=True)
class RegionRecord:
    """A box in fractions of the image."""

    x0: float
    y0: float
    x1: float
    y1: float
    area: float


@dataclass(frozen=True)
class NewCue:
    """A cue to be shown to reviewers.

    `map_u8` holds grid_rows*grid_cols raw bytes (the store compresses them);
    `region_bits` holds ceil(rows*cols/8) bytes, as numpy.packbits of the flat mask gives.
    """

    concept_id: str
    rank: int  # 0 = largest |causal effect|
    activation: float
    contribution: float
    causal_effect: float
    grid_rows: int
    grid_cols: int
    map_u8: bytes = field(repr=False)
    region_bits: bytes = field(repr=False)
    regions: tuple[RegionRecord, ...] = ()


@dataclass(frozen=True)
class CueRecord:
    """A stored cue joined with its concept and the concept's name that stands."""

    id: str
    case_id: str
    concept_id: str
    number: int
    level: int
    name: str | None
    rank: int
    activation: float
    contribution: float
    causal_effect: float
    grid_rows: int
    grid_cols: int
    map_u8: bytes = field(repr=False)  # raw, rows*cols bytes
    region_bits: bytes = field(repr=False)
    regions: tuple[RegionRecord, ...]

    @property
    def shown_name(self) -> str:
        """The name that stands, or "concept 17" where there is none."""
        return self.name if self.name is not None else f"concept {self.number}"


@dataclass(frozen=True)
class ReviewerRecord:
    """A person who reviews."""

    id: str
    name: str
    created_at: datetime
