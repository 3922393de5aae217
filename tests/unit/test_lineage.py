"""The graph from data to version: columns and rows by hand."""

from dashboard.services.lineage import laid_out, sources
from dashboard.viewmodels.versions import LineageEdge, LineageNode, NodeKind


def node(id: str, kind: NodeKind = "version") -> LineageNode:
    return LineageNode(id, kind, id, "", "", None, 0, 0, id)


def test_columns_follow_the_longest_way() -> None:
    nodes = [node("data", "data"), node("v0"), node("run", "run"), node("said", "snapshot"),
             node("v1"), node("other")]  # fmt: skip
    edges = [
        LineageEdge("data", "v0", "learnt from"), LineageEdge("data", "run", "learnt from"),
        LineageEdge("v0", "run", "started from"), LineageEdge("said", "run", "verdicts used"),
        LineageEdge("run", "v1", "made"), LineageEdge("data", "other", "learnt from"),
    ]  # fmt: skip
    found = {each.id: (each.column, each.row) for each in laid_out(nodes, edges)}
    assert found == {
        "data": (0, 0), "v0": (1, 0), "said": (1, 1), "other": (1, 2), "run": (2, 0), "v1": (3, 0),
    }  # fmt: skip
    assert sources(edges, "v1") == ("run", "data", "v0", "said")
    assert sources(edges, "data") == ()


def test_nothing_is_laid_out_as_nothing() -> None:
    assert laid_out([], []) == ()
