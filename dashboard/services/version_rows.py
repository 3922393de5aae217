"""Versions and decisions on them, as listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dashboard.services.run_data import TRAIN, VAL
from dashboard.viewmodels.judgement import Estimate
from dashboard.viewmodels.versions import VersionEventRow, VersionRow
from db.errors import NotFound
from db.feedback_records import RunRecord
from db.records import VersionRecord
from db.run_records import VersionEventRecord
from db.unit_of_work import UnitOfWork


def rows(uow: UnitOfWork, versions: Sequence[VersionRecord]) -> tuple[VersionRow, ...]:
    """Versions in the order given."""
    snapshots = uow.snapshots.by_ids({v.snapshot_id for v in versions if v.snapshot_id})
    runs = {v.run_id: run for v in versions if v.run_id and (run := _run(uow, v.run_id))}
    people = {each.id: each.name for each in uow.reviewers.list()}
    until: dict[str, datetime] = {}
    for project_id in {version.project_id for version in versions}:
        until |= used_until(uow.version_events.of_project(project_id))
    found = []
    for version in versions:
        run, snapshot = runs.get(version.run_id or ""), snapshots.get(version.snapshot_id or "")
        accuracy, cases, split = measured(version.metrics)
        found.append(
            VersionRow(
                id=version.id,
                hash=version.hash,
                parent=version.parent_hash,
                kind=version.kind,
                state=version.state,
                seed=version.seed,
                created_at=version.created_at,
                run_id=version.run_id,
                run_kind=run.kind if run else None,
                by=people.get(run.requested_by or "") if run else None,
                snapshot_hash=snapshot.hash if snapshot else None,
                verdicts=snapshot.verdicts if snapshot else 0,
                accuracy=accuracy,
                cases=cases,
                split=split,
                used_until=None if version.state == "active" else until.get(version.id),
            )
        )
    return tuple(found)


def used_until(found: Sequence[VersionEventRecord]) -> dict[str, datetime]:
    """Version id -> when another last took its place, from decisions that are oldest first."""
    return {
        each.former_id: each.created_at
        for each in found
        if each.former_id and each.kind != "discard" and each.former_id != each.version_id
    }


def events(uow: UnitOfWork, found: Sequence[VersionEventRecord]) -> tuple[VersionEventRow, ...]:
    """Decisions, newest first."""
    ids = {each.version_id for each in found} | {e.former_id for e in found if e.former_id}
    versions = uow.versions.by_ids(ids)
    return tuple(
        VersionEventRow(
            id=each.id,
            kind=each.kind,
            version_hash=versions[each.version_id].hash,
            former_hash=versions[each.former_id].hash if each.former_id in versions else None,
            by=each.reviewer,
            at=each.created_at,
            reason=each.reason,
        )
        for each in reversed(found)
    )


def measured(metrics: Mapping[str, Any]) -> tuple[Estimate, int, str]:
    """Held-out accuracy as measured when the version was made, over how many cases, of what."""
    from core.intervals import wilson

    found = {name: _figures(each) for name, each in metrics.get("splits", {}).items()}
    known = {
        name: (float(each["accuracy"]), int(each["n"]))
        for name, each in found.items()
        if each.get("accuracy") is not None and each.get("n")
    }
    names = sorted(set(known) - {TRAIN, VAL}) or [n for n in (VAL, TRAIN) if n in known][:1]
    cases = sum(known[name][1] for name in names)
    if not cases:
        return Estimate(None), 0, ""
    hits = sum(round(known[name][0] * known[name][1]) for name in names)
    share = wilson(hits, cases)
    return Estimate(share.value, share.low, share.high), cases, ", ".join(names)


def _figures(split: Any) -> Mapping[str, Any]:
    """The figures of one split: a discovery keeps them plainly, a run before and after."""
    if not isinstance(split, Mapping):
        return {}
    after = split.get("after", split)
    return after if isinstance(after, Mapping) else {}


def _run(uow: UnitOfWork, run_id: str) -> RunRecord | None:
    try:
        return uow.runs.get(run_id)
    except NotFound:
        return None
