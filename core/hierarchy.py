"""Display forests: the concept graph drawn as trees, each node under one parent.

A forest is a view. The graph keeps every edge; the ones that a forest cannot draw are listed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.types import HierarchyNode, Relation, RelationKind


@dataclass(frozen=True)
class Link:
    """The one edge under which a forest draws a node; `steps` > 1 skips absent ancestors."""

    child: int
    parent: int
    kind: RelationKind
    weight: float  # product of the weights along the way, [0, 1]
    steps: int = 1


@dataclass(frozen=True)
class Forest:
    """Trees, largest |total| first, and the edges between shown nodes that they leave out."""

    roots: tuple[HierarchyNode, ...]
    dropped: tuple[Relation, ...] = ()


def project_forest(
    relations: Iterable[Relation],
    names: Mapping[int, str] | Sequence[str],
    concepts: Collection[int] | None = None,
    contributions: Mapping[int, float] | None = None,
) -> Forest:
    """The forest of a whole project.

    Args:
        relations: acyclic edges, child -> parent.
        names: what to call each concept, by number.
        concepts: the ones to draw; all that have an edge where it is None.
        contributions: a figure per concept to roll up, 0 where it has none.
    """
    edges = tuple(relations)
    if concepts is None:
        concepts = {end for edge in edges for end in (edge.child, edge.parent)}
    figures = contributions or {}
    return _forest(edges, names, {concept: figures.get(concept, 0.0) for concept in concepts})


def case_forest(
    relations: Iterable[Relation],
    contributions: Mapping[int, float],
    names: Mapping[int, str] | Sequence[str],
) -> tuple[HierarchyNode, ...]:
    """The trees of the concepts present in one case, largest |total| first.

    A concept whose ancestors are absent hangs under its nearest present one: fewest steps first,
    then the strongest path. `total` adds to each contribution the totals of its children, so the
    roots' totals add up to all contributions.

    Args:
        relations: acyclic edges, child -> parent.
        contributions: logit units, of exactly the concepts that are present.
        names: what to call each concept, by number.
    """
    return _forest(tuple(relations), names, contributions).roots


def nearest_parents(relations: Iterable[Relation], present: Collection[int]) -> dict[int, Link]:
    """For each present concept the link to its nearest present ancestor, if it has any."""
    above: dict[int, list[Relation]] = {}
    for edge in relations:
        above.setdefault(edge.child, []).append(edge)
    shown = set(present)
    links = {}
    for concept in sorted(shown & above.keys()):
        link = _nearest(concept, above, shown)
        if link is not None:
            links[concept] = link
    return links


def _nearest(concept: int, above: Mapping[int, list[Relation]], shown: set[int]) -> Link | None:
    """Search upwards level by level; the best path to each ancestor wins."""
    level = {concept: Link(concept, concept, "is-a", 1.0, 0)}
    seen: set[int] = {concept}
    while level:
        found = [link for node, link in level.items() if node != concept and node in shown]
        if found:
            return min(found, key=lambda link: (-link.weight, link.parent))
        level = _step_up(level, above, seen)
    return None


def _step_up(
    level: Mapping[int, Link], above: Mapping[int, list[Relation]], seen: set[int]
) -> dict[int, Link]:
    upper: dict[int, Link] = {}
    for node, link in level.items():
        for edge in above.get(node, ()):
            kind: RelationKind = "is-a" if link.kind == edge.kind == "is-a" else "part-of"
            weight = link.weight * edge.weight
            best = upper.get(edge.parent)
            if edge.parent not in seen and (best is None or best.weight < weight):
                upper[edge.parent] = Link(link.child, edge.parent, kind, weight, link.steps + 1)
    seen.update(upper)
    return upper


def _forest(
    edges: Sequence[Relation],
    names: Mapping[int, str] | Sequence[str],
    contributions: Mapping[int, float],
) -> Forest:
    links = nearest_parents(edges, contributions.keys())
    below: dict[int | None, list[int]] = {}
    for concept in sorted(contributions):
        parent = links[concept].parent if concept in links else None
        below.setdefault(parent, []).append(concept)
    built: dict[int, HierarchyNode] = {}
    for concept in _leaves_first(below):
        children = _largest_first(built.pop(child) for child in below.get(concept, ()))
        own = float(contributions[concept])
        total = own + sum(child.total for child in children)
        kind = links[concept].kind if concept in links else None
        built[concept] = HierarchyNode(concept, names[concept], own, total, kind, children)
    drawn = {(link.child, link.parent) for link in links.values()}
    left_out = tuple(
        edge
        for edge in edges
        if edge.child in contributions
        and edge.parent in contributions
        and (edge.child, edge.parent) not in drawn
    )
    return Forest(_largest_first(built.values()), left_out)


def _leaves_first(below: Mapping[int | None, list[int]]) -> list[int]:
    """Every node after all its children; a loop, since chains may be long."""
    order: list[int] = []
    stack = list(below.get(None, ()))
    while stack:
        node = stack.pop()
        order.append(node)
        stack.extend(below.get(node, ()))
    return order[::-1]


def _largest_first(nodes: Iterable[HierarchyNode]) -> tuple[HierarchyNode, ...]:
    return tuple(sorted(nodes, key=lambda node: (-abs(node.total), node.concept)))
