"""A picture whose patches can be chosen, and the cards of a trace."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from dashboard.viewmodels.trace import NodeKind, TraceNode, TracePlace, TraceView
from dashboard.views.chrome import plain, sentence

ICONS: dict[NodeKind, str] = {
    "place": ":material/grid_on:", "image": ":material/image:", "case": ":material/search:",
    "encoder": ":material/memory:", "cue": ":material/visibility:",
    "concept": ":material/category:", "name": ":material/label:",
    "version": ":material/account_tree:", "run": ":material/model_training:",
    "snapshot": ":material/inventory_2:", "evidence": ":material/balance:",
    "word": ":material/chat:", "person": ":material/person:", "effect": ":material/compare:",
    "changed": ":material/swap_horiz:", "export": ":material/description:",
    "decision": ":material/gavel:",
}  # fmt: skip
ASKABLE: frozenset[NodeKind] = frozenset(
    {"image", "version", "snapshot", "evidence", "word", "person", "effect", "export", "run"}
)
"""Cards whose reference can be asked for in its turn."""
AT_THE_DESK: frozenset[NodeKind] = frozenset({"case", "changed"})
"""Cards whose reference is a case."""
BELOW: dict[NodeKind, str] = {
    "word": "words", "name": "names", "evidence": "words that it holds", "export": "files",
    "changed": "cases that changed", "decision": "decisions",
}  # fmt: skip
CHART = "trace-picture"
MARK = "#d55e00"
DEEP = 3  # levels below a card that are listed
Ask = Callable[[str], None]
Link = Callable[[str], None]


def picture(
    place: TracePlace, content: bytes, chosen: tuple[int, int],
    *, on_select: Callable[[], None], key: str,
) -> None:  # fmt: skip
    """The case's picture under its grid of patches; a click chooses one.

    Args:
        content: JPEG.
        chosen: row and column of the patch that is traced now, from 0.
    """
    row, column = chosen
    st.plotly_chart(
        figure(place, content, chosen),
        alt=f"{place.image_name}: {place.rows} by {place.columns} patches; row {row + 1}, column "
        f"{column + 1} is chosen. Row and column can be typed below.",
        config={"displayModeBar": False},
        key=key,
        on_select=on_select,
        selection_mode="points",
    )


def figure(place: TracePlace, content: bytes, chosen: tuple[int, int]) -> go.Figure:
    """A point per patch over the picture; the chosen one is framed."""
    across, down = place.width / place.columns, place.height / place.rows
    cells = [(r, c) for r in range(place.rows) for c in range(place.columns)]
    drawn = go.Figure(
        go.Scatter(
            x=[(c + 0.5) * across for _, c in cells], y=[(r + 0.5) * down for r, _ in cells],
            mode="markers", ids=[f"{r},{c}" for r, c in cells], showlegend=False,
            marker={"size": 14, "symbol": "square", "color": MARK, "opacity": 0.01},
            unselected={"marker": {"opacity": 0.01}}, selected={"marker": {"opacity": 0.35}},
            hovertext=[f"row {r + 1}, column {c + 1}" for r, c in cells], hoverinfo="text",
        )
    )  # fmt: skip
    source = f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"
    drawn.add_layout_image(
        source=source, xref="x", yref="y", x=0, y=0, sizex=place.width, sizey=place.height,
        sizing="stretch", layer="below",
    )  # fmt: skip
    row, column = chosen
    drawn.add_shape(
        type="rect", x0=column * across, x1=(column + 1) * across, y0=row * down,
        y1=(row + 1) * down, line={"color": MARK, "width": 3},
    )  # fmt: skip
    drawn.update_xaxes(visible=False, range=[0, place.width], constrain="domain", fixedrange=True)
    drawn.update_yaxes(
        visible=False, range=[place.height, 0], scaleanchor="x", constrain="domain",
        fixedrange=True,
    )  # fmt: skip
    drawn.update_layout(height=420, margin={"l": 0, "r": 0, "t": 0, "b": 0}, dragmode=False)
    return drawn


def answer(view: TraceView, ask: Ask, link: Link) -> None:
    """The sentence and the chain of cards, from the first to the last.

    Args:
        ask: told the reference that somebody wants to follow.
        link: draws a link to a case at the desk.
    """
    st.markdown(f"**{plain(sentence(view.sentence))}**")
    for at, node in enumerate(view.nodes):
        _card(node, f"{at}", ask, link)


def _card(node: TraceNode, key: str, ask: Ask, link: Link) -> None:
    with st.container(border=True, key=f"trace-card-{key}"):
        st.markdown(f"{ICONS[node.kind]} **{plain(node.title)}**")
        if node.facts:
            st.markdown(_facts(node))
        if node.note:
            st.caption(plain(sentence(node.note)))
        _follow(node, key, ask, link)
        if node.children:
            with st.expander(_below(node)):
                _list(node.children, key, ask, link, 1)
                if node.more:
                    st.caption(f"and {node.more} more")


def _below(node: TraceNode) -> str:
    kinds = [child.kind for child in node.children]
    told = [BELOW[kind] for kind in dict.fromkeys(kinds) if kind in BELOW]
    count = len(node.children) + node.more
    return f"{count} below: {', '.join(told)}" if told else f"{count} below"


def _list(nodes: Sequence[TraceNode], key: str, ask: Ask, link: Link, depth: int) -> None:
    for at, node in enumerate(nodes):
        mine = f"{key}-{at}"
        said = _facts(node)
        note = f" {plain(sentence(node.note))}" if node.note else ""
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"{ICONS[node.kind]} **{plain(node.title)}** {said}{note}")
            _follow(node, mine, ask, link)
        if depth < DEEP and node.children:
            _list(node.children, mine, ask, link, depth + 1)
            if node.more:
                st.caption(f"and {node.more} more")


def _facts(node: TraceNode) -> str:
    """Label and value of each, in one flowing line: a dozen cards must not fill the page."""
    return " · ".join(f":gray[{plain(label)}] {plain(value)}" for label, value in node.facts)


def _follow(node: TraceNode, key: str, ask: Ask, link: Link) -> None:
    """The way on from a card, where there is one."""
    if not node.ref:
        return
    if node.kind in ASKABLE:
        st.button(
            "Trace", key=f"trace-{key}", icon=":material/route:", type="tertiary",
            help=plain(f"Trace {node.title}"), on_click=partial(ask, node.ref),
        )  # fmt: skip
    elif node.kind in AT_THE_DESK:
        link(node.ref)
