"""What the screens show: frozen, plain, no tensors, no sessions.

Services build these; screens pass them to views and components, which may read nothing else.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

VerdictValue = Literal["correct", "spurious", "unsure", "withdrawn"]
Scope = Literal["here", "class", "everywhere"]
RunState = Literal["queued", "running", "succeeded", "failed", "cancelled", "interrupted"]

REASONS: tuple[str, ...] = (
    "artefact",
    "background",
    "acquisition",
    "leakage",
    "wrong region",
    "wrong name",
)


@dataclass(frozen=True)
class ProjectView:
    """A project as listed in the project picker."""

    id: str
    name: str
    classes: tuple[str, ...]
    notice: str | None  # "synthetic phantom, not for clinical use" on the demo
    active_version: str | None  # model version hash
    cases: int
    reviewed: int  # cases with a verdict or an assessment by anyone


@dataclass(frozen=True)
class RegionView:
    """A box in fractions of the image."""

    x0: float
    y0: float
    x1: float
    y1: float
    area: float


@dataclass(frozen=True)
class VerdictView:
    """The verdict that stands for one reviewer and one cue."""

    id: str
    value: VerdictValue
    scope: Scope
    reason: str | None
    comment: str
    revision: int  # give it back as `based_on` with the next one
    at: datetime
    reviewer: str


@dataclass(frozen=True)
class CueView:
    """One cue: a letter to call it, figures with units, a map as bytes."""

    id: str
    letter: str  # "A", "B", ... by order of |causal effect|
    concept_id: str
    concept: int
    name: str
    named: bool
    level: int
    activation: float
    contribution: float  # logit units
    causal_effect: float  # logit units
    grid: tuple[int, int]  # rows, columns of the map
    map_u8: bytes = field(repr=False)  # rows*columns bytes, 0..255 of the cue's own maximum
    regions: tuple[RegionView, ...]
    mine: VerdictView | None  # this reviewer's verdict that stands
    agree_note: str | None  # a warning when map and causal effect disagree
    qualifier: str = ""  # tells it apart from others of the same name; no part of the name


@dataclass(frozen=True)
class NodeView:
    """A node of the concept tree of a case or of a project."""

    concept_id: str
    concept: int
    name: str
    kind: str | None  # "is-a" or "part-of"; None at a root
    contribution: float
    total: float
    cue_id: str | None
    children: tuple["NodeView", ...] = ()
    qualifier: str = ""  # as of CueView


@dataclass(frozen=True)
class AssessmentView:
    """The reviewer's word on the whole case."""

    id: str
    agree: bool | None
    corrected_label: str | None
    comment: str
    revision: int
    at: datetime
    reviewer: str


@dataclass(frozen=True)
class ClassSetView:
    """The classes that cannot be ruled out for a case."""

    classes: tuple[str, ...]  # most probable first
    coverage: float  # share of such sets that hold the truth, (0, 1)
    informed: bool  # False where too few held-out cases were there to rule anything out
    note: str  # what the set promises and what it does not


@dataclass(frozen=True)
class FlipView:
    """The fewest concept changes after which the model decides otherwise."""

    changes: tuple[tuple[str, float, float], ...]  # name, activation before, after
    prediction: str  # after them
    lead: float  # logit units by which it then leads
    reread: str | None  # decision when the concepts are taken out and the image is read anew


@dataclass(frozen=True)
class CaseView:
    """Everything the Review screen shows of one case."""

    id: str
    position: int  # 1-based in the queue
    total: int
    image_id: str
    image_name: str
    image_sha256: str
    width: int  # pixels of the original
    height: int
    label: str | None
    split: str | None
    prediction: str
    confidence: float  # calibrated probability of the prediction, [0, 1]
    logit: float
    bias: float
    probabilities: tuple[tuple[str, float], ...]
    reconstruction: float  # how much of the tokens the concepts explain
    other: float  # contribution of all concepts not shown, logit units
    cues: tuple[CueView, ...]
    tree: tuple[NodeView, ...]
    narrative: str
    assessment: AssessmentView | None
    version_hash: str
    previous_id: str | None
    next_id: str | None
    class_set: ClassSetView | None = None
    flip: FlipView | None = None


@dataclass(frozen=True)
class QueueRow:
    """One case in a reviewer's queue."""

    case_id: str
    position: int  # 1-based
    image_name: str
    label: str | None
    split: str | None
    prediction: str
    confidence: float  # calibrated probability of the prediction, [0, 1]
    done: bool  # this reviewer has a standing verdict or assessment on it


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


@dataclass(frozen=True)
class ExampleView:
    """An image that activates a concept strongly."""

    image_id: str
    image_name: str
    label: str | None
    activation: float
    grid: tuple[int, int]
    map_u8: bytes = field(repr=False)


@dataclass(frozen=True)
class ConceptView:
    """The page of one concept."""

    row: ConceptRow
    revision: int  # of the name that stands: give it back as `based_on`
    suggestions: tuple[tuple[str, float], ...]  # name, score; best first
    history: tuple[NameEvent, ...]
    parents: tuple[tuple[str, str, str], ...]  # concept_id, name, kind
    children: tuple[tuple[str, str, str], ...]
    examples: tuple[ExampleView, ...]
    weights: tuple[tuple[str, float], ...]  # class, head weight


@dataclass(frozen=True)
class MetricRow:
    """One figure before and after a run, on one held-out split."""

    split: str
    key: str
    label: str
    unit: str
    before: float | None
    after: float | None
    higher_is_better: bool
    help: str  # one line: what is this


@dataclass(frozen=True)
class RunView:
    """A run with its progress and, when done, its before/after figures."""

    id: str
    kind: str
    state: RunState
    progress: float  # [0, 1]
    stage: str
    message: str
    seed: int
    requested_by: str | None
    created_at: datetime
    finished_at: datetime | None
    base_version: str | None
    result_version: str | None
    result_state: str | None  # "candidate", "active" or "discarded"
    snapshot_hash: str | None
    verdicts: int
    metrics: tuple[MetricRow, ...]
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionView:
    """A model version in the lineage."""

    hash: str
    parent: str | None
    kind: str
    state: str
    seed: int
    created_at: datetime


@dataclass(frozen=True)
class ConceptTally:
    """Verdicts on one concept, for the report."""

    concept: int
    name: str
    correct: int
    spurious: int
    unsure: int
    mean_causal_effect: float


@dataclass(frozen=True)
class ReportView:
    """The summary that the Report screen shows and the exports carry."""

    project: ProjectView
    version: VersionView | None
    generated_at: datetime
    reviewers: tuple[str, ...]
    cases_total: int
    cases_reviewed: int
    verdicts: int
    correct: int
    spurious: int
    unsure: int
    agree: int
    disagree: int
    concepts: tuple[ConceptTally, ...]  # most often spurious first
    renames: tuple[tuple[str, NameEvent], ...]  # former name, event
    runs: tuple[RunView, ...]
    versions: tuple[VersionView, ...]
