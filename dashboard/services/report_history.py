"""What changed in the time of a report: names, the hierarchy, runs, versions, decisions, drift."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import InsightError
from dashboard.services import judging_words
from dashboard.services.judged import Judged, SplitJudged
from dashboard.services.judging_views import ALL
from dashboard.services.proposal_words import shown as shown_name
from dashboard.services.run_view import shown_state
from dashboard.viewmodels.drift import DriftRow, DriftView
from dashboard.viewmodels.report_content import (
    DecisionLine,
    NameChange,
    RunChange,
    RunSplit,
    StructureChange,
    VersionStep,
)
from dashboard.viewmodels.runs import NoticeView
from db.errors import StoreError
from db.report_records import Selection
from db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from db.feedback_records import RunRecord
    from db.hierarchy_records import ProposalRecord
    from db.records import VersionRecord
    from db.report_records import SnapshotHead

NO_DRIFT = "No drift check has been made: nothing is known of whether new images differ."
WHOLE = "Drift was checked over the whole project, whatever the scope of this report."


class Drifts(Protocol):
    """What is needed of DriftService."""

    def list(self, project_id: str) -> tuple[DriftRow, ...]:
        """All checks, newest first."""

    def view(self, run_id: str, *, pictures: bool = True) -> DriftView:
        """One check."""


def inside(sel: Selection, at: datetime) -> bool:
    """Whether a moment lies in the period of the report."""
    return (sel.since is None or at >= sel.since) and (sel.until is None or at < sel.until)


def names(uow: UnitOfWork, sel: Selection) -> tuple[NameChange, ...]:
    """Names that people gave, newest first; by the person of the scope where one is named."""
    return tuple(
        NameChange(
            row.number, row.former or f"concept {row.number}", row.event.name,
            row.event.reviewer or row.event.source, row.event.created_at, row.event.reason,
        )
        for row in uow.concepts.renames(sel.project_id)
        if inside(sel, row.event.created_at)
        and sel.reviewer_id in (None, row.event.reviewer_id)
    )  # fmt: skip


def structure(uow: UnitOfWork, sel: Selection) -> tuple[StructureChange, ...]:
    """Merges, splits and moves that were decided, newest first, over all dictionaries."""
    hashes = dict.fromkeys(v.dictionary_hash for v in uow.versions.list(sel.project_id))
    found: list[StructureChange] = []
    for dictionary in hashes:
        decided = [
            each
            for each in uow.hierarchy.proposals(sel.project_id, dictionary)
            if each.decision is not None
            and inside(sel, each.decision.created_at)
            and sel.reviewer_id in (None, each.reviewer_id, each.decision.reviewer_id)
        ]
        if not decided:
            continue
        numbers = {n for each in decided for n in (each.concept, each.target) if n is not None}
        named = uow.concepts.names(sel.project_id, dictionary, numbers=numbers)
        found += [_change(each, named) for each in decided]
    return tuple(sorted(found, key=lambda each: each.at, reverse=True))


def _change(each: ProposalRecord, named: dict[int, str]) -> StructureChange:
    concept = f"“{shown_name(each.concept, named)}”"
    target = "" if each.target is None else f"“{shown_name(each.target, named)}”"
    if each.kind == "merge":
        sentence = f"{concept} is the same as {target}"
    elif each.kind == "split":
        sentence = f"{concept} mixes several things: {', '.join(each.parts)}"
    elif not target:
        sentence = f"{concept} stands at the top"
    else:
        words = "a kind of" if each.relation_kind == "is-a" else "part of"
        sentence = f"{concept} is {words} {target}"
    decision = each.decision
    assert decision is not None
    return StructureChange(
        each.kind, sentence, "accepted" if decision.accepted else "declined", decision.reviewer,
        decision.created_at, decision.reason or each.reason,
    )  # fmt: skip


def runs(uow: UnitOfWork, sel: Selection, now: datetime) -> tuple[RunChange, ...]:
    """Runs asked for in the period, newest first, each with its figures before and after.

    Drift checks are told elsewhere. With a version named, only the run that made it.
    """
    rows = [
        run
        for run in uow.runs.list(sel.project_id)
        if run.kind != "evaluate" and inside(sel, run.created_at)
    ]
    if sel.version_id is not None:
        rows = [run for run in rows if run.result_version_id == sel.version_id]
    if sel.reviewer_id is not None:
        rows = [run for run in rows if run.requested_by == sel.reviewer_id]
    ids = {v for run in rows for v in (run.base_version_id, run.result_version_id) if v}
    versions = uow.versions.by_ids(ids)
    heads = uow.report.snapshot_heads(run.snapshot_id for run in rows if run.snapshot_id)
    people = {row.id: row.name for row in uow.reviewers.list()}
    return tuple(_run(run, versions, heads, people, now) for run in rows)


def _run(
    run: RunRecord, versions: dict[str, VersionRecord], heads: dict[str, SnapshotHead],
    people: dict[str, str], now: datetime,
) -> RunChange:  # fmt: skip
    base, result = (
        versions.get(each or "") for each in (run.base_version_id, run.result_version_id)
    )
    head = heads.get(run.snapshot_id or "")
    splits = _splits(run.metrics)
    told = run.metrics.get("details", {}).get("notices", [])
    return RunChange(
        id=run.id,
        kind=run.kind,
        strategy=str(run.config.get("strategy", "")) if run.kind == "reweight" else "",
        state=shown_state(run, now),
        seed=run.seed,
        by=people.get(run.requested_by or ""),
        at=run.finished_at or run.created_at,
        base_version=base.hash if base else None,
        result_version=result.hash if result else None,
        result_state=result.state if result else None,
        snapshot=head.hash if head else None,
        verdicts=head.verdicts if head else 0,
        sentence=" ".join(each.sentence for each in splits) or run.message,
        splits=splits,
        notices=tuple(NoticeView(n["level"], n["text"], n.get("advice", "")) for n in told),
    )


def _splits(metrics: dict[str, Any]) -> tuple[RunSplit, ...]:
    """What the run measured itself; it is never measured again for a report."""
    found = Judged.from_json(metrics.get("judgement") or {})
    if found is None:
        return ()
    rows = [*found.splits.items(), *([(ALL, found.pooled)] if found.pooled else [])]
    return tuple(_split(name, each) for name, each in rows)


def _split(name: str, each: SplitJudged) -> RunSplit:
    judgement = each.judgement
    return RunSplit(
        split=name,
        n=judgement.n,
        left_out=each.left_out,
        sentence=judging_words.headline(name, judgement),
        figures=tuple(judging_words.figure_view(figure) for figure in judgement.figures),
        notes=each.notes,
    )


def versions(uow: UnitOfWork, sel: Selection) -> tuple[VersionStep, ...]:
    """How the versions came about and what was decided on them, oldest first."""
    rows = {row.id: row for row in uow.versions.list(sel.project_id)}
    steps = [
        VersionStep(row.created_at, "made", row.hash, row.parent_hash, row.kind, None, "", row.seed)
        for row in rows.values()
    ]
    for event in uow.version_events.of_project(sel.project_id):
        row = rows[event.version_id]
        former = rows.get(event.former_id or "")
        steps.append(
            VersionStep(
                event.created_at, event.kind, row.hash, former.hash if former else None, row.kind,
                event.reviewer, event.reason, row.seed,
            )
        )  # fmt: skip
    found = [step for step in steps if inside(sel, step.at)]
    if sel.version_id is not None:
        wanted = rows[sel.version_id].hash
        found = [step for step in found if wanted in (step.version, step.former)]
    return tuple(sorted(found, key=lambda step: step.at))


def decisions(uow: UnitOfWork, sel: Selection) -> tuple[DecisionLine, ...]:
    """The decision log of the period, newest first."""
    return tuple(
        DecisionLine(
            row.id, row.created_at, row.reviewer, row.subject, row.title, row.choice, row.reason,
            tuple(evidence_words(row.evidence)), row.supersedes,
        )
        for row in uow.decisions.list(sel.project_id)
        if inside(sel, row.created_at) and sel.reviewer_id in (None, row.reviewer_id)
    )  # fmt: skip


def evidence_words(evidence: Sequence[dict[str, Any]]) -> Iterable[str]:
    """Each piece of evidence in one line: what kind it is, and what it says."""
    for each in evidence:
        text = each.get("text") or each.get("label") or each.get("title")
        rest = {k: v for k, v in each.items() if k not in ("text", "label", "title", "kind")}
        about = ", ".join(
            f"{key} {value}" for key, value in rest.items() if value not in (None, "")
        )
        head = f"{each['kind']}: " if each.get("kind") else ""
        yield f"{head}{text} ({about})" if text and about else f"{head}{text or about}"


def drift(drifts: Drifts, sel: Selection) -> tuple[DriftView | None, str]:
    """The last check that ended within the period, or why there is none."""
    for row in drifts.list(sel.project_id):
        if row.alert is None or (sel.until is not None and row.at >= sel.until):
            continue
        try:
            view = drifts.view(row.run_id, pictures=False)
        except (InsightError, StoreError) as error:
            return None, str(error)
        if view.done:
            return view, WHOLE
    return None, NO_DRIFT
