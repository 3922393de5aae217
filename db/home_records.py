"""Frozen records of what the team lead's home reads: sums over many rows, made by the database."""

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True)
class WorkDay:
    """What one person did on one day (UTC)."""

    day: date
    reviewer_id: str
    words: int
    cases: int  # different ones


@dataclass(frozen=True)
class PartCount:
    """Cases of one class, split or group, and how many of them are reviewed."""

    name: str | None
    cases: int
    begun: int  # anybody gave a word
    done: int  # as many people as wanted


@dataclass(frozen=True)
class ConceptClassCount:
    """Standing verdicts on one concept in the cases of one decided class."""

    concept_id: str
    class_name: str
    correct: int
    spurious: int


@dataclass(frozen=True)
class PairSums:
    """Sums over the cases of one stretch of time, for a chance-corrected agreement.

    A cue u on which c people said correct and s said spurious (c + s >= 2) gives its case
    o = 2 c s / (c + s - 1), c and s. The record holds the sums over cases and the sums of products.
    """

    day: date  # first day of the stretch
    cues: int
    cases: int
    o: float
    c: float
    s: float
    oo: float
    cc: float
    ss: float
    oc: float
    os: float
    cs: float


@dataclass(frozen=True)
class ShareSums:
    """Sums over cases for a share of verdicts whose interval is drawn over cases."""

    cases: int
    hits: int  # standing verdicts that say spurious
    total: int  # standing verdicts that say correct or spurious
    hits_hits: float
    hits_total: float
    total_total: float


@dataclass(frozen=True)
class LoadCount:
    """One person's share of the work on a version."""

    reviewer_id: str
    reviewer: str
    assigned: int
    open: int  # assigned, without this person's word
    done: int
    held: int  # leases that run now
    last: datetime | None  # latest word in the project


@dataclass(frozen=True)
class QueueCount:
    """What the queue of a version holds."""

    total: int
    done: int
    begun: int  # somebody gave a word, fewer than wanted
    held: int  # cases with a running lease
    stale: int  # cases whose lease ran out without that person's word
    flagged: int
    escalated: int
    skipped: int
    oldest: datetime | None
    oldest_case: str | None
