"""One case in a report: the picture's name, what the model says and why, what people say of it."""

from dataclasses import dataclass, field
from datetime import datetime

from dashboard.viewmodels.desk import ClassSetView, FlipView, RegionView
from dashboard.viewmodels.marks import DrawingView, NoteView


@dataclass(frozen=True)
class SaidOfCue:
    """One person's standing verdict on a cue."""

    id: str
    reviewer: str
    value: str
    scope: str
    reason: str | None
    comment: str
    revision: int
    at: datetime


@dataclass(frozen=True)
class SaidOfCase:
    """One person's standing word on the whole case."""

    id: str
    reviewer: str
    agree: bool | None
    corrected_label: str | None
    ratings: tuple[tuple[str, int], ...]
    comment: str
    blind: bool  # given before the model's word was shown
    revision: int
    at: datetime


@dataclass(frozen=True)
class Ruling:
    """What a lead decided where people differ."""

    value: str
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True)
class CueContent:
    """One cue of a case; its map and bits are for pictures and are left out of the data."""

    id: str
    letter: str
    concept_id: str
    concept: int
    name: str
    qualifier: str  # tells it apart from others of the same name
    level: int
    activation: float
    contribution: float  # logit units
    causal_effect: float  # logit units
    trust: float  # confidence in what is said of this cue, [0, 1]
    doubts: tuple[str, ...]  # in words
    regions: tuple[RegionView, ...]
    verdicts: tuple[SaidOfCue, ...]
    ruling: Ruling | None
    grid: tuple[int, int]  # rows, columns
    map_u8: bytes = field(default=b"", repr=False)  # rows*columns
    region_bits: bytes = field(default=b"", repr=False)  # packed, ceil(rows*columns/8)


@dataclass(frozen=True)
class CaseContent:
    """One case: the picture's name, what the model says and why, and what people say of it."""

    id: str
    version: str  # hash
    image_id: str
    image_name: str
    image_sha256: str
    width: int  # pixels
    height: int
    label: str | None
    split: str | None
    group: str | None
    prediction: str
    confidence: float  # calibrated probability of the prediction, [0, 1]
    probabilities: tuple[tuple[str, float], ...]
    logit: float
    bias: float
    explained: bool  # False: nobody opened it yet, so there are no cues and no narrative
    class_set: ClassSetView | None
    flip: FlipView | None
    narrative: str
    uncertainty: tuple[str, ...]  # sentences: how sure the model is, how sure the explanation is
    trust: float | None  # confidence in the whole explanation, [0, 1]
    reconstruction: float | None  # share of the tokens that the concepts explain
    other: float | None  # contribution of all concepts not shown, logit units
    cues: tuple[CueContent, ...]
    assessments: tuple[SaidOfCase, ...]
    ruling: Ruling | None  # on the class of the case
    drawings: tuple[DrawingView, ...] = ()
    notes: tuple[NoteView, ...] = ()

    @property
    def right(self) -> bool | None:
        """Whether the decision is that of the label; None without a label."""
        return None if self.label is None else self.label == self.prediction
