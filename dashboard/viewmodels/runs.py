"""Runs and model versions."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dashboard.viewmodels.words import RunState


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
