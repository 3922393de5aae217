"""Runs as shown: progress, and figures before and after with a line that says what each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dashboard.services.run_body import UNEXPECTED
from dashboard.services.run_options import BEFORE_CHOICE
from dashboard.viewmodels import MetricRow, RunState, RunView, VersionView
from dashboard.viewmodels.runs import NoticeView, StrategyScore
from db.feedback_records import RunRecord
from db.records import VersionRecord
from db.unit_of_work import UnitOfWork

# A running run whose worker gave no sign for this long is shown as interrupted.
STALE_AFTER = timedelta(seconds=60)


@dataclass(frozen=True)
class MetricSpec:
    """How one figure is called and read."""

    key: str
    label: str
    unit: str
    higher_is_better: bool
    help: str


METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        "accuracy", "Accuracy", "share", True,
        "share of the held-out cases whose prediction is their label",
    ),
    MetricSpec(
        "worst_group", "Worst-group accuracy", "share", True,
        "lowest accuracy among the groups of cases",
    ),
    MetricSpec(
        "average_group", "Average-group accuracy", "share", True,
        "plain mean of the groups' accuracies, every group counting the same",
    ),
    MetricSpec(
        "spurious_share", "Share on rejected concepts", "share", False,
        "share of all contributions that lies on concepts marked spurious",
    ),
    MetricSpec(
        "ece", "Calibration error", "share", False,
        "mean gap between stated confidence and accuracy (ECE, 15 bins)",
    ),
    MetricSpec(
        "coverage", "Answer sets that hold the truth", "share", True,
        "share of cases whose conformal set of classes holds their label; 90 % is promised on "
        "cases like the validation cases",
    ),
)  # fmt: skip


def metric_rows(metrics: Mapping[str, Any]) -> tuple[MetricRow, ...]:
    """Rows of a run's stored metrics {"splits": {split: {"before": {...}, "after": {...}}}}."""
    rows = []
    for split, pair in metrics.get("splits", {}).items():
        for spec in METRICS:
            row = MetricRow(
                split, spec.key, spec.label, spec.unit, pair["before"].get(spec.key),
                pair["after"].get(spec.key), spec.higher_is_better, spec.help,
            )  # fmt: skip
            rows.append(row)
    return tuple(rows)


def shown_state(run: RunRecord, now: datetime) -> RunState:
    """The stored state, or "interrupted" where the worker has gone silent."""
    last = run.heartbeat_at or run.started_at or run.created_at
    if run.state == "running" and now - last > STALE_AFTER:
        return "interrupted"
    return run.state


def build(uow: UnitOfWork, run: RunRecord, now: datetime) -> RunView:
    """The view of a run, within an open unit of work."""
    wanted = [v for v in (run.base_version_id, run.result_version_id) if v is not None]
    versions = uow.versions.by_ids(wanted)
    base = versions.get(run.base_version_id or "")
    result = versions.get(run.result_version_id or "")
    snapshot = uow.snapshots.get(run.snapshot_id) if run.snapshot_id else None
    requested = uow.reviewers.get(run.requested_by).name if run.requested_by else None
    return RunView(
        id=run.id,
        kind=run.kind,
        state=shown_state(run, now),
        progress=run.progress,
        stage=run.stage,
        message=run.message,
        seed=run.seed,
        requested_by=requested,
        created_at=run.created_at,
        finished_at=run.finished_at,
        base_version=base.hash if base else None,
        result_version=result.hash if result else None,
        result_state=result.state if result else None,
        snapshot_hash=snapshot.hash if snapshot else None,
        verdicts=snapshot.verdicts if snapshot else 0,
        metrics=metric_rows(run.metrics),
        details=dict(run.metrics.get("details", {})),
        strategy=_strategy(run),
        task=str(run.config.get("task", "")),
        options=dict(run.config.get("options", {})),
        notices=_notices(run.metrics),
        scores=_scores(run.metrics),
        started_at=run.started_at,
        resumable=resumable(run, now),
        checkpoint=_checkpoint(run) if resumable(run, now) else "",
        judgement=run.metrics.get("judgement"),
    )


def resumable(run: RunRecord, now: datetime) -> bool:
    """Whether a stopped run goes on where it stopped, with the same verdicts.

    A run that failed over what it was given would fail again: it begins anew.
    """
    kept = "folder" in run.metrics.get("work", {})
    state = shown_state(run, now)
    broke_down = state == "failed" and run.message == UNEXPECTED
    return kept and (state in ("cancelled", "interrupted") or broke_down)


def _checkpoint(run: RunRecord) -> str:
    return f"goes on at {100 * run.progress:.0f} %: {run.stage or 'the beginning'}"


def _strategy(run: RunRecord) -> str:
    return str(run.config.get("strategy", BEFORE_CHOICE)) if run.kind == "reweight" else ""


def _notices(metrics: Mapping[str, Any]) -> tuple[NoticeView, ...]:
    told = metrics.get("details", {}).get("notices", [])
    return tuple(NoticeView(n["level"], n["text"], n.get("advice", "")) for n in told)


def _scores(metrics: Mapping[str, Any]) -> tuple[StrategyScore, ...]:
    kept = metrics.get("details", {}).get("scores", [])
    return tuple(
        StrategyScore(
            key=each["strategy"], title=each["title"], score=each["score"], unit="share",
            chosen=each["chosen"], why=each["why"],
        )
        for each in kept
    )  # fmt: skip


def version_view(version: VersionRecord) -> VersionView:
    """A model version as listed."""
    return VersionView(
        version.hash, version.parent_hash, version.kind, version.state, version.seed,
        version.created_at,
    )  # fmt: skip
