"""The part of a concept graph that lies above the concepts of one case.

A project may have tens of thousands of relations, a case a few hundred concepts. Looking relations
up by child, once per graph, keeps the tree of a case from costing as much as the whole graph.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence

from core.types import Relation

_KEPT = 8  # graphs


class Ancestry:
    """Relations by child. Shared between threads: never changes."""

    def __init__(self, relations: Sequence[Relation]) -> None:
        self._above: dict[int, list[tuple[int, Relation]]] = {}
        for place, edge in enumerate(relations):
            self._above.setdefault(edge.child, []).append((place, edge))

    def upward(self, concepts: Collection[int]) -> tuple[Relation, ...]:
        """Every relation on a way up from the concepts, in the order of the graph."""
        seen = set(concepts)
        open_: list[int] = list(seen)
        found: list[tuple[int, Relation]] = []
        while open_:
            edges = self._above.get(open_.pop(), ())
            found.extend(edges)
            fresh = {edge.parent for _, edge in edges} - seen
            seen |= fresh
            open_.extend(fresh)
        return tuple(edge for _, edge in sorted(found, key=lambda pair: pair[0]))


_kept: OrderedDict[int, tuple[Sequence[Relation], Ancestry]] = OrderedDict()
_lock = threading.Lock()


def ancestry_of(relations: Sequence[Relation]) -> Ancestry:
    """The ancestry of a graph; that of a tuple is kept for the next case of the same model.

    A kept graph is held with its tuple, so that its identity cannot be taken over by another.
    """
    if not isinstance(relations, tuple):
        return Ancestry(relations)
    with _lock:
        kept = _kept.get(id(relations))
        if kept is not None:
            _kept.move_to_end(id(relations))
            return kept[1]
    made = Ancestry(relations)
    with _lock:
        _kept[id(relations)] = (relations, made)
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)
    return made
