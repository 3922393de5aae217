"""The lineage graph: from data through verdicts and runs to versions, top down.

Kinds differ in shape and word as well as in colour. The text alternative has a line per version.
"""

from html import escape

import plotly.graph_objects as go

from dashboard.viewmodels.versions import LineageEdge, LineageNode, LineageView
from dashboard.views.figures import INK, ink, tone
from dashboard.views.text import moment

FILL = {  # light page, dark page
    "data": ("#e4e9ee", "#2b3640"),
    "snapshot": ("#fbe9c6", "#4d3d12"),
    "run": ("#dcefe8", "#123f33"),
    "version": ("#d7e9f7", "#123a57"),
}
EDGE = {"data": "#6d7a86", "snapshot": "#a36b00", "run": "#007a5a", "version": "#0072b2"}
KIND = {"data": "Data", "snapshot": "Verdicts", "run": "Run", "version": "Version"}
SYMBOL = {"data": "square", "snapshot": "diamond", "run": "triangle-up", "version": "circle"}
STATE = {"active": "● active", "candidate": "○ candidate", "discarded": "✕ discarded"}
LINE = "#8a97a3"
WIDE, TALL = 0.8, 0.62  # of a box, in cells
CELL = 92  # pixels from one level to the next
LEAST = 2  # boxes that would fit beside each other, so that a single row is not drawn too wide
LETTERS = 72  # that fit into all boxes of a level together
_HEAD = {
    "xref": "x", "yref": "y", "axref": "x", "ayref": "y", "showarrow": True, "arrowhead": 2,
    "arrowsize": 1, "arrowwidth": 1.4, "arrowcolor": LINE, "text": "",
}  # fmt: skip


def graph(view: LineageView) -> tuple[go.Figure, str]:
    """Boxes and arrows; a click on a version's mark names it in `customdata`."""
    at = {node.id: node for node in view.nodes}
    figure = go.Figure()
    rows = max(view.rows, 1)
    for node in view.nodes:
        _box(figure, node, active=node.id == view.active, most=LETTERS // max(rows, LEAST))
    for edge in view.edges:
        if edge.source in at and edge.target in at:
            _arrow(figure, edge, at[edge.source], at[edge.target])
    for kind in KIND:
        nodes = [node for node in view.nodes if node.kind == kind]
        if nodes:
            _marks(figure, kind, nodes)
    figure.update_layout(
        height=60 + CELL * max(view.columns, 1), margin={"l": 0, "r": 0, "t": 30, "b": 4},
        showlegend=True, dragmode=False, font={"size": 12},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "font": {"color": ink()},
                "itemclick": False, "itemdoubleclick": False},
    )  # fmt: skip
    figure.update_xaxes(visible=False, range=[-0.5, max(rows, LEAST) - 0.4])
    figure.update_yaxes(visible=False, range=[max(view.columns, 1) - 0.45, -0.5])
    words = " ".join(view.text)
    return figure, f"Where each version came from. {words}"


def _box(figure: go.Figure, node: LineageNode, *, active: bool, most: int) -> None:
    dark = ink() != INK
    x, y = node.row, node.column
    figure.add_shape(
        type="rect", x0=x - WIDE / 2, x1=x + WIDE / 2, y0=y - TALL / 2, y1=y + TALL / 2,
        fillcolor=FILL[node.kind][dark], layer="below",
        line={"color": tone(EDGE[node.kind]), "width": 3 if active else 1,
              "dash": "dot" if node.state == "discarded" else "solid"},
    )  # fmt: skip
    state = _stands(node) if node.kind == "version" else ""
    figure.add_annotation(
        x=x + 0.03,
        y=y,
        showarrow=False,
        font={"color": ink(), "size": 12},
        align="center",
        text=f"<b>{_cut(node.title, most)}</b><br>{_cut(state or node.line, most)}",
    )


def _stands(node: LineageNode) -> str:
    """What became of a version, in a few letters."""
    if node.used_until is not None and node.state == "candidate":
        return f"○ used until {node.used_until.astimezone():%d %b %Y}"
    return STATE.get(node.state, "")


def _arrow(figure: go.Figure, edge: LineageEdge, source: LineageNode, target: LineageNode) -> None:
    """From the lower side of one box to the upper side of the next; round what lies between."""
    if target.column - source.column > 1:
        _around(figure, source, target)
        return
    figure.add_annotation(
        x=target.row, y=target.column - TALL / 2, ax=source.row, ay=source.column + TALL / 2,
        hovertext=escape(edge.label, quote=False), **_HEAD,
    )  # fmt: skip


def _around(figure: go.Figure, source: LineageNode, target: LineageNode) -> None:
    """Down the gap beside the source, on the target's side, and into the target from there."""
    side = -1 if target.row < source.row else 1
    leaves, gap = source.row + side * WIDE / 2, source.row + side * 0.5
    enters = target.row + (WIDE / 2 if target.row <= source.row else -WIDE / 2)
    up, down = source.column, target.column
    figure.add_shape(
        type="path", layer="below", line={"color": LINE, "width": 1.4},
        path=f"M {leaves},{up} C {gap},{up} {gap},{up} {gap},{up + 0.3} L {gap},{down - 0.3} "
        f"C {gap},{down} {gap},{down} {enters},{down}",
    )  # fmt: skip
    before = 0.02 if enters < gap else -0.02
    figure.add_annotation(x=enters, y=down, ax=enters + before, ay=down, **_HEAD)


def _marks(figure: go.Figure, kind: str, nodes: list[LineageNode]) -> None:
    figure.add_scatter(
        x=[node.row - WIDE / 2 + 0.055 for node in nodes],
        y=[node.column - TALL / 2 + 0.13 for node in nodes],
        mode="markers",
        name=KIND[kind],
        marker={"symbol": SYMBOL[kind], "size": 10, "color": tone(EDGE[kind])},
        customdata=[[node.kind, node.ref] for node in nodes],
        text=[_about(node) for node in nodes],
        hovertemplate="%{text}<extra></extra>",
    )


def _about(node: LineageNode) -> str:
    until = f"in use until {moment(node.used_until)}" if node.used_until else ""
    parts = [KIND[node.kind], node.title, node.line, until or node.state,
             moment(node.at) if node.at else ""]  # fmt: skip
    return "<br>".join(escape(part, quote=False) for part in parts if part)


def _cut(text: str, most: int) -> str:
    """What Plotly would read as HTML escaped, cut so that it stays in its box."""
    return escape(text if len(text) <= most else f"{text[: most - 1]}…", quote=False)
