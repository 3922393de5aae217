"""Proposals as shown: what each asks for, what it would do, what stands in its way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dashboard.viewmodels.hierarchy import DecisionView, ProposalState, ProposalView
from db.hierarchy import fold
from db.hierarchy_records import DecisionRecord, HierarchyRecord, ProposalRecord, SkippedStep, Step
from db.records import RelationRecord

_NUMBERED = re.compile(r"(?:concept |(?<=into ))(\d+)")
RELATIONS = {"is-a": "a kind of", "part-of": "part of"}


def proposal_view(
    record: ProposalRecord,
    names: Mapping[int, str],
    folded: HierarchyRecord,
    decisions: Sequence[DecisionRecord] = (),
    obstacle: str | None = None,
) -> ProposalView:
    """A proposal with the names that stand."""
    return ProposalView(
        id=record.id,
        kind=record.kind,
        concept_id=record.concept_id,
        concept=shown(record.concept, names),
        target_id=record.target_id,
        target=None if record.target is None else shown(record.target, names),
        relation=record.relation_kind,
        parts=record.parts,
        reason=record.reason,
        by=record.reviewer,
        at=record.created_at,
        state=_state(record),
        decisions=tuple(decision_view(each) for each in decisions),
        effect=effect(record, names, folded),
        obstacle=obstacle,
    )


def decision_view(record: DecisionRecord) -> DecisionView:
    """A decision as shown."""
    return DecisionView(
        record.accepted, record.reviewer, record.reason, record.created_at, record.revision
    )


def effect(record: ProposalRecord, names: Mapping[int, str], folded: HierarchyRecord) -> str:
    """What accepting it does, in one sentence."""
    concept = f"“{shown(record.concept, names)}”"
    below = sum(edge.parent == record.concept for edge in folded.edges)
    along = f" {_many(below, 'concept')} below it go along." if below else ""
    if record.kind == "split":
        return (
            f"Keeps a note that {concept} mixes {len(record.parts)} things, for the next training "
            "of the dictionary; cases and verdicts stay as they are."
        )
    target = f"“{shown(record.target, names)}”" if record.target is not None else ""
    if record.kind == "merge":
        return (
            f"Every cue of {concept} shows the name {target} and its contribution adds to it."
            f"{along} Both keep their own verdicts, and declining it later takes them apart again."
        )
    former = [
        f"“{shown(edge.parent, names)}”" for edge in folded.edges if edge.child == record.concept
    ]
    away = f" instead of under {', '.join(former)}" if former else ""
    if record.target is None:
        return f"{concept} stands at the top{away}.{along}"
    relation = RELATIONS.get(record.relation_kind or "", "under")
    return f"{concept} stands under {target} as {relation} it{away}.{along}"


def obstacle(record: ProposalRecord, folded: HierarchyRecord) -> str | None:
    """Why a proposal could not be accepted now, as the store would say it; None where it could."""
    step = Step(
        record.id, record.kind, record.concept, record.target, record.relation_kind, record.parts
    )
    for end in (record.concept, record.target):
        if end is not None and end in folded.aliases:
            return f"concept {end} was merged into {folded.aliases[end]}"
    standing = (
        RelationRecord(edge.child, edge.parent, edge.kind, edge.weight, edge.support)
        for edge in folded.edges
    )
    skipped = fold(standing, [step]).skipped
    return skipped[0].why if skipped else None


def in_names(text: str, names: Mapping[int, str]) -> str:
    """What the store says of concepts by number, with their names.

    >>> in_names("concept 3 would become its own ancestor", {3: "hair"})
    '“hair” would become its own ancestor'
    """
    return _NUMBERED.sub(lambda found: f"“{shown(int(found[1]), names)}”", text)


def skipped_in_words(
    record: ProposalRecord | None, step: SkippedStep, names: Mapping[int, str]
) -> str:
    """An accepted proposal that no longer fits what was decided after it."""
    if record is None:
        return f"An accepted change is left out: {in_names(step.why, names)}."
    concept = shown(record.concept, names)
    return f"The accepted change of “{concept}” is left out for now: {in_names(step.why, names)}."


def shown(number: int, names: Mapping[int, str]) -> str:
    """The name that stands, or the number where there is none."""
    return names.get(number, f"concept {number}")


def _state(record: ProposalRecord) -> ProposalState:
    if record.decision is None:
        return "open"
    return "accepted" if record.decision.accepted else "declined"


def _many(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"
