"""Frozen records of what steers runs and versions: columns, decisions on versions, live curves."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from db.records import VerdictValue

VersionAct = Literal["activate", "rollback", "discard"]


@dataclass(frozen=True)
class ColumnVerdictRecord:
    """An expert's word on a metadata column of the project; the highest revision stands."""

    seq: int
    id: str
    project_id: str
    column_name: str
    reviewer_id: str
    reviewer: str  # name
    value: VerdictValue
    reason: str | None
    comment: str
    revision: int
    created_at: datetime


@dataclass(frozen=True)
class VersionEventRecord:
    """Somebody (or the program) made a version active, went back to it, or discarded it."""

    seq: int
    id: str
    project_id: str
    version_id: str
    former_id: str | None  # the version that was active when it was decided
    reviewer_id: str | None  # None: the program itself
    reviewer: str | None  # name
    run_id: str | None  # the run that made the version
    kind: VersionAct
    reason: str
    created_at: datetime


@dataclass(frozen=True)
class RunPoint:
    """One point of a live curve of a run."""

    series: str  # such as "loss" or "validation accuracy"
    step: int  # >= 0
    value: float  # finite


@dataclass(frozen=True)
class PredictionRow:
    """What one version says of one image; comparing two versions needs nothing else."""

    image_id: str
    case_id: str
    sha256: str  # of the image file
    relpath: str
    label: str | None
    split: str | None
    group: str | None  # the images' group column
    prediction: str
    confidence: float  # probability of the prediction, [0, 1]
    probabilities: tuple[tuple[str, float], ...]  # class, probability; class order
