"""A stored case under the hierarchy that people made since: merged concepts, other parents.

Cases are stored with the tree of the day they were explained. What people changed is folded in
when the case is looked at, as names are; nothing stored is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.types import HierarchyNode, Relation

if TYPE_CHECKING:
    from db.hierarchy_records import HierarchyRecord

Node = Mapping[str, Any]  # concept, kind, contribution, total, children: as explanations keep it


def survivors(names: Mapping[int, str], folded: HierarchyRecord) -> dict[int, str]:
    """The names with every merged concept under the name of the one that stands for it."""
    found = dict(names)
    for merged, survivor in folded.aliases.items():
        found[merged] = names.get(survivor, f"concept {survivor}")
    return found


def case_nodes(nodes: Sequence[Node], folded: HierarchyRecord) -> list[Node]:
    """The trees of a case as people have them now: same shape, largest |total| first.

    A merged concept adds its contribution to the one that stands for it. The sum of the roots'
    totals stays what it was. Nodes come back unchanged where nobody changed anything.
    """
    if not folded.revision:
        return list(nodes)
    contributions: dict[int, float] = {}
    for concept, value in _flat(nodes):
        number = folded.survivor(concept)
        contributions[number] = contributions.get(number, 0.0) + value
    return _forest(contributions, folded)


def _forest(contributions: Mapping[int, float], folded: HierarchyRecord) -> list[Node]:
    from core.hierarchy import case_forest

    edges = [
        Relation(edge.child, edge.parent, edge.kind, edge.weight, edge.support)
        for edge in folded.edges
    ]
    names = dict.fromkeys(contributions, "")  # the caller has names; a tree needs none
    return _json(case_forest(edges, contributions, names))


def _flat(nodes: Sequence[Node]) -> Iterator[tuple[int, float]]:
    """(concept, own contribution) of every node."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield int(node["concept"]), float(node["contribution"])
        waiting.extend(node.get("children", ()))


def _json(nodes: Sequence[HierarchyNode]) -> list[Node]:
    return [
        {
            "concept": node.concept,
            "kind": node.kind,
            "contribution": node.contribution,
            "total": node.total,
            "children": _json(node.children),
        }
        for node in nodes
    ]
