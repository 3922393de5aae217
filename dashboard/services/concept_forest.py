"""The folded hierarchy as trees for the screen: each concept under its strongest parent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dashboard.viewmodels.hierarchy import TreeNodeView
from db.hierarchy_records import ConceptMarkKind, EdgeRecord, HierarchyRecord
from db.records import ConceptRecord

Marked = Mapping[ConceptMarkKind, Collection[int]]  # numbers of the concepts that bear each


def roots(
    folded: HierarchyRecord, concepts: Mapping[int, ConceptRecord], marked: Marked
) -> tuple[TreeNodeView, ...]:
    """The trees of all concepts that have a relation; most frequent first at every level.

    A concept with several parents hangs under one: a person's before the model's, then the
    heaviest. The others are named in `also`.
    """
    drawn = _Drawn(folded, concepts, marked)
    built: dict[int, TreeNodeView] = {}
    for number in _leaves_first(drawn.below):
        children = tuple(built.pop(child) for child in drawn.below.get(number, ()))
        built[number] = drawn.node(number, children)
    return tuple(built[number] for number in drawn.below.get(None, ()))


def alone(folded: HierarchyRecord, concepts: Mapping[int, ConceptRecord]) -> int:
    """How many concepts fire, stand for themselves and have no relation."""
    related = {end for edge in folded.edges for end in (edge.child, edge.parent)}
    return sum(
        record.frequency > 0 and number not in related and number not in folded.aliases
        for number, record in concepts.items()
    )


@dataclass(frozen=True)
class _Parents:
    first: EdgeRecord
    others: tuple[EdgeRecord, ...]


class _Drawn:
    """Which edge draws each concept, and what lies below each."""

    def __init__(
        self, folded: HierarchyRecord, concepts: Mapping[int, ConceptRecord], marked: Marked
    ) -> None:
        self._concepts = concepts
        self._marked = marked
        edges = [e for e in folded.edges if e.child in concepts and e.parent in concepts]
        self._parents = _strongest(edges)
        self._merged: dict[int, list[int]] = {}
        for number, survivor in sorted(folded.aliases.items()):
            self._merged.setdefault(survivor, []).append(number)
        self.below: dict[int | None, list[int]] = {}
        shown = {end for edge in edges for end in (edge.child, edge.parent)}
        for number in sorted(shown, key=lambda n: (-concepts[n].frequency, n)):
            parents = self._parents.get(number)
            at = parents.first.parent if parents else None
            self.below.setdefault(at, []).append(number)

    def node(self, number: int, children: tuple[TreeNodeView, ...]) -> TreeNodeView:
        record = self._concepts[number]
        parents = self._parents.get(number)
        return TreeNodeView(
            concept_id=record.id,
            concept=number,
            name=record.shown_name,
            named=record.name is not None,
            frequency=record.frequency,
            kind=parents.first.kind if parents else None,
            source=parents.first.source if parents else None,
            children=children,
            artefact=number in self._marked["artefact"],
            locked=number in self._marked["locked"],
            merged=self._names(self._merged.get(number, ())),
            also=self._names([edge.parent for edge in parents.others]) if parents else (),
        )

    def _names(self, numbers: Sequence[int]) -> tuple[str, ...]:
        return tuple(self._concepts[n].shown_name for n in numbers if n in self._concepts)


def _strongest(edges: Sequence[EdgeRecord]) -> dict[int, _Parents]:
    by_child: dict[int, list[EdgeRecord]] = {}
    for edge in edges:
        by_child.setdefault(edge.child, []).append(edge)
    found = {}
    for child, of_child in by_child.items():
        first, *others = sorted(of_child, key=lambda e: (e.source != "person", -e.weight, e.parent))
        found[child] = _Parents(first, tuple(others))
    return found


def _leaves_first(below: Mapping[int | None, Sequence[int]]) -> list[int]:
    """Every concept after all below it; a loop, since chains may be long."""
    order: list[int] = []
    stack = list(below.get(None, ()))
    while stack:
        number = stack.pop()
        order.append(number)
        stack.extend(below.get(number, ()))
    return order[::-1]
