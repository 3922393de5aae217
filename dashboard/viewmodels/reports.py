"""The summary of a review."""

from dataclasses import dataclass
from datetime import datetime

from dashboard.viewmodels.concepts import NameEvent
from dashboard.viewmodels.projects import ProjectView
from dashboard.viewmodels.runs import RunView, VersionView


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
