"""What a team lead sees first: how the work goes, how far it is, what needs a hand."""

from dataclasses import dataclass
from datetime import date, datetime

from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.schedules import ScheduleView
from dashboard.viewmodels.success import CriterionOutcome

Link = tuple[str, tuple[tuple[str, str], ...]]
"""A screen and the parameters of its address."""


@dataclass(frozen=True)
class DayOfWork:
    """What one person did on one day (UTC)."""

    day: date
    person: str
    words: int  # verdicts and assessments
    cases: int  # different cases that these lie in


@dataclass(frozen=True)
class CoveragePart:
    """How much of one part of the cases is reviewed."""

    name: str  # a class, split or group; "" where there is none
    cases: int
    begun: int  # anybody gave a word
    done: int  # as many people as wanted gave a word
    link: Link

    @property
    def share(self) -> float:
        """Share that is done, [0, 1]."""
        return self.done / self.cases if self.cases else 0.0


@dataclass(frozen=True)
class AgreementPoint:
    """Agreement on the cues whose last word fell into one stretch of time."""

    start: date  # first day
    alpha: Estimate  # Krippendorff's alpha, [-1, 1], 95 % interval clustered by case
    cues: int
    cases: int


@dataclass(frozen=True)
class SpuriousCell:
    """What people say of one concept in the cases of one decided class."""

    concept_id: str
    name: str
    class_name: str
    spurious: int
    judged: int  # correct or spurious


@dataclass(frozen=True)
class LoadRow:
    """One person's share of the work."""

    person: str
    assigned: int  # cases given to this person
    open: int  # of these, without this person's word
    done: int  # cases of the version with this person's word
    held: int  # cases open on this person's desk now
    seconds: float | None  # median time between two words of one sitting
    sample: int  # words that this median is of
    last: datetime | None  # latest word


@dataclass(frozen=True)
class QueueHealth:
    """What the queue holds and what stands still in it."""

    total: int
    done: int  # as many people as wanted gave a word
    begun: int  # somebody gave a word, but not as many as wanted
    untouched: int
    held: int  # open on somebody's desk now
    stale: int  # was opened and left: the hold has run out without a word
    flagged: int
    escalated: int
    skipped: int
    oldest: datetime | None  # the escalation or flag that waits longest
    oldest_case: str | None


@dataclass(frozen=True)
class Anew:
    """Since when the active version decides, and what stands on the cases of others."""

    version: str  # hash
    at: datetime  # when it was made active
    kept: int  # verdicts that stand on the cases of other versions


@dataclass(frozen=True)
class HomeAlert:
    """Something that needs a hand."""

    level: str  # "warning" or "info"
    text: str
    link: Link


@dataclass(frozen=True)
class RunLine:
    """A run as the home screen lists it."""

    run_id: str
    kind: str
    task: str
    state: str
    progress: float
    at: datetime
    text: str  # what came of it
    link: Link


@dataclass(frozen=True)
class HomeView:
    """How things stand now."""

    today: date  # UTC
    coverage: tuple[CoveragePart, ...]  # by label; by decided class where nothing is labelled
    by_split: tuple[CoveragePart, ...]
    by_group: tuple[CoveragePart, ...]
    spurious: tuple[SpuriousCell, ...]
    health: QueueHealth | None  # None: no model version yet
    load: tuple[LoadRow, ...]
    runs: tuple[RunLine, ...]  # newest first
    alerts: tuple[HomeAlert, ...]
    schedules: tuple[ScheduleView, ...]
    as_of: datetime
    took: float  # seconds
    anew: Anew | None = None  # None: nothing stands on another version


@dataclass(frozen=True)
class HistoryView:
    """How the work went."""

    work: tuple[DayOfWork, ...]  # oldest first
    today: date  # UTC
    covered: tuple[tuple[date, int], ...]  # day, cases done by its end; oldest first
    agreement: tuple[AgreementPoint, ...]  # oldest first
    stretch: str  # "day", "week" or "month": what one point of the agreement stands for
    as_of: datetime
    took: float  # seconds


@dataclass(frozen=True)
class CriteriaView:
    """The criteria with what came of each."""

    outcomes: tuple[CriterionOutcome, ...]
    passed: int
    failed: int
    unsaid: int
