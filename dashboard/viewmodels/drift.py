"""Whether new images differ from those that a model version knows, and in which concepts."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from dashboard.viewmodels.modes import ExamplePicture
from dashboard.viewmodels.runs import NoticeView
from dashboard.viewmodels.words import RunState

SetKind = Literal["split", "column", "since"]
Within = Literal["nothing", "label", "prediction"]
Direction = Literal["more", "less"]


@dataclass(frozen=True)
class ImageSet:
    """Which images are meant; plain enough to be kept with a run.

    split      images of one of `values`, as the table of labels says
    column     images whose `column` ("group", "mask", or one of the table's) has one of `values`
    since      images that were ingested on the day `values[0]` (UTC, "2026-11-20") or later
    """

    kind: SetKind
    values: tuple[str, ...]
    column: str = ""  # of kind "column"


@dataclass(frozen=True)
class SetChoice:
    """One way to say which images are new, with what it can be set to."""

    kind: SetKind
    column: str  # "" unless kind is "column"
    label: str  # as shown: "Split", "Ingested since", "Group", or the column's own name
    values: tuple[tuple[str, int], ...]  # value, images; of "since": images of that day or later
    usable: bool
    why_not: str = ""


@dataclass(frozen=True)
class DriftForm:
    """What a check can be started with."""

    choices: tuple[SetChoice, ...]  # usable ones first
    images: int
    new: ImageSet | None  # what is proposed: a split or day that the version has not learnt from
    within: tuple[tuple[Within, str, str], ...]  # value, words, one line of help
    least: int  # images that each side must have
    ready: bool
    why_not: str = ""


@dataclass(frozen=True)
class DriftConcept:
    """How one concept fires in the new images against the reference."""

    concept_id: str
    concept: int  # number in the dictionary
    name: str
    where: str  # "" over all images, else the label (or decision) where it differs most clearly
    direction: Direction  # fires more, or less, in the new images
    superiority: float  # P(new image fires stronger than reference image) + ties / 2, [0, 1]
    reference_fires: float  # share of the reference images in which it fires, [0, 1]
    new_fires: float
    reference_mean: float  # mean pooled activation, encoder units
    new_mean: float
    p: float
    q: float  # p after Benjamini-Hochberg over the concepts tested
    alert: bool  # q below the level and the difference at least `DriftView.least_effect`
    weight: float | None  # largest share of a class's decisions that rests on it, [0, 1]
    sentence: str
    pictures: tuple[ExamplePicture, ...] = field(default=(), repr=False)
    """Cases that show it: new ones where it fires more, reference ones where it fires less."""


@dataclass(frozen=True)
class DecisionShift:
    """The share of decisions for one class, before and now."""

    class_name: str
    reference: float  # [0, 1]
    new: float
    p: float | None  # of the whole table of decisions; the same in every row


@dataclass(frozen=True)
class DriftRow:
    """One check in the list of all."""

    run_id: str
    state: RunState
    at: datetime
    by: str | None
    new: str  # in words
    reference: str
    alert: bool | None  # None before the check has ended
    sentence: str


@dataclass(frozen=True)
class DriftView:
    """One check: what was compared, what differs, and how far that can be trusted."""

    run_id: str
    state: RunState
    progress: float  # [0, 1]
    stage: str
    message: str  # why it failed, where it did
    at: datetime
    by: str | None
    version: str  # hash
    new: str  # the set in words: "split test", "camera = B", "ingested since 2026-11-20"
    reference: str
    done: bool  # the figures below are there
    alert: bool = False
    sentence: str = ""  # the answer, naming the concepts
    advice: str = ""  # what to do next
    n_new: int = 0  # images
    n_reference: int = 0
    units: str = ""  # "" where every image counts by itself, else "patient": counted per that
    level: float = 0.05  # chance of an alert where nothing differs, at most
    within: Within = "nothing"  # compared only among images alike in this
    p: float = 1.0  # of the whole check, both tests together
    whole_p: float = 1.0  # all concepts at once, permutation test
    told_apart: float = 0.5  # AUC of a classifier of new against reference images; 0.5: chance
    energy: float = 0.0  # energy distance; 0: no difference
    energy_p: float = 1.0  # of the energy distance alone
    least_effect: float = 0.0  # smallest |superiority - 1/2| that is an alert
    detectable: float = 0.0  # |superiority - 1/2| found in 4 of 5 checks of this size
    tested: int = 0  # concepts that fire often enough to be tested
    alerts: int = 0  # concepts with an alert
    concepts: tuple[DriftConcept, ...] = ()  # alerts first, then by q; a few without an alert
    cases: tuple[ExamplePicture, ...] = field(default=(), repr=False)
    """New ones that are most unlike the reference; `activation` says how much, there is no map."""
    decisions: tuple[DecisionShift, ...] = ()
    decisions_sentence: str = ""
    notices: tuple[NoticeView, ...] = ()
