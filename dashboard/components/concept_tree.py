"""The project's hierarchy as a Streamlit component: an ARIA tree; a chosen concept comes back."""

import hashlib
import json
from collections.abc import Callable
from importlib import resources

import streamlit as st

from dashboard.viewmodels.hierarchy import TreeNodeView, TreeView

NAME = "insight_concept_tree"
Row = list[object]


def _asset(name: str) -> str:
    return (resources.files("dashboard.components") / "tree_assets" / name).read_text("utf-8")


_mount = st.components.v2.component(
    NAME, css=_asset("concept_tree.css"), js=_asset("concept_tree.js")
)


def concept_tree(
    tree: TreeView, selected: str | None, *, key: str, on_pick: Callable[[], None]
) -> None:
    """Mount the tree. `on_pick` is called when a concept waits under `key` (see `picked`)."""
    nodes = rows(tree.roots)
    digest = hashlib.sha256(json.dumps(nodes).encode()).hexdigest()
    data = {"version": digest, "nodes": nodes, "selected": selected}
    _mount(key=key, data=data, on_pick_change=on_pick)


def picked(value: object) -> str | None:
    """The id of the chosen concept out of what Streamlit keeps under the component's key."""
    found = value.get("pick") if hasattr(value, "get") else None
    return found if isinstance(found, str) and len(found) <= 64 else None


def rows(roots: tuple[TreeNodeView, ...]) -> list[Row]:
    """The nodes as flat rows, parents before children; a root's parent is -1.

    Flat, because a deep tree of eight thousand would nest too far for some JSON readers.
    """
    found: list[Row] = []
    waiting = [(node, -1) for node in reversed(roots)]
    while waiting:
        node, parent = waiting.pop()
        place = len(found)
        found.append(_row(node, parent))
        waiting.extend((child, place) for child in reversed(node.children))
    return found


def _row(node: TreeNodeView, parent: int) -> Row:
    flags = (("artefact", node.artefact), ("locked", node.locked))
    return [
        node.concept_id, node.concept, node.name, node.named, round(node.frequency, 4), node.kind,
        node.source, parent, [word for word, on in flags if on], list(node.merged),
        list(node.also),
    ]  # fmt: skip
