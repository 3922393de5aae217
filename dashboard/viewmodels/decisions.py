"""What was decided about a project, by whom, why, and on what evidence."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Subject = Literal["threshold", "criterion", "version", "run", "report", "drift", "other"]
Source = Literal["written", "version", "criterion", "settings"]
"""written: somebody wrote it down here; else it was read from what was done elsewhere."""
EvidenceKind = Literal["run", "version", "criterion", "export", "case", "address"]


@dataclass(frozen=True)
class EvidenceLink:
    """Something that a decision rests on."""

    kind: EvidenceKind
    id: str  # of the run, version, case, export; the measure of a criterion; an address
    label: str
    screen: str = ""  # where to look at it; "" where there is no screen for it
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DecisionEntry:
    """One decision on the timeline."""

    id: str
    source: Source
    subject: Subject
    subject_id: str | None
    title: str  # what was decided on
    choice: str  # what was chosen
    reason: str  # why; "" where nobody said
    evidence: tuple[EvidenceLink, ...]
    by: str | None  # None: the program itself
    at: datetime
    supersedes: str | None = None  # id of the decision that this one takes the place of
    superseded_by: str | None = None
    alternatives: str = ""  # what else was possible


@dataclass(frozen=True)
class DecisionFilter:
    """Which decisions to list; everything empty lists all."""

    subject: str = ""
    source: str = ""
    search: str = ""  # in title, choice, reason and name
    standing: bool = False  # leave out what was superseded
