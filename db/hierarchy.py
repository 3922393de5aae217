"""The hierarchy as it stands: the model's relations, then accepted proposals, in order.

A pure function over plain values, so that it can be read, tested and replayed anywhere:

parent  the child loses its parents and gets the target as its only one (no target: a root)
merge   the concept stands under the target's name from then on; its children go along, its
        own parents are dropped, unless the target was a child of it and takes its place
split   the concept keeps its place and gets the names of its parts

Edges of the model may form a cycle among themselves no more than people's may: an edge that
would close one is left out. A step that touches a merged-away concept, or would make a concept
its own ancestor, is skipped and listed, never half applied.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from db.hierarchy_records import EdgeRecord, HierarchyRecord, SkippedStep, Step
from db.records import RelationRecord


@dataclass
class _State:
    parents: dict[int, dict[int, EdgeRecord]] = field(default_factory=dict)  # child -> edges
    children: dict[int, set[int]] = field(default_factory=dict)
    merged: dict[int, int] = field(default_factory=dict)  # where to, at the time
    splits: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def link(self, edge: EdgeRecord) -> None:
        self.parents.setdefault(edge.child, {})[edge.parent] = edge
        self.children.setdefault(edge.parent, set()).add(edge.child)

    def link_new(self, edge: EdgeRecord) -> None:
        if edge.parent not in self.parents.get(edge.child, {}):
            self.link(edge)

    def unlink(self, child: int, parent: int) -> EdgeRecord:
        self.children[parent].discard(child)
        return self.parents[child].pop(parent)

    def is_above(self, upper: int, lower: int) -> bool:
        """Whether `upper` is `lower` or an ancestor of it."""
        seen, waiting = {lower}, [lower]
        while waiting:
            at = waiting.pop()
            if at == upper:
                return True
            fresh = self.parents.get(at, {}).keys() - seen
            seen |= fresh
            waiting.extend(fresh)
        return False

    def survivor(self, number: int) -> int:
        while number in self.merged:
            number = self.merged[number]
        return number


def fold(
    relations: Iterable[RelationRecord], steps: Iterable[Step], revision: int = 0
) -> HierarchyRecord:
    """The hierarchy after those steps, taken in that order."""
    state = _State()
    for relation in sorted(relations, key=lambda each: (each.child_number, each.parent_number)):
        edge = EdgeRecord(
            child=relation.child_number,
            parent=relation.parent_number,
            kind=relation.kind,
            source="model",
            weight=relation.weight,
            support=relation.support,
        )
        if not state.is_above(edge.child, edge.parent):
            state.link(edge)
    skipped = []
    for step in steps:
        why = _refusal(state, step)
        if why is None:
            _APPLY[step.kind](state, step)
        else:
            skipped.append(SkippedStep(step.proposal_id, why))
    edges = [edge for found in state.parents.values() for edge in found.values()]
    return HierarchyRecord(
        edges=tuple(sorted(edges, key=lambda edge: (edge.child, edge.parent))),
        aliases={number: state.survivor(number) for number in sorted(state.merged)},
        splits=dict(sorted(state.splits.items())),
        revision=revision,
        skipped=tuple(skipped),
    )


def _refusal(state: _State, step: Step) -> str | None:
    """Why a step cannot be taken now; None where it can."""
    if step.concept in state.merged:
        return f"concept {step.concept} was merged into {state.survivor(step.concept)} before"
    if step.target is not None and step.target in state.merged:
        return f"concept {step.target} was merged into {state.survivor(step.target)} before"
    match step.kind:
        case "parent":
            if step.target is not None and state.is_above(step.concept, step.target):
                return f"concept {step.concept} would become its own ancestor"
        case "merge":
            if step.target is None or step.target == step.concept:
                return "a concept can only be merged into another one"
            return _merge_refusal(state, step.concept, step.target)
        case "split":
            if len(step.parts) < 2:
                return "a split needs the names of two parts or more"
        case _:
            assert_never(step.kind)
    return None


def _merge_refusal(state: _State, concept: int, target: int) -> str | None:
    """The concept's children come under the target: none of them may be above it.

    Where the target itself is a child (or further below), the edges on the way are the
    trouble, unless it is a direct child only: that edge goes with the merge.
    """
    for child in state.children.get(concept, set()) - {target}:
        if state.is_above(child, target):
            return f"concept {child} would become its own ancestor"
    return None


def _reparent(state: _State, step: Step) -> None:
    for parent in list(state.parents.get(step.concept, {})):
        state.unlink(step.concept, parent)
    if step.target is not None:
        state.link(
            EdgeRecord(
                child=step.concept,
                parent=step.target,
                kind=step.relation_kind or "is-a",
                source="person",
                weight=1.0,
                support=0,
                proposal_id=step.proposal_id,
            )
        )


def _merge(state: _State, step: Step) -> None:
    if step.target is None:  # refused before
        return
    parents = [state.unlink(step.concept, at) for at in list(state.parents.get(step.concept, {}))]
    for child in sorted(state.children.get(step.concept, set())):
        edge = state.unlink(child, step.concept)
        if child == step.target:
            for above in parents:
                state.link_new(replace(above, child=child))
        else:
            state.link_new(replace(edge, parent=step.target))
    state.merged[step.concept] = step.target
    state.splits.pop(step.concept, None)


def _split(state: _State, step: Step) -> None:
    state.splits[step.concept] = step.parts


_APPLY: dict[str, Callable[[_State, Step], None]] = {
    "parent": _reparent,
    "merge": _merge,
    "split": _split,
}


def depths(edges: Sequence[EdgeRecord]) -> dict[int, int]:
    """Concept -> how far below a root it is (the shortest way); roots are 0."""
    parents: dict[int, set[int]] = {}
    children: dict[int, set[int]] = {}
    for edge in edges:
        parents.setdefault(edge.child, set()).add(edge.parent)
        children.setdefault(edge.parent, set()).add(edge.child)
    level = [number for number in children if number not in parents]
    found = dict.fromkeys(sorted(level), 0)
    while level:
        below = sorted({c for at in level for c in children.get(at, ())} - found.keys())
        depth = found[level[0]] + 1
        found |= dict.fromkeys(below, depth)
        level = below
    return found
