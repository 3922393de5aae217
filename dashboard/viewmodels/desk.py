"""A case as the desk shows it."""

from dataclasses import dataclass, field
from datetime import datetime

from dashboard.viewmodels.marks import CriterionView, DrawingView, LayerView, NoteView, PeerView
from dashboard.viewmodels.queue import PlaceView
from dashboard.viewmodels.what_if import WhatIfView
from dashboard.viewmodels.words import REASONS, Scope, VerdictValue


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
    trust: float | None = None  # confidence in what is said of this cue, [0, 1] (core.agreement)
    peers: tuple[PeerView, ...] = ()  # others' standing verdicts; empty while they are hidden


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
    ratings: tuple[tuple[str, int], ...] = ()  # criterion key, 1 to 5


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
    trust: float | None = None  # confidence in the whole explanation, [0, 1]
    hidden: frozenset[str] = frozenset()  # of "model", "prediction", "labels", "peers": what the
    # project hides until this reviewer's word is in; the service has blanked it, not the browser
    criteria: tuple[CriterionView, ...] = ()  # what every case is rated by, 1 to 5
    reasons: tuple[str, ...] = REASONS  # why a cue may be spurious, the project's own list
    drawings: tuple[DrawingView, ...] = ()  # this reviewer's, still standing
    notes: tuple[NoteView, ...] = ()
    layers: tuple[LayerView, ...] = ()  # further pictures to lay over: ground truth, attributions
    what_if: WhatIfView | None = None
    place: PlaceView | None = None  # why this case is here, who holds it, what was said of it
