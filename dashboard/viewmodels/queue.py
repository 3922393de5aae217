"""Cases in the order in which they are to be reviewed, and who is at which."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

QueueStatus = Literal[
    "all", "open", "mine", "assigned", "held", "flagged", "escalated", "skipped", "done"
]


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
    reason: str = ""  # why it stands here, in words
    held_by: str | None = None  # another reviewer who has it open now
    marks: tuple[str, ...] = ()  # of "skip", "flag", "escalate": standing ones
    assigned_to: tuple[str, ...] = ()
    reviewers: int = 0  # how many people gave a word on it
    wanted: int = 1  # how many people are to judge it


@dataclass(frozen=True)
class PlaceView:
    """Where a case stands in the queue and what was said of that."""

    reason: str  # "model and label disagree", "random control", ...
    held_by: str | None  # another reviewer who has it open now
    until: datetime | None  # when that lease ends
    wanted: int  # how many people are to judge it
    reviewers: int  # how many gave a word on it
    marks: tuple[str, ...] = ()
    mine_done: int = 0  # cases that I gave a word on
    team_done: int = 0  # cases that as many as wanted gave a word on
    total: int = 0


@dataclass(frozen=True)
class QueueFilter:
    """Which cases to list; everything empty lists all."""

    search: str = ""  # part of the image's name
    status: QueueStatus = "all"
    reason: str = ""  # "uncertain", "shortcut", ...
    prediction: str = ""
    label: str = ""
    split: str = ""
    page: int = 1  # 1-based

    @property
    def narrowed(self) -> bool:
        """Whether some cases are left out."""
        rest = (self.search, self.reason, self.prediction, self.label, self.split)
        return any(rest) or self.status != "all"


@dataclass(frozen=True)
class QueuePage:
    """One page of the queue."""

    rows: tuple[QueueRow, ...]
    total: int  # cases that match, on all pages
    page: int  # 1-based
    pages: int
    size: int = 25  # rows of a full page
    hidden: frozenset[str] = frozenset()  # what the project hides of cases without one's own word
    order: Literal["priority", "random"] = "priority"


@dataclass(frozen=True)
class ProgressView:
    """How far the review has come."""

    mine: int  # cases that I gave a word on
    team: int  # cases that as many people as wanted gave a word on
    total: int
    people: tuple[tuple[str, int], ...] = ()  # name, cases; most first


@dataclass(frozen=True)
class ClaimView:
    """Whether an opened case is now kept for me."""

    case_id: str
    ok: bool
    held_by: str | None = None  # who has it instead
    until: datetime | None = None  # end of my lease, or of theirs


@dataclass(frozen=True)
class UndoneView:
    """What an undo brought back."""

    id: str  # of the row that takes something back
    kind: Literal["verdict", "assessment", "drawing"]
    case_id: str
    cue_id: str | None
    value: str  # of the verdict that stands again; "withdrawn" where none does; else ""


@dataclass(frozen=True)
class PlanView:
    """The stated priority of a queue and what it came to."""

    total: int
    counts: tuple[tuple[str, str, int], ...]  # key, what it means, cases; in the plan's order
    seed: int
    by: str = ""
    at: datetime | None = None
    notes: tuple[str, ...] = field(default=())  # what could not be used, and why


@dataclass(frozen=True)
class FacetsView:
    """What a queue can be filtered by: (value, words) of each."""

    reasons: tuple[tuple[str, str], ...]
    predictions: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]
    splits: tuple[tuple[str, str], ...]
