"""Runs and model versions."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from dashboard.viewmodels.words import RunState

NoticeLevel = Literal["info", "warning", "error"]
OptionKind = Literal["whole", "number", "choice", "switch"]


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
class NoticeView:
    """Something that a run has to say about its feedback or its result."""

    level: NoticeLevel
    text: str  # one sentence
    advice: str = ""  # what to do about it, one sentence; may be empty


@dataclass(frozen=True)
class StrategyView:
    """One way to reweight, as offered where a run is started."""

    key: str  # "auto", "groups", ...
    title: str
    line: str  # one sentence: what it does
    paper: str  # where it comes from, author and year
    available: bool  # the present feedback can feed it
    why_not: str = ""  # where not available: what to do


@dataclass(frozen=True)
class StrategyScore:
    """What one strategy reached on the validation cases that are built from the verdicts."""

    key: str
    title: str
    score: float | None  # None where it could not be tried
    unit: str
    chosen: bool
    why: str  # why chosen, or why not tried


@dataclass(frozen=True)
class OptionView:
    """One field of a form: its bounds and what it means."""

    key: str  # the key in `options`
    label: str
    unit: str
    help: str  # one line
    kind: OptionKind
    default: Any
    low: float | None = None  # of whole and number
    high: float | None = None
    choices: tuple[tuple[Any, str], ...] = ()  # of choice: (value, words)
    extra: bool = False  # few need it: it stands under "More settings"
    only: tuple[str, Any] | None = None  # shown where that other field has that value; None: always


@dataclass(frozen=True)
class CurveView:
    """One live curve of a run."""

    series: str  # key, "train/loss"
    label: str
    unit: str
    help: str  # one line
    points: tuple[tuple[int, float], ...]  # (step, value), steps rising


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
    strategy: str = ""  # as asked for; "" for runs that have none
    task: str = ""  # of an evaluate run: "drift", ...
    options: dict[str, Any] = field(default_factory=dict)
    notices: tuple[NoticeView, ...] = ()
    scores: tuple[StrategyScore, ...] = ()
    started_at: datetime | None = None
    resumable: bool = False  # it goes on from where it stopped, with the same verdicts
    checkpoint: str = ""  # in words, where it would go on
    judgement: dict[str, Any] | None = None  # plain JSON of services.judging; None before


@dataclass(frozen=True)
class VersionView:
    """A model version in the lineage."""

    hash: str
    parent: str | None
    kind: str
    state: str
    seed: int
    created_at: datetime
