from core.ancestry import Ancestry, ancestry_of
from core.hierarchy import case_forest
from core.types import Relation


def edge(child: int, parent: int) -> Relation:
    return Relation(child, parent, "is-a", 0.9, 10)


EDGES = (edge(5, 4), edge(3, 2), edge(2, 1), edge(1, 0), edge(3, 0), edge(9, 8))


def test_only_what_lies_above_is_kept_in_the_order_of_the_graph() -> None:
    assert Ancestry(EDGES).upward([3]) == (EDGES[1], EDGES[2], EDGES[3], EDGES[4])
    assert Ancestry(EDGES).upward([0, 4]) == ()
    assert Ancestry(EDGES).upward([]) == ()


def test_the_tree_of_a_case_is_that_of_the_whole_graph() -> None:
    present = {3: 2.0, 0: 1.0, 5: 0.5, 9: -1.0}
    names = [f"thing {k}" for k in range(10)]
    above = ancestry_of(EDGES).upward(present)
    assert case_forest(above, present, names) == case_forest(EDGES, present, names)


def test_a_graph_is_read_once_and_a_list_never_kept() -> None:
    assert ancestry_of(EDGES) is ancestry_of(EDGES)
    held = list(EDGES)
    assert ancestry_of(held) is not ancestry_of(held)
    many = [(edge(1, 0), edge(n + 2, 1)) for n in range(12)]
    assert [ancestry_of(graph).upward([n + 2]) for n, graph in enumerate(many)] == [
        (graph[0], graph[1]) for graph in many
    ]
